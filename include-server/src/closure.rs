//! What a scan answers: the files the compiler would read, those it would merely find, and the names it would look for in vain.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::HashSet;

use crate::chain::{Chain, Resolved};
pub use crate::chain::{FoundFile, SearchKind};

/// One file the compiler reads or finds.
#[derive(Clone, Debug)]
pub struct ClosureFile {
    found: Arc<FoundFile>,
    /// Whether its text was read at least once; false when it was opened and an include guard made it do nothing.
    pub text_read: bool,
}

impl ClosureFile {
    pub(crate) fn new(found: Arc<FoundFile>, text_read: bool) -> ClosureFile {
        ClosureFile { found, text_read }
    }
}

impl std::ops::Deref for ClosureFile {
    type Target = FoundFile;

    fn deref(&self) -> &FoundFile {
        &self.found
    }
}

/// The answer of a scan.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// Files read, in the order of first inclusion; each name once. The source comes first.
    pub files: Vec<ClosureFile>,
    /// Files that `__has_include` found (or `#pragma GCC dependency` named) and that are not in `files`. They must exist on the
    /// server for the same branches to be taken.
    pub has_include_hits: Vec<ClosureFile>,
    /// The search path.
    pub(crate) chain: Option<Arc<Chain>>,
    /// The lookups that were made on it, each once.
    pub(crate) lookups: Vec<Arc<Resolved>>,
}

impl Closure {
    /// Names that the search tried and did not find, in order, each once. They must be absent on the server.
    pub fn probed_absent(&self) -> Vec<PathBuf> {
        let Some(chain) = &self.chain else {
            return Vec::new();
        };
        let mut seen = HashSet::default();
        let names = self.lookups.iter().flat_map(|lookup| chain.absent(lookup));
        names
            .filter(|name| seen.insert(name.clone()))
            .map(|name| PathBuf::from(OsString::from_vec(name)))
            .collect()
    }
}
