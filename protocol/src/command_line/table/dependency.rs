//! Dependency output.

use crate::command_line::option::{
    Action, DependencyKind, ExtraOutput, LocalClass, Meaning, OptionRow, PlainClass, RefusedClass,
    Takes, row,
};
use DependencyKind::{All, File, MissingGenerated, Phony, QuotedTarget, Target, User};
use Meaning::{Action as Does, Dependency};
use Takes::{Joined, JoinedOrSeparate, Nothing, Separate};

/// Sorted by spelling.
pub(super) const ROWS: &[OptionRow] = &[
    row("--dependencies", Nothing, Does(Action::Dependencies)),
    row(
        "--print-missing-file-dependencies",
        Nothing,
        Dependency(MissingGenerated),
    )
    .plain(PlainClass::MissingGenerated),
    row("--user-dependencies", Nothing, Does(Action::Dependencies)),
    row("--write-dependencies", Nothing, Dependency(All)),
    row("--write-user-dependencies", Nothing, Dependency(User)),
    row("-M", Nothing, Does(Action::Dependencies)),
    row("-MD", Nothing, Dependency(All)),
    row("-MF", JoinedOrSeparate, Dependency(File)),
    row("-MG", Nothing, Dependency(MissingGenerated)).plain(PlainClass::MissingGenerated),
    row("-MJ", JoinedOrSeparate, Meaning::Code)
        .writes(ExtraOutput::CompilationDatabase)
        .refused(RefusedClass::WritesFile),
    row("-MM", Nothing, Does(Action::Dependencies)),
    row("-MMD", Nothing, Dependency(User)),
    row("-MP", Nothing, Dependency(Phony)),
    row("-MQ", JoinedOrSeparate, Dependency(QuotedTarget)),
    row("-MT", JoinedOrSeparate, Dependency(Target)),
    row("-MV", Nothing, Meaning::Code).local(LocalClass::Unsupported),
    row("-Mmodules", Nothing, Meaning::Code).local(LocalClass::Modules),
    row("-Mno-modules", Nothing, Meaning::Code),
    row("-dependency-dot", Separate, Meaning::Code)
        .writes(ExtraOutput::Other)
        .refused(RefusedClass::WritesFile),
    row("-dependency-file", Separate, Meaning::Code)
        .writes(ExtraOutput::Other)
        .refused(RefusedClass::WritesFile),
    row("-gen-cdb-fragment-path", Separate, Meaning::Code)
        .writes(ExtraOutput::CompilationDatabase)
        .refused(RefusedClass::WritesFile),
    row("-module-dependency-dir", Separate, Meaning::Code)
        .local(LocalClass::Modules)
        .refused(RefusedClass::WritesFile),
    row("-object-file-name=", Joined, Meaning::Code),
];
