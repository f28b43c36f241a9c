//! The mutation torture: a tree that keeps changing, and an include server that must never tell yesterday's news.
//!
//! In reading order: `run` (the rounds), `race` (a second writer during the scan), `comparison` (one answer beside the
//! compiler's and the disk), `witness` (the include server), `server` (what its manifests come to), `reference` (the compiler), `mutation` (what changes),
//! `tree` (what it changes), `text` (what files hold), `rule`, `dice`.
#![allow(
    dead_code,
    reason = "the bounded test and the long program each use their own part"
)]

mod comparison;
mod dice;
mod mutation;
mod race;
mod reference;
mod rule;
pub mod run;
mod server;
mod text;
mod tree;
pub mod witness;
