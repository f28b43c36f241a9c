//! The include server: which files would the compiler read for one compile?
//!
//! In reading order, callers first. From `scan` down nothing knows of sockets, programs or servers; above it nothing
//! knows how a preprocessor works.

// The program and its service.
pub mod cli;

pub mod service;

pub mod answer;

// What is answered.
pub mod mirror;

pub mod offer;

pub mod layout;

pub mod ledger;

pub mod entry;

// What is asked.
pub mod options;

pub mod platform;

pub mod compiler;

// The scanner.
pub mod scan;

pub mod condition;

pub mod closure;

pub mod decline;

pub mod file_table;

pub mod summary;

pub mod chain;

pub mod search;

pub mod macros;

pub mod configuration;

pub mod facts;

pub mod files;

pub mod program;

pub mod lexer;

pub mod atom;

// Entry points for fuzzers and for the tests that replay their corpora.
#[doc(hidden)]
pub mod fuzz;
