//! How a compiler sees the client's files. Owns no state.
//!
//! Two ways, and room for more: in the *namespace view* every file is at the client's own path, so that the compiler
//! writes what it would have written at the client; in the *rewriting view* ([`crate::rewrite`]) all files are below a
//! temporary root and the command line and outputs are rewritten. Detection says once which one is in force.

pub mod detect;
pub(crate) mod layers;
pub(crate) mod meeting;
pub(crate) mod namespace;
pub(crate) mod skeleton;
pub(crate) mod terrain;

use std::io;
use std::path::PathBuf;

use crate::tree::TreeError;

/// The view that a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The client's files at the client's own paths.
    Namespace,
    /// The client's files below a temporary root, outputs rewritten.
    Rewrite,
}

impl View {
    /// Its name for the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Rewrite => "rewrite",
        }
    }
}

/// Why a job's files cannot be shown in a namespace, though namespaces work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsuited {
    /// The client has something where the view needs the server's.
    #[error("the client's {0} is in the place of a file of the server's system")]
    InTheWay(String),
    /// Directories would have to be merged, which this system does not allow or which this path does not.
    #[error("the client's files cannot be merged into the server's {0}")]
    NoOverlay(String),
    /// So much of the client's lies below the server's toolchain directories that it would take too many mounts.
    #[error("the client's files meet the server's toolchain directories in {0} places")]
    TooManyPlaces(usize),
    /// An output's directory is one of the server's, which cannot be written to.
    #[error("the output's directory {0} is the server's own")]
    OutputInToolchain(String),
    /// The compiler is not where toolchains are, or the client's files are there.
    #[error("the compiler {} is in none of the directories that the view shows", .0.display())]
    HiddenCompiler(PathBuf),
    /// The tree could not be completed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The file system did not say what is there.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Unsuited> for crate::view::detect::NamespaceError {
    fn from(unsuited: Unsuited) -> Self {
        match unsuited {
            Unsuited::Tree(error) => Self::Tree(error),
            Unsuited::Io(error) => Self::Io(error),
            other => Self::Refused(other.to_string()),
        }
    }
}
