//! The scanner against the compilers themselves, and on what only the compile (not `-M`) shows.

mod cases;
mod support;
