//! `distccd`: runs compile jobs for distcc clients. In reading order:

// The program: from the command line to the first client.
mod program;
pub mod options;
pub mod environment;
mod detach;
mod listen;
mod privileges;

// The service: many clients side by side.
mod inetd;
mod service;
mod connection;
mod page;
mod house;
mod receive;
pub mod statistics;
pub mod access;
pub mod whitelist;
pub mod arguments;
mod log;

// One job.
pub mod job;
mod collect;
mod prepare;
pub mod workshop;
mod refusal;
pub mod command;
mod compile;
mod rewrite;
pub mod view;
pub mod tree;
mod child;

pub use program::main;
