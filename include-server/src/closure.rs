//! What a scan answers: the files the compiler would read, those it would merely find, and the names it would look for in vain.

use std::path::PathBuf;
use std::sync::Arc;

use crate::files::FileContent;

/// How the preprocessor came to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchKind {
    /// The translation unit's source.
    Source,
    /// `stdc-predef.h`, which gcc includes by itself.
    Predefined,
    /// An absolute name in the include.
    Absolute,
    /// The working directory, for `-include` and `-imacros`.
    WorkingDirectory,
    /// The directory of the including file.
    Includer,
    /// An entry of the effective search path (quote directories first).
    Directory {
        /// Position in the effective chain, quote directories first.
        index: u32,
        /// Whether the directory is a system one (`-isystem`, the compiler's own).
        system: bool,
    },
}

/// One file the compiler reads or finds.
#[derive(Clone, Debug)]
pub struct ClosureFile {
    /// The name as the compiler spells it (it may be relative to the working directory; `gcc -M` also drops a leading `./`).
    pub name: PathBuf,
    /// What the file held when it was scanned.
    pub content: Arc<FileContent>,
    /// How it was found, at its first inclusion.
    pub opened_by: SearchKind,
    /// Whether its text was read at least once; false when it was opened and an include guard made it do nothing.
    pub text_read: bool,
}

/// The answer of a scan.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// Files read, in the order of first inclusion; each name once. The source comes first.
    pub files: Vec<ClosureFile>,
    /// Files that `__has_include` found (or `#pragma GCC dependency` named) and that are not in `files`. They must exist on the
    /// server for the same branches to be taken.
    pub has_include_hits: Vec<ClosureFile>,
    /// Names that the search tried and did not find, in order, each once. They must be absent on the server.
    pub probed_absent: Vec<PathBuf>,
}
