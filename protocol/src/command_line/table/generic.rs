//! Families of options by their first letter, driver options, and questions to the compiler.

use crate::command_line::option::{
    Action, LocalClass, Meaning, OptionRow, Probe, RefusedClass, Takes, row,
};
use LocalClass::{NotACompile, SeveralCompiles, ShowsCommands, Statistics};
use Meaning::{Code, Warning};
use Takes::{Joined, JoinedAndSeparate, JoinedOrSeparate, Long, Nothing, Separate};

/// Sorted by spelling.
pub(super) const ROWS: &[OptionRow] = &[
    row("-###", Nothing, Code).local(ShowsCommands),
    row("--all-warnings", Nothing, Warning),
    row("--amdgpu-arch-tool=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--analyze", Nothing, Code).local(LocalClass::Unsupported),
    row("--analyzer-no-default-checks", Nothing, Code),
    row("--analyzer-output", JoinedOrSeparate, Code),
    row("--assemble", Nothing, Meaning::Action(Action::Assemble)),
    row("--autocomplete=", Joined, Code).local(NotACompile),
    row("--compile", Nothing, Meaning::Action(Action::Compile)),
    row("--config", Long, Code)
        .local(LocalClass::ReadsFile)
        .refused(RefusedClass::ReadsOptions),
    row("--config-system-dir=", Joined, Code)
        .local(LocalClass::ReadsFile)
        .refused(RefusedClass::ReadsOptions),
    row("--config-user-dir=", Joined, Code)
        .local(LocalClass::ReadsFile)
        .refused(RefusedClass::ReadsOptions),
    row("--cuda-compile-host-device", Nothing, Code).local(SeveralCompiles),
    row("--cuda-device-only", Nothing, Code).local(SeveralCompiles),
    row("--cuda-host-only", Nothing, Code),
    row("--cuda-path=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--debug", Nothing, Meaning::Debug),
    // After `--driver-mode=cl` a word such as `/clang:-fplugin=X` is an option.
    row("--driver-mode=", Joined, Code)
        .local(LocalClass::Unsupported)
        .refused(RefusedClass::OtherSyntax),
    row("--dxv-path=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--end-no-unused-arguments", Nothing, Warning),
    row("--extra-warnings", Nothing, Warning),
    row("--help", Joined, Code).local(NotACompile),
    row("--hip-path=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--language", Long, Meaning::Language),
    row("--machine", Long, Code),
    row("--no-default-config", Nothing, Code),
    row("--no-integrated-cpp", Nothing, Code).local(LocalClass::Unsupported),
    row("--no-warnings", Nothing, Warning),
    row("--nvptx-arch-tool=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--offload", Joined, Code).local(SeveralCompiles),
    row("--offload-arch-tool=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--optimize", Nothing, Code),
    row("--param", Long, Code),
    row("--pass-exit-codes", Nothing, Code),
    row("--pedantic", Nothing, Warning),
    row("--pedantic-errors", Nothing, Warning),
    row("--pipe", Nothing, Code).probe(Probe::Drop),
    row("--precompile", Nothing, Code).local(LocalClass::Modules),
    row("--preprocess", Nothing, Meaning::Action(Action::Preprocess)),
    row("--print-", Joined, Code).local(NotACompile),
    row("--ptxas-path=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--rocm-path=", Joined, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("--rsp-quoting=", Joined, Code).local(LocalClass::Unsupported),
    row("--start-no-unused-arguments", Nothing, Warning),
    row("--target", Long, Code),
    row("--target-help", Nothing, Code).local(NotACompile),
    row("--time", Nothing, Code).local(Statistics),
    row("--verbose", Nothing, Code).local(ShowsCommands),
    row("--version", Nothing, Code).local(NotACompile),
    row("--via-file-asm", Nothing, Code),
    row("-E", Nothing, Meaning::Action(Action::Preprocess)),
    row("-G", JoinedOrSeparate, Code),
    row("-G=", Joined, Code),
    row("-O", Joined, Code),
    row("-Q", Nothing, Code).local(Statistics),
    row("-Qn", Nothing, Code),
    row("-Qunused-arguments", Nothing, Warning),
    row("-Qy", Nothing, Code),
    row("-R", Joined, Warning),
    row("-S", Nothing, Meaning::Action(Action::Assemble)),
    row("-W", Joined, Warning),
    row("-Xarch_", JoinedAndSeparate, Code)
        .local(SeveralCompiles)
        .refused(RefusedClass::UnknownForwarded),
    row("-Xarch_device", Separate, Code)
        .local(SeveralCompiles)
        .refused(RefusedClass::UnknownForwarded),
    row("-Xarch_host", Separate, Code)
        .local(SeveralCompiles)
        .refused(RefusedClass::UnknownForwarded),
    row("-Xcuda-fatbinary", Separate, Code).refused(RefusedClass::UnknownForwarded),
    row("-Xcuda-ptxas", Separate, Code).refused(RefusedClass::UnknownForwarded),
    row("-Xopenmp-target", Separate, Code)
        .local(SeveralCompiles)
        .refused(RefusedClass::UnknownForwarded),
    row("-Xopenmp-target=", JoinedAndSeparate, Code)
        .local(SeveralCompiles)
        .refused(RefusedClass::UnknownForwarded),
    row("-arch", Separate, Code),
    row("-arch_errors_fatal", Nothing, Warning),
    row("-arch_only", Separate, Code).local(SeveralCompiles),
    row("-arcmt-migrate-report-output", Separate, Code).local(LocalClass::Unsupported),
    row("-auxbase", Separate, Code)
        .local(LocalClass::NamesOutputs)
        .refused(RefusedClass::WritesFile),
    row("-auxbase-strip", Separate, Code)
        .local(LocalClass::NamesOutputs)
        .refused(RefusedClass::WritesFile),
    row("-b", JoinedOrSeparate, Meaning::Link),
    row("-c", Nothing, Meaning::Action(Action::Compile)),
    row("-canonical-prefixes", Nothing, Code),
    row("-ccc-", Joined, Code).local(LocalClass::Unsupported),
    row("-ccc-arcmt-migrate", Separate, Code).local(LocalClass::Unsupported),
    row("-ccc-gcc-name", Separate, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("-ccc-install-dir", Separate, Code)
        .local(LocalClass::RunsProgram)
        .refused(RefusedClass::RunsProgram),
    row("-ccc-objcmt-migrate", Separate, Code).local(LocalClass::Unsupported),
    row("-darwin-target-variant", Separate, Code),
    row("-darwin-target-variant-triple", Separate, Code),
    row("-dumpbase", Separate, Code)
        .local(LocalClass::NamesOutputs)
        .refused(RefusedClass::WritesFile),
    row("-dumpbase-ext", Separate, Code)
        .local(LocalClass::NamesOutputs)
        .refused(RefusedClass::WritesFile),
    row("-dumpdir", Separate, Code)
        .local(LocalClass::NamesOutputs)
        .refused(RefusedClass::WritesFile),
    row("-dumpfullversion", Nothing, Code).local(NotACompile),
    row("-dumpmachine", Nothing, Code).local(NotACompile),
    row("-dumpspecs", Nothing, Code).local(NotACompile),
    row("-dumpversion", Nothing, Code).local(NotACompile),
    row("-emit-", Joined, Code).local(LocalClass::Unsupported),
    row("-emit-llvm", Nothing, Code),
    row("-f", Joined, Code),
    row(
        "-fsyntax-only",
        Nothing,
        Meaning::Action(Action::SyntaxOnly),
    ),
    row("-g", Joined, Meaning::Debug),
    row("-help", Nothing, Code).local(NotACompile),
    row("-hlsl-entry", Separate, Code),
    row("-m", Joined, Code),
    row("-meabi", Separate, Code),
    row("-mllvm", Separate, Code),
    row("-mmlir", Separate, Code),
    row("-mthread-model", Separate, Code),
    row("-no-canonical-prefixes", Nothing, Code),
    row("-no-integrated-cpp", Nothing, Code).local(LocalClass::Unsupported),
    row("-no-pedantic", Nothing, Warning),
    row("-o", JoinedOrSeparate, Meaning::Output),
    row("-p", Nothing, Code),
    row("-pass-exit-codes", Nothing, Code),
    row("-pedantic", Nothing, Warning),
    row("-pedantic-errors", Nothing, Warning),
    row("-pg", Nothing, Code),
    row("-pipe", Nothing, Code).probe(Probe::Drop),
    row("-print-", Joined, Code).local(NotACompile),
    row("-pthread", Nothing, Code),
    row("-target", Separate, Code),
    row("-time", Nothing, Code).local(Statistics),
    row("-v", Nothing, Code).local(ShowsCommands),
    row("-verify-pch", Nothing, Code).local(LocalClass::Unsupported),
    row("-w", Nothing, Warning),
    row("-working-directory", JoinedOrSeparate, Code).local(LocalClass::Unsupported),
    row("-x", JoinedOrSeparate, Meaning::Language),
];
