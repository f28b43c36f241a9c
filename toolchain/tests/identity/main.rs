//! Identities of the compilers that are installed here, and of programs that only look like compilers.

mod misbehaving;
mod names;
mod remembered;
mod support;
mod surroundings;
