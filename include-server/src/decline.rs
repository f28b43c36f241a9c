//! Why a scan gives no answer. A decline is never an error of the service: the compile then happens at home, where the compiler
//! itself is exact.

use std::path::PathBuf;

use thiserror::Error;

/// A place in a file, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the compiler spells it.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

/// The reason for not answering, as one line that a person understands.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Decline {
    /// The source itself is missing or unreadable.
    #[error("cannot read the source {path}: {why}", path = path.display())]
    Source {
        /// The source's path.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// An include that no directory of the search path satisfies.
    #[error("{place}: include file {name} not found (searched {searched})")]
    IncludeNotFound {
        /// The name with its quotes or brackets.
        name: String,
        /// Where it is included.
        place: Place,
        /// The directories that were tried, in words.
        searched: String,
    },
    /// A file exists and cannot be read, or is no regular file.
    #[error("{path} cannot be used as a header: {why}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file is larger than the scanner takes.
    #[error("{path} has {size} bytes, more than the scanner takes ({limit})", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file changed again and again while it was read.
    #[error("{path} keeps changing while it is read", path = path.display())]
    Unstable {
        /// The file.
        path: PathBuf,
    },
    /// An `#error` (or `#pragma GCC error`) that the compiler would reach.
    #[error("{place}: #error {message}")]
    ErrorDirective {
        /// Where.
        place: Place,
        /// Its text.
        message: String,
    },
    /// A directive that the compiler would reject; the compiler says it better.
    #[error("{place}: {what}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// Includes nest deeper than the compiler allows.
    #[error("{place}: includes nest deeper than {limit}")]
    TooDeep {
        /// Where.
        place: Place,
        /// The limit.
        limit: u32,
    },
    /// The compile's result depends on a time stamp that the server would not have.
    #[error("{file} mentions {macro_name}, whose value would differ on a server", file = file.display())]
    Timestamp {
        /// The file that mentions it.
        file: PathBuf,
        /// `__TIMESTAMP__`, `__DATE__` or `__TIME__`.
        macro_name: &'static str,
    },
    /// Two headers with equal content, of which one is `#pragma once` or `#import`: which one counts depends on time stamps or inodes.
    #[error("{first} and {second} have equal content and one is read only once: which is read depends on time stamps", first = first.display(), second = second.display())]
    EqualOnceHeaders {
        /// The header that is read only once.
        first: PathBuf,
        /// Its twin.
        second: PathBuf,
    },
    /// Something the scanner does not follow (modules, precompiled headers, `.incbin`, ...).
    #[error("{place}: {what}")]
    Unsupported {
        /// Where.
        place: Place,
        /// What it is.
        what: String,
    },
    /// A condition that depends on something only the compiler knows, and that it could not be asked.
    #[error("{place}: the value of {expression} is not known")]
    UnknownFeature {
        /// Where.
        place: Place,
        /// The expression.
        expression: String,
    },
    /// The budget of macro expansion or of directives is used up.
    #[error("{place}: {what} takes too long to scan")]
    TooMuchWork {
        /// Where.
        place: Place,
        /// What was being done.
        what: &'static str,
    },
}
