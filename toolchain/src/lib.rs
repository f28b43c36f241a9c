//! Which compiler is this? Asks the compiler itself, so that a client and a server come to the same answer.
//!
//! A server may run a job only with the compiler that the client would have used. Both sides ask theirs with this crate
//! and compare the [`Identity`] that comes of it. The crate imports none of those that use it. In reading order:
#![forbid(unsafe_code)]

// Identities that are remembered while they hold.
pub mod identities;

// How one is found.
pub mod error;
pub mod identify;

// What cc says in two words.
mod default_compiler;

// What a compiler printed.
mod command_lines;
mod report;

// What stands on the disk.
mod digests;
pub mod evidence;
mod libraries;
mod stamp;

// Starting programs.
pub mod run;

// Entry points for fuzzers and for the tests that replay their corpora.
#[doc(hidden)]
pub mod fuzz;

pub use default_compiler::default_compiler;
pub use error::IdentifyError;
pub use evidence::Evidence;
pub use identify::{Question, VARIABLES, identify, is_wrapper};
pub use identities::Identities;
pub use protocol::command_line::Language;
pub use protocol::identity::{Family, Identity, Policy};
