//! The scanner against the compilers themselves, and on what only the compile (not `-M`) shows.

mod declines;
mod fresh;
mod fuzzed;
mod names;
mod peers;
mod summaries;
mod support;
