//! The scanner against the compilers: random translation units whose files must be those that the compiler reads.
//!
//! Shared by the tests (a bounded run) and by `examples/fuzz-scanner.rs` (a long one). In reading order, callers first.

pub mod campaign;

pub mod shrink;

pub mod judge;

pub mod generate;

pub mod setup;

pub mod case;

pub mod random;
