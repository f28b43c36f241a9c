//! Macros, forced includes, and how the preprocessor works.

use crate::command_line::option::{
    ExtraOutput, ForcedKind, LocalClass, MacroKind, Meaning, OptionRow, PlainClass, Takes, row,
};
use ForcedKind::{Include, Macros, Precompiled};
use MacroKind::{Assert, Define, Undefine};
use Meaning::{Code, Forced, Macro};
use PlainClass::{Charset, Preprocessor, PrintsHeaders, Traditional};
use Takes::{Joined, JoinedOrSeparate, Long, Nothing, Separate};

/// Sorted by spelling.
pub(super) const ROWS: &[OptionRow] = &[
    row("--assert", Long, Macro(Assert)),
    row("--comments", Nothing, Code),
    row("--comments-in-macros", Nothing, Code),
    row("--define-macro", Long, Macro(Define)),
    row("--dump", Long, Code).writes(ExtraOutput::Dump),
    row("--imacros", Long, Forced(Macros)).path(),
    row("--include", Long, Forced(Include)).path(),
    row("--no-line-commands", Nothing, Code),
    row("--trace-includes", Nothing, Code).plain(PrintsHeaders),
    row("--traditional", Nothing, Code).plain(Traditional),
    row("--traditional-cpp", Nothing, Code).plain(Traditional),
    row("--trigraphs", Nothing, Code),
    row("--undefine-macro", Long, Macro(Undefine)),
    row("-A", JoinedOrSeparate, Macro(Assert)),
    row("-C", Nothing, Code),
    row("-CC", Nothing, Code),
    row("-D", JoinedOrSeparate, Macro(Define)),
    row("-H", Nothing, Code).plain(PrintsHeaders),
    row("-P", Nothing, Code),
    row("-U", JoinedOrSeparate, Macro(Undefine)),
    row("-d", Joined, Code).writes(ExtraOutput::Dump),
    row("-fdirectives-only", Nothing, Code).plain(Preprocessor),
    row("-finput-charset=", Joined, Code).plain(Charset),
    row("-finput-charset=UTF-8", Nothing, Code),
    row("-finput-charset=utf-8", Nothing, Code),
    row("-fpch-preprocess", Nothing, Code).local(LocalClass::ReadsFile),
    row("-fpreprocessed", Nothing, Code).local(LocalClass::Unsupported),
    row("-imacros", JoinedOrSeparate, Forced(Macros)).stock_path(),
    row("-include", JoinedOrSeparate, Forced(Include)).stock_path(),
    row("-include-pch", Separate, Forced(Precompiled))
        .local(LocalClass::ReadsFile)
        .path(),
    row("-remap", Nothing, Code).plain(Preprocessor),
    row("-traditional-cpp", Nothing, Code).plain(Traditional),
    row("-trigraphs", Nothing, Code),
    row("-undef", Nothing, Code),
];
