//! The include server: which files would the compiler read for one compile?

pub mod scan;
pub mod condition;
pub mod closure;
pub mod decline;
pub mod search;
pub mod macros;
pub mod configuration;
pub mod files;
pub mod program;
pub mod lexer;
pub mod atom;
