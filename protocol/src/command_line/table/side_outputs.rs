//! Options that write files beside the object. Protocols 1 to 3 would lose them.

use crate::command_line::option::{
    ExtraOutput, LocalClass, Meaning, OptionRow, RefusedClass, Takes, row,
};
use ExtraOutput::{
    CallGraph, CrashReport, Diagnostics, Dump, OptimisationReport, Other, Precompiled, Prototypes,
    SplitDwarf, StackUsage, Temporaries, TimeTrace,
};
use Meaning::{Code, Debug};
use RefusedClass::WritesFile;
use Takes::{Joined, JoinedOrSeparate, Long, Nothing, Separate};

/// Sorted by spelling.
pub(super) const ROWS: &[OptionRow] = &[
    row("--dumpbase", Long, Code)
        .local(LocalClass::NamesOutputs)
        .refused(WritesFile),
    row("--dumpbase-ext", Long, Code)
        .local(LocalClass::NamesOutputs)
        .refused(WritesFile),
    row("--dumpdir", Long, Code)
        .local(LocalClass::NamesOutputs)
        .refused(WritesFile),
    row("--output", Long, Meaning::Output),
    row("--output-pch=", JoinedOrSeparate, Code)
        .writes(Precompiled)
        .refused(WritesFile),
    row("--save-stats", Joined, Code).writes(Other),
    row("--save-temps", Joined, Code).writes(Temporaries),
    row("--serialize-diagnostics", Long, Code)
        .writes(Diagnostics)
        .refused(WritesFile),
    row("-aux-info", Separate, Code)
        .writes(Prototypes)
        .refused(WritesFile),
    row("-dsym-dir", JoinedOrSeparate, Code)
        .writes(Other)
        .refused(WritesFile),
    row("-fcallgraph-info", Joined, Code).writes(CallGraph),
    row("-fcrash-diagnostics", Joined, Code)
        .writes(CrashReport)
        .refused(WritesFile),
    row("-fdiagnostics-add-output=", Joined, Code)
        .writes(Diagnostics)
        .refused(WritesFile),
    row("-fdiagnostics-format=json-file", Nothing, Code).writes(Diagnostics),
    row("-fdiagnostics-format=sarif-file", Nothing, Code).writes(Diagnostics),
    row("-fdiagnostics-set-output=", Joined, Code)
        .writes(Diagnostics)
        .refused(WritesFile),
    row("-fdump-", Joined, Code)
        .writes(Dump)
        .refused(WritesFile),
    row("-foptimization-record-file=", Joined, Code)
        .writes(OptimisationReport)
        .refused(WritesFile),
    row("-fproc-stat-report=", Joined, Code)
        .writes(Other)
        .refused(WritesFile),
    row("-fsave-optimization-record", Joined, Code).writes(OptimisationReport),
    row("-fstack-usage", Nothing, Code).writes(StackUsage),
    row("-ftime-trace", Joined, Code)
        .writes(TimeTrace)
        .refused(WritesFile),
    row("-gsplit-dwarf", Joined, Debug).writes(SplitDwarf),
    row("-save-stats", Joined, Code).writes(Other),
    row("-save-temps", Joined, Code).writes(Temporaries),
    row("-serialize-diagnostics", Separate, Code)
        .writes(Diagnostics)
        .refused(WritesFile),
];
