//! Why it cannot be told which compiler a program is. Each error is one line that a person can act on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::run::RunError;

/// See the module's text.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentifyError {
    /// The path starts nowhere.
    #[error("{} is not an absolute path", path.display())]
    Relative {
        /// As given.
        path: PathBuf,
    },
    /// It is not there, or may not be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The program, or one of its parts.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: Arc<io::Error>,
    },
    /// It is a script: what it starts may change without any file that is known here.
    #[error("{} is a script, so nothing tells which compiler it starts", path.display())]
    Script {
        /// The program.
        path: PathBuf,
    },
    /// It starts another compiler.
    #[error("{} is not a compiler but a wrapper that starts {starts}", path.display())]
    Wrapper {
        /// The program.
        path: PathBuf,
        /// What it starts, as far as that is known.
        starts: String,
    },
    /// It is not a program that Linux can start.
    #[error("{} is no program", path.display())]
    NoProgram {
        /// The file.
        path: PathBuf,
    },
    /// It hung, printed without end, or could not be started.
    #[error("cannot ask {} who it is: {cause}", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// What happened.
        #[source]
        cause: RunError,
    },
    /// It failed; its own words.
    #[error("{} says: {message}", path.display())]
    Refused {
        /// The program.
        path: PathBuf,
        /// The first line with an error.
        message: String,
    },
    /// It answered, but not as gcc or clang do.
    #[error("{} is neither gcc nor clang: {what}", path.display())]
    NoCompiler {
        /// The program.
        path: PathBuf,
        /// What is missing from its answer.
        what: &'static str,
    },
    /// Not a language that is ever distributed.
    #[error("this language is never distributed")]
    Language,
    /// A part of the compiler is missing.
    #[error("{} finds no {tool}", path.display())]
    Missing {
        /// The compiler.
        path: PathBuf,
        /// The part's name.
        tool: String,
    },
    /// What a relative name means depends on the directory of each compile.
    #[error(
        "{variable} holds the relative path {value:?}, which means another one in each directory"
    )]
    RelativeVariable {
        /// The variable.
        variable: &'static str,
        /// The path.
        value: String,
    },
    /// A file with defaults names more files, or code that is loaded into the compiler.
    #[error("{} makes the compiler load more ({word}), which is not followed", path.display())]
    Loads {
        /// The file with defaults, or the compiler.
        path: PathBuf,
        /// What it says.
        word: String,
    },
    /// The system does not tell which libraries it loads.
    #[error("cannot tell which libraries {} loads: {what}", path.display())]
    Libraries {
        /// The program.
        path: PathBuf,
        /// What happened.
        what: String,
    },
    /// It was replaced while it was asked.
    #[error("{} changed while it was asked who it is", path.display())]
    Changed {
        /// The program, or one of its parts.
        path: PathBuf,
    },
}

impl IdentifyError {
    pub(crate) fn unreadable(path: &Path, cause: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            cause: Arc::new(cause),
        }
    }
}
