//! Every trap of include scanning that we know of, one test each: our answer against the compilers' own.
//!
//! The first word of a test's name is its kind: `lex_`, `if_`, `has_`, `macro_`, `computed_`, `builtin_`, `once_`, `guard_`,
//! `import_`, `path_`, `opt_`, `pch_`, `module_`, and `more_` for what `-M` does not list and a server needs all the same.
//! [`case`] says how a case is judged.

mod builtin;
mod case;
mod computed;
mod conditions;
mod features;
mod lex;
mod lex_bytes;
mod macros;
mod more;
mod once;
mod options;
mod other;
mod path;
