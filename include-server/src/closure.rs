//! What a scan answers: the files the compiler would read, those it would merely find, and the names it would look for in vain.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::HashSet;

use crate::chain::{Chain, Resolved};
pub use crate::chain::{FoundFile, SearchKind};
use crate::facts::{Evidence, Session, Vouched};

/// One file the compiler reads or finds.
#[derive(Clone, Debug)]
pub struct ClosureFile {
    found: Arc<FoundFile>,
    /// Whether its text was read at least once; false when it was opened and an include guard made it do nothing.
    pub text_read: bool,
    /// Empty lines that a server must be given at its end: see [`crate::entry::with_empty_lines`].
    pub empty_lines: u32,
}

impl ClosureFile {
    pub(crate) fn new(found: Arc<FoundFile>, text_read: bool, empty_lines: u32) -> ClosureFile {
        ClosureFile {
            found,
            text_read,
            empty_lines,
        }
    }
}

impl std::ops::Deref for ClosureFile {
    type Target = FoundFile;

    fn deref(&self) -> &FoundFile {
        &self.found
    }
}

/// What the files of a closure, or some of them, rest on besides the search path.
#[derive(Debug, Default)]
pub struct Grounds {
    lookups: Box<[Arc<Resolved>]>,
    /// The files' contents.
    contents: Evidence,
    vouched: Vouched,
}

impl Grounds {
    pub(crate) fn new(lookups: Vec<Arc<Resolved>>, contents: Evidence) -> Grounds {
        Grounds {
            lookups: lookups.into(),
            contents,
            vouched: Vouched::default(),
        }
    }

    /// The lookups.
    pub(crate) fn lookups(&self) -> &[Arc<Resolved>] {
        &self.lookups
    }

    /// How many facts there are.
    pub(crate) fn len(&self) -> usize {
        self.lookups.len() + self.contents.len()
    }

    /// Whether all of it is as it was; the search path is known to be.
    pub(crate) fn hold(&self, session: &mut Session<'_>) -> bool {
        if session.is_quiet(&self.vouched) {
            return true;
        }
        let holds = self.lookups.iter().all(|lookup| lookup.holds(session))
            && session.holds(&self.contents);
        if holds {
            let quiet = self.lookups.iter().all(|lookup| lookup.is_quiet(session));
            session.vouch(&self.vouched, quiet && session.all_watched(&self.contents));
        }
        holds
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
    /// The lookups that were made on it one by one.
    pub(crate) lookups: Vec<Arc<Resolved>>,
    /// What was taken over from other closures.
    pub(crate) grounds: Vec<Arc<Grounds>>,
}

impl Closure {
    /// Whether all that the closure rests on is as it was, but for the contents of files that were opened one by one.
    pub(crate) fn holds(&self, session: &mut Session<'_>) -> bool {
        self.chain.iter().all(|chain| chain.holds(session))
            && self.grounds.iter().all(|grounds| grounds.hold(session))
            && self.lookups.iter().all(|lookup| lookup.holds(session))
    }

    /// Names that the search tried and did not find, in order, each once. They must be absent on the server.
    pub fn probed_absent(&self) -> Vec<PathBuf> {
        let Some(chain) = &self.chain else {
            return Vec::new();
        };
        let mut seen = HashSet::default();
        let taken_over = self.grounds.iter().flat_map(|grounds| &grounds.lookups);
        let lookups = self.lookups.iter().chain(taken_over);
        let names = lookups.flat_map(|lookup| chain.absent(lookup));
        names
            .filter(|name| seen.insert(name.clone()))
            .map(|name| PathBuf::from(OsString::from_vec(name)))
            .collect()
    }
}
