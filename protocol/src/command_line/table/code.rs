//! Options about code, dialect and target that mean something special for distribution. Those that
//! mean nothing special fall under the families `-f`, `-m`, `-O` of the generic theme.

use crate::command_line::option::{
    LocalClass, Meaning, OptionRow, PlainClass, Probe, RefusedClass, Takes, row,
};
use LocalClass::{
    Modules, NotACompile, Profile, ReadsFile, RunsProgram, SeveralCompiles, Statistics,
    ThisMachine, Unsupported,
};
use Meaning::{Code, Standard, Warning};
use Takes::{Joined, JoinedOrSeparate, Long, Nothing, Separate};

/// Sorted by spelling.
pub(super) const ROWS: &[OptionRow] = &[
    row("--ansi", Nothing, Standard),
    row("--coverage", Nothing, Code).local(Profile),
    row("--profile", Nothing, Code),
    row("--specs", Long, Code)
        .local(RunsProgram)
        .refused(RefusedClass::Specs)
        .path(),
    row("--std", Long, Standard),
    row("-ansi", Nothing, Standard),
    row("-coverage", Nothing, Code).local(Profile),
    row("-cuid=", Joined, Code).local(Unsupported),
    row("-fada-spec-parent=", Joined, Code).local(Unsupported),
    row("-fauto-profile", Joined, Code).local(Profile).path(),
    row("-fbranch-probabilities", Nothing, Code).local(Profile),
    row("-fcoarray", Joined, Code).local(Unsupported),
    row("-fcompare-debug", Joined, Code).local(SeveralCompiles),
    row("-fcondition-coverage", Nothing, Code).local(Profile),
    row("-fcoverage-prefix-map=", Joined, Meaning::Debug),
    row("-fcreate-profile", Nothing, Code).local(Profile),
    row("-fcs-profile-generate", Joined, Code).local(Profile),
    row("-fcs-profile-use", Joined, Code).local(Profile),
    row("-fcx-limited-range", Nothing, Code),
    row("-fdebug-compilation-dir", JoinedOrSeparate, Meaning::Debug),
    row("-fdebug-default-version=", Joined, Meaning::Debug),
    row("-fdebug-prefix-map=", Joined, Meaning::Debug),
    row("-fdeps-", Joined, Code)
        .local(Modules)
        .refused(RefusedClass::WritesFile),
    row("-fdiagnostics-", Joined, Warning),
    row("-fembed-bitcode", Joined, Code),
    row("-fembed-offload-object=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fexperimental-openacc-macro-override", Separate, Code),
    row("-ffile-prefix-map=", Joined, Meaning::Debug),
    row("-fimplicit-module", Joined, Code).local(Modules),
    row("-fintegrated-cc1", Nothing, Code),
    row("-fmacro-prefix-map=", Joined, Meaning::Debug),
    row("-fmem-report", Joined, Code).local(Statistics),
    row("-fmessage-length=", Joined, Warning),
    row("-fmodule", Joined, Code)
        .local(Modules)
        .refused(RefusedClass::WritesFile),
    row("-fmodules-user-build-path", Separate, Code).local(Modules),
    row("-fno-module", Joined, Code),
    row("-foffload", Joined, Code).local(SeveralCompiles),
    row("-foffload-lto", Joined, Code),
    row("-fopenmp-targets=", Joined, Code).local(SeveralCompiles),
    row("-fpass-plugin=", Joined, Code)
        .local(RunsProgram)
        .refused(RefusedClass::LoadsCode)
        .path(),
    row("-fpath-coverage", Nothing, Code).local(Profile),
    row("-fplugin-arg-", Joined, Code)
        .local(RunsProgram)
        .refused(RefusedClass::LoadsCode),
    row("-fplugin=", Joined, Code)
        .local(RunsProgram)
        .refused(RefusedClass::LoadsCode)
        .path(),
    row("-fpost-ipa-mem-report", Nothing, Code).local(Statistics),
    row("-fpre-ipa-mem-report", Nothing, Code).local(Statistics),
    row("-fprebuilt-", Joined, Code).local(Modules),
    row("-fproc-stat-report", Joined, Code).local(Statistics),
    row("-fprofile-", Joined, Code).local(Profile),
    row("-fprofile-abs-path", Nothing, Code),
    row("-fprofile-note=", Joined, Code)
        .local(Profile)
        .refused(RefusedClass::WritesFile),
    row("-fprofile-partial-training", Nothing, Code),
    row("-fprofile-reorder-functions", Nothing, Code),
    row("-fprofile-report", Nothing, Code).local(Statistics),
    row("-fprofile-reproducible", Joined, Code),
    row("-fprofile-update", Joined, Code),
    row("-fprofile-values", Nothing, Code),
    row("-frandom-seed=", Joined, Code).probe(Probe::Drop),
    row("-frandomize-layout-seed-file=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-frecord-command-line", Nothing, Code).local(LocalClass::RecordsCommand),
    row("-frecord-gcc-switches", Nothing, Code).local(LocalClass::RecordsCommand),
    row("-frepo", Nothing, Code).local(Unsupported),
    row("-fsanitize-blacklist=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fsanitize-coverage-allowlist=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fsanitize-coverage-ignorelist=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fsanitize-ignorelist=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fsanitize-system-ignorelist=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fself-test", Joined, Code).local(ReadsFile),
    row("-fsymbol-partition=", Joined, Code),
    row("-ftest-coverage", Nothing, Code).local(Profile),
    row("-fthinlto-index=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-ftime-report", Joined, Code).local(Statistics),
    row("-ftrapv-handler", Separate, Code),
    row("-fuse-ld=", Joined, Meaning::Link),
    row("-fwarn", Joined, Warning),
    row("-fxray-always-instrument=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fxray-attr-list=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-fxray-never-instrument=", Joined, Code)
        .local(ReadsFile)
        .path(),
    row("-iplugindir=", Joined, Code)
        .local(RunsProgram)
        .refused(RefusedClass::LoadsCode)
        .path(),
    row("-march=native", Nothing, Code).local(ThisMachine),
    row("-mbranch-cost=", Joined, Code),
    row("-mcpu=help", Nothing, Code).local(NotACompile),
    row("-mcpu=native", Nothing, Code).local(ThisMachine),
    row("-mlinker-version=", Joined, Meaning::Link),
    row("-mtune=help", Nothing, Code).local(NotACompile),
    row("-mtune=native", Nothing, Code).local(ThisMachine),
    row("-specs=", Joined, Code)
        .local(RunsProgram)
        .refused(RefusedClass::Specs)
        .path(),
    row("-std=", Joined, Standard),
    row("-traditional", Nothing, Code).plain(PlainClass::Traditional),
    row("-validator-version", Separate, Code),
    row("-wrapper", Separate, Code)
        .local(RunsProgram)
        .refused(RefusedClass::RunsProgram),
];
