//! The gcc and clang command line: what every word of it takes, and what it means for distribution.
//!
//! One table ([`table`]) says for each option which value it takes and whether it names the source,
//! the output, a dependency file, a search directory, a macro, an extra output, or a reason to run
//! at home. Three programs read it through [`CommandLine`]:
//!
//! * the client asks [`verdict`] where a job may run and takes its rewritten argument lists;
//! * the include server asks for the search options, macros, forced includes and
//!   [`CommandLine::probe_words`];
//! * the daemon asks [`CommandLine::refused_by_server`] and [`CommandLine::map_paths`].
//!
//! The module owns no state, reads no file, no environment and no clock. Words are bytes.
//! Parsing is total: every list of words gives a [`CommandLine`], and what is not understood
//! makes [`verdict`] more careful, never less.

// In reading order; each group uses only groups below it.
mod fuzz;

// What the programs ask.
mod daemon;
mod verdict;

mod rewrite;

mod outputs;
mod view;

// How words are understood.
mod parse;
mod reason;

mod table;

mod option;

mod compiler;
mod language;
mod words;

pub use compiler::{CompilerKind, compiler_kind, strip_version_suffix};
pub use fuzz::fuzz_command_line;
pub use language::{
    Language, SourceLanguage, is_object, is_preprocessed, is_source, language_of_name,
    language_of_suffix, suffix,
};
pub use option::{
    Action, DependencyKind, ExtraOutput, ForcedKind, Forward, LocalClass, MacroKind, Meaning,
    OptionRow, PlainClass, Probe, RefusedClass, SearchKind, Takes,
};
pub use outputs::{DependencyFile, needs_make_quoting};
pub use parse::{CommandLine, Item, Role, Span};
pub use reason::{LocalReason, PlainReason, ServerRefusal};
pub use table::{all_rows, lookup};
pub use verdict::{Distribution, verdict};
pub use view::{CommandMacro, DependencyOptions, ForcedInclude, SearchOption};
pub use words::{
    ResponseError, ResponseLimits, expand_response_files, expand_response_text, split_commas,
};

/// One word of a command line: bytes, never assumed to be UTF-8.
pub type Word = Vec<u8>;
