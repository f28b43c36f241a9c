//! The client side of distcc: `distcc`, `pump`, and the monitors.
//!
//! `distcc` is started once for every compile, so its path has no async runtime, no option parser, and reads little.
//! In reading order, callers first:

// The programs.
pub mod distcc;
pub mod pump;
pub mod monitor;
pub mod lsdistcc;

// What `distcc` does besides compiling.
mod scan_includes;
mod show;

// One job, from plan to exit code.
mod job;
mod plan;
mod remote;
mod remote_failure;
mod trouble;

// What a job uses.
mod backoff;
mod connection;
pub mod host_list;
mod include_client;
pub mod job_state;
mod journal;
mod output;
mod slot;
mod socks;
pub mod state_directory;

// Which compiler, and how to run it.
mod compiler;
mod cross;
mod masquerade;
pub mod path_search;

// The process itself.
pub mod cleanup;
pub mod environment;
mod log;
