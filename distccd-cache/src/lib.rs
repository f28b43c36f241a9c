//! `distccd`: runs compile jobs for distcc clients. In reading order:

// One job.
pub mod workshop;
pub mod job;
mod collect;
mod prepare;
mod command;
mod compile;
mod rewrite;
pub mod view;
pub mod tree;
mod child;
