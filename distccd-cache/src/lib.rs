//! `distccd`: runs compile jobs for distcc clients. In reading order:

// The program: from the command line to the first client.
mod announce;
mod detach;
pub mod environment;
mod listen;
pub mod options;
mod privileges;
mod program;

// The service: many clients side by side.
pub mod access;
mod admission;
pub mod arguments;
mod bundle;
mod connection;
mod failure;
mod house;
mod inetd;
mod log;
mod metrics;
mod page;
mod peer;
mod receive;
mod reply;
mod roster;
mod service;
pub mod shelf;
pub mod statistics;
mod status;
mod task;
pub mod whitelist;

// One job.
mod child;
mod collect;
pub mod command;
mod compile;
mod confinement;
mod grove;
pub mod job;
mod locked_dir;
pub mod own_files;
mod prepare;
mod prepare_bundle;
mod reads;
mod refusal;
mod rewrite;
pub mod sandbox;
pub mod table;
pub mod tree;
pub mod view;
pub mod workshop;

// What outlives jobs.
mod results;
pub mod store;

// Entry points for fuzzers and for the tests that replay their corpora.
#[doc(hidden)]
pub mod fuzz;

pub use program::main;
