//! Options that carry words for another stage, and words that only they may carry.

use crate::command_line::option::{
    Forward, LocalClass, Meaning, OptionRow, RefusedClass, Takes, row,
};
use LocalClass::{RunsProgram, UnknownForwarded};
use Meaning::Code;
use Takes::{Joined, JoinedAndSeparate, Long, Nothing, Separate};

const fn forward(spelling: &'static str, takes: Takes, to: Forward) -> OptionRow {
    row(spelling, takes, Meaning::Forward(to))
}

/// Sorted by spelling.
pub(super) const ROWS: &[OptionRow] = &[
    forward("--for-assembler", Long, Forward::Assembler),
    forward("--for-linker", Long, Forward::Linker),
    forward("-Wa,", Joined, Forward::WaCommas),
    forward("-Wl,", Joined, Forward::Linker),
    forward("-Wp,", Joined, Forward::WpCommas),
    // It carries words for clang's front end, such as `-load`.
    row("-Xanalyzer", Separate, Code)
        .local(UnknownForwarded)
        .refused(RefusedClass::UnknownForwarded),
    forward("-Xassembler", Separate, Forward::Assembler),
    forward("-Xclang", Separate, Forward::Clang),
    forward("-Xclang=", Joined, Forward::Clang),
    forward("-Xlinker", Separate, Forward::Linker),
    forward("-Xoffload-linker", JoinedAndSeparate, Forward::Linker),
    forward("-Xpreprocessor", Separate, Forward::Preprocessor),
    row("-add-plugin", Separate, Code)
        .local(RunsProgram)
        .refused(RefusedClass::LoadsCode)
        .forwarded_only(),
    row("-debug-info-kind=", Joined, Code).forwarded_only(),
    row("-disable-O0-optnone", Nothing, Code).forwarded_only(),
    row("-disable-llvm-optzns", Nothing, Code).forwarded_only(),
    row("-disable-llvm-passes", Nothing, Code).forwarded_only(),
    row("-fforbid-guard-variables", Nothing, Code).forwarded_only(),
    row("-load", Separate, Code)
        .local(RunsProgram)
        .refused(RefusedClass::LoadsCode)
        .path()
        .forwarded_only(),
    row("-mrelax-relocations=no", Nothing, Code).forwarded_only(),
    row("-mrelocation-model", Separate, Code).forwarded_only(),
    row("-no-opaque-pointers", Nothing, Code).forwarded_only(),
    row("-opaque-pointers", Nothing, Code).forwarded_only(),
    row("-pic-level", Separate, Code).forwarded_only(),
    row("-plugin", Separate, Code)
        .local(RunsProgram)
        .refused(RefusedClass::LoadsCode)
        .forwarded_only(),
    row("-target-abi", Separate, Code).forwarded_only(),
    row("-target-cpu", Separate, Code).forwarded_only(),
    row("-target-feature", Separate, Code).forwarded_only(),
    row("-triple", Separate, Code).forwarded_only(),
    row("-tune-cpu", Separate, Code).forwarded_only(),
];
