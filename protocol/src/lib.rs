//! All that two processes of distcc must agree on, and nothing that only one of them needs.
//!
//! This crate is the leaf of the workspace. It does no I/O, reads no environment and no clock: it turns bytes into
//! messages and back. In reading order:
#![forbid(unsafe_code)]

// Bytes.
mod decoder;
pub mod error;
pub mod limits;
pub mod lzo;
pub mod printable;
pub mod token;
pub mod tree_path;

// Messages between a client and a server.
pub mod exit_code;
pub mod reply;
pub mod request;
pub mod tree;
pub mod version;
pub mod wait_status;

// Messages between our client and our server.
pub mod bundle;

// What servers say of themselves on the local network.
pub mod zeroconf;

// Messages between a client and an include server.
pub mod include_dialogue;

// What a compiler's command line means, and which compiler is meant.
pub mod command_line;
pub mod identity;

// Entry points for fuzzers and for the tests that replay their corpora.
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod mutation;
