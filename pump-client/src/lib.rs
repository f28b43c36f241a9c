//! The client side of distcc: `distcc`, `pump`, and the monitors.
//!
//! `distcc` is started once for every compile, so its path has no async runtime, no option parser, and reads little.
//! In reading order, callers first:

// The programs.
pub mod distcc;
pub mod lsdistcc;
pub mod monitor;
pub mod pump;

// What `distcc` does besides compiling.
mod scan_includes;

mod show;

// One job, from plan to exit code.
mod bundle;
mod job;
mod plan;
mod remote;
mod remote_failure;
mod trouble;

// What a job talks to.
mod connection;
mod frames;
mod include_client;
mod socks;

// What a job leaves: results, a journal line, its state, locks.
mod journal;
mod output;
mod slot;

mod backoff;
mod dialect;
pub mod job_state;
pub mod state_directory;
mod timeline;

// Where jobs may go.
mod finder;
pub mod host_list;
mod zeroconf;

// Which compiler, and how to run it.
mod cross;
mod masquerade;
mod native;

mod compiler;
pub mod path_search;

// The process itself.
mod log;

pub mod environment;

pub mod cleanup;

// Entry points for fuzzers and for the tests that replay their corpora.
#[doc(hidden)]
pub mod fuzz;
