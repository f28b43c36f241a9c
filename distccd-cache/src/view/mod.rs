//! How a compiler sees the client's files. Owns no state.
//!
//! Two ways, and room for more: in the *namespace view* every file is at the client's own path, so that the compiler
//! writes what it would have written at the client; in the *rewriting view* ([`crate::rewrite`]) all files are below a
//! temporary root and the command line and outputs are rewritten. Detection says once which one is in force.

pub mod detect;
pub(crate) mod namespace;

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
