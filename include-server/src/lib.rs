//! The include server: which files would the compiler read for one compile?

pub mod program;
pub mod search;
pub mod files;
pub mod closure;
pub mod configuration;
pub mod decline;
