//! Where commands may run, and why: one line per command.

use protocol::command_line::{CommandLine, Distribution, ExtraOutput, Word, verdict};

fn parse(line: &str) -> CommandLine {
    let words: Vec<Word> = line
        .split_ascii_whitespace()
        .map(|w| w.as_bytes().to_vec())
        .collect();
    CommandLine::parse(&words)
}

fn told(line: &str) -> String {
    match verdict(&parse(line)) {
        Distribution::Local(reason) => format!("local: {reason}"),
        Distribution::Remote { pump: Ok(()) } => "pump".to_owned(),
        Distribution::Remote { pump: Err(reason) } => format!("plain: {reason}"),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(told(line), *expected, "{line}");
    }
}

#[test]
fn ordinary_compiles_go_in_pump_mode() {
    for line in [
        "gcc -c a.c",
        "gcc -S a.c -o a.s",
        "gcc -O2 -g -Wall -Wextra -fPIC -pthread -std=gnu11 -DX=1 -UY -Iinc -I /inc -c a.c -o a.o",
        "g++ -std=c++20 -fno-exceptions -isystem /x -iquote y -include z.h -c a.cc",
        "gcc -MD -MF a.d -MT a.o -MP -c a.c -o a.o",
        "gcc -MMD -MQ a.o -c a.c",
        "gcc -Wp,-MD,.a.d -c a.c -o x/a.o",
        "gcc -Wp,-MMD,.a.d,-MT,a.o -c a.c -o x/a.o",
        "clang -Wp,-MD,.a.d -c a.c -o x/a.o",
        "gcc -Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3 -c a.c",
        "gcc -Xpreprocessor -DX -c a.c",
        "gcc -flto -c a.c",
        "gcc -flto=auto -ffat-lto-objects -c a.c",
        "gcc -march=x86-64-v3 -mtune=generic -c a.c",
        "gcc -c a.c -o /dev/null",
        "gcc -xc -c a.c",
        "gcc -x c++ a.c -c",
        "gcc --language=c++ --compile a.c --output a.o --define-macro X=1 --include-directory=d",
        "gcc -c a.c -lm -L. -Wl,-O1 -Wl,--as-needed -Xlinker -z -shared -rdynamic -z now",
        "gcc -c -D X=b.c -I c.c -include d.c -imacros e.c -MF f.c -MD -MT g.c a.c",
        "gcc -c a.m",
        "gcc -c a.mm",
        "clang -target aarch64-linux-gnu -c a.c",
        "clang --target=aarch64-linux-gnu -mllvm -x.c -c a.c",
        "clang -Xclang -fno-validate-pch -c a.c",
        "clang -Xclang -target-feature -Xclang +avx2 -c a.c",
        "gcc -Wa,--noexecstack -c a.c",
        "gcc -fopt-info-vec -c a.c",
        "gcc -finput-charset=UTF-8 -c a.c",
        "gcc -fprofile-abs-path -c a.c",
        "gcc -iprefix /x/ -iwithprefix y -iwithprefixbefore z -c a.c",
        "gcc --sysroot=/x -isysroot /y -c a.c",
        "gcc -c a.c -fuse-ld=gold",
        "gcc -unknown-option -c a.c",
    ] {
        assert_eq!(told(line), "pump", "{line}");
    }
}

#[test]
fn a_compiler_cache_in_front_is_no_input() {
    assert_eq!(told("ccache gcc -c a.c"), "pump");
    assert_ne!(told("gcc gcc -c a.c"), "pump");
    assert_ne!(told("ccache gcc other -c a.c"), "pump");
}

#[test]
fn commands_that_are_no_single_compile() {
    check(&[
        ("gcc", "local: names no source file, so runs here"),
        ("gcc -c", "local: names no source file, so runs here"),
        ("gcc a.c", "local: links, so runs here"),
        ("gcc a.c -o a", "local: links, so runs here"),
        (
            "gcc a.o b.o -o a",
            "local: names no source file, so runs here",
        ),
        ("gcc -E a.c", "local: only preprocesses (-E)"),
        ("gcc -c -E a.c", "local: only preprocesses (-E)"),
        ("gcc -M a.c", "local: only prints dependencies (-M or -MM)"),
        (
            "gcc -c -MM a.c",
            "local: only prints dependencies (-M or -MM)",
        ),
        (
            "gcc -fsyntax-only -c a.c",
            "local: only checks syntax (-fsyntax-only)",
        ),
        ("gcc -c a.c b.c", "local: compiles 2 sources in one command"),
        ("gcc -c a.c -o x -o y", "local: names 2 outputs"),
        (
            "gcc -c a.c b.o",
            "local: also names b.o, which is not a source",
        ),
        ("gcc -c a.c -o -", "local: writes to standard output"),
        ("gcc -c a.c -MD -MF -", "local: writes to standard output"),
        (
            "gcc -c -x c -",
            "local: reads its source from standard input",
        ),
        ("gcc -c a.c @args", "local: @args was not expanded"),
        ("gcc -c a.c -o", "local: -o lacks its value"),
        ("gcc -c a.c -Wp,-MD", "local: -Wp,-MD lacks its value"),
        ("gcc --version", "local: --version asks about the compiler"),
        (
            "gcc -c a.c --help=target",
            "local: --help=target asks about the compiler",
        ),
        (
            "gcc -dumpmachine",
            "local: -dumpmachine asks about the compiler",
        ),
        (
            "gcc -print-file-name=x.so",
            "local: -print-file-name=x.so asks about the compiler",
        ),
        (
            "gcc -v -c a.c",
            "local: -v shows commands with this machine's paths",
        ),
        (
            "gcc -### -c a.c",
            "local: -### shows commands with this machine's paths",
        ),
        ("clang -c -- a.c", "local: -- is not distributed"),
    ]);
}

#[test]
fn sources_that_stay_here() {
    check(&[
        ("gcc -c a.s", "local: assembler source is assembled here"),
        ("gcc -c a.S", "local: assembler source is assembled here"),
        (
            "gcc -c -x assembler-with-cpp a.c",
            "local: assembler source is assembled here",
        ),
        (
            "gcc -c -x c a.S",
            "local: assembler source is assembled here",
        ),
        (
            "gcc -c a.f90",
            "local: language of a.f90 is not distributed",
        ),
        (
            "gcc -c -x ada a.c",
            "local: language of a.c is not distributed",
        ),
        (
            "clang -c -x cuda a.c",
            "local: language of a.c is not distributed",
        ),
        (
            "gcc -c -x c++ a.inc",
            "local: servers do not know the suffix of a.inc",
        ),
        (
            "g++ -c a.CPP",
            "local: servers do not know the suffix of a.CPP",
        ),
        ("gcc -c a.h", "local: makes a precompiled header"),
        (
            "g++ -x c++-header a.hpp -o a.gch -c",
            "local: makes a precompiled header",
        ),
        (
            "gcc -c conftest.c",
            "local: conftest.c is a configure probe",
        ),
        (
            "gcc -c d/tmp.conftest.c",
            "local: d/tmp.conftest.c is a configure probe",
        ),
        ("gcc -c -x ada -x none a.c", "pump"),
    ]);
}

#[test]
fn options_that_keep_a_job_here() {
    check(&[
        (
            "gcc -march=native -c a.c",
            "local: -march=native depends on this machine",
        ),
        (
            "gcc -mtune=native -c a.c",
            "local: -mtune=native depends on this machine",
        ),
        (
            "gcc -mcpu=native -c a.c",
            "local: -mcpu=native depends on this machine",
        ),
        (
            "gcc --coverage -c a.c",
            "local: --coverage reads or writes profiles of this machine",
        ),
        (
            "gcc -fprofile-use -c a.c",
            "local: -fprofile-use reads or writes profiles of this machine",
        ),
        (
            "gcc -gsplit-dwarf -c a.c",
            "local: -gsplit-dwarf writes FILE.dwo beside the object",
        ),
        (
            "gcc -save-temps=obj -c a.c",
            "local: -save-temps=obj writes temporary files beside the object",
        ),
        (
            "gcc -fdump-tree-all -c a.c",
            "local: -fdump-tree-all writes compiler dumps",
        ),
        ("gcc -dA -c a.c", "local: -dA writes compiler dumps"),
        (
            "gcc -fstack-usage -c a.c",
            "local: -fstack-usage writes FILE.su beside the object",
        ),
        (
            "gcc -aux-info p.c -c a.c",
            "local: -aux-info writes a file of prototypes",
        ),
        (
            "gcc -fcallgraph-info=su -c a.c",
            "local: -fcallgraph-info=su writes FILE.ci beside the object",
        ),
        (
            "gcc -fopt-info-vec=f -c a.c",
            "local: -fopt-info-vec=f writes an optimisation report",
        ),
        (
            "clang -ftime-trace -c a.c",
            "local: -ftime-trace writes a time trace",
        ),
        (
            "clang -MJ x.json -c a.c",
            "local: -MJ writes a compilation database entry",
        ),
        (
            "clang -serialize-diagnostics f -c a.c",
            "local: -serialize-diagnostics writes a file of diagnostics",
        ),
        (
            "clang --serialize-diagnostics f -c a.c",
            "local: --serialize-diagnostics writes a file of diagnostics",
        ),
        (
            "gcc -Wa,-adhln=x.lst -c a.c",
            "local: -Wa,-adhln=x.lst writes an assembler listing",
        ),
        (
            "gcc -Wa,-L,--MD,x -c a.c",
            "local: -Wa,-L,--MD,x writes dependencies of the assembler",
        ),
        (
            "gcc -Xassembler -a -c a.c",
            "local: -Xassembler writes an assembler listing",
        ),
        (
            "gcc -specs=x -c a.c",
            "local: -specs=x brings code into the compiler",
        ),
        (
            "gcc -fplugin=x.so -c a.c",
            "local: -fplugin=x.so brings code into the compiler",
        ),
        (
            "gcc -wrapper gdb -c a.c",
            "local: -wrapper brings code into the compiler",
        ),
        (
            "gcc -B /x -c a.c",
            "local: -B brings code into the compiler",
        ),
        (
            "clang -Xclang -load -Xclang x.so -c a.c",
            "local: -Xclang -load brings code into the compiler",
        ),
        (
            "clang -Xclang -emit-pch -c a.c",
            "local: -Xclang -emit-pch is not distributed",
        ),
        (
            "g++ -fmodules-ts -c a.cc",
            "local: -fmodules-ts uses modules",
        ),
        (
            "gcc -ftime-report -c a.c",
            "local: -ftime-report reports on this very run",
        ),
        (
            "clang -include-pch x.pch -c a.c",
            "local: -include-pch reads a file that is not shipped",
        ),
        (
            "gcc -frecord-gcc-switches -c a.c",
            "local: -frecord-gcc-switches puts the command line into the output",
        ),
        (
            "clang -grecord-gcc-switches -c a.c",
            "local: -grecord-gcc-switches puts the command line into the output",
        ),
        ("gcc -grecord-gcc-switches -fverbose-asm -c a.c", "pump"),
        (
            "gcc -fverbose-asm -S a.c",
            "local: -fverbose-asm puts the command line into the output",
        ),
        (
            "clang -emit-interface-stubs -c a.c",
            "local: -emit-interface-stubs is not distributed",
        ),
        ("nvcc -c a.cc", "local: nvcc is not gcc or clang"),
        ("gcc -frepo -c a.c", "local: -frepo is not distributed"),
        (
            "gcc -dumpbase x -c a.c",
            "local: -dumpbase changes how outputs are named",
        ),
        (
            "clang -arch_only x -c a.c",
            "local: -arch_only makes several compiles of one",
        ),
        (
            "gcc -fuse-ld=/x/ld -c a.c",
            "local: -fuse-ld=/x/ld brings code into the compiler",
        ),
        (
            "gcc -Wp,plain -c a.c",
            "local: -Wp,plain passes on a word of unknown meaning",
        ),
        (
            "clang -Wp,-MD,w,-DX -c a.c",
            "local: -Wp,-MD,w,-DX passes on a word of unknown meaning",
        ),
        (
            "cc -Wp,-MD,w -c a.c -o x/a.o",
            "local: the target in the file of -Wp,-MD,w depends on the compiler; call it gcc or clang",
        ),
        ("cc -Wp,-MD,w -c a.c -o a.o", "pump"),
        ("cc -Wp,-MD,w -MT x/a.o -c a.c -o x/a.o", "pump"),
    ]);
}

#[test]
fn jobs_that_are_preprocessed_here() {
    check(&[
        ("gcc -c a.i", "plain: the source is preprocessed already"),
        (
            "gcc -c -x cpp-output a.c",
            "plain: the source is preprocessed already",
        ),
        (
            "gcc -I- -c a.c",
            "plain: -I- changes the search path in an unusual way",
        ),
        (
            "gcc -imultilib 32 -c a.c",
            "plain: -imultilib changes the search path in an unusual way",
        ),
        (
            "gcc -MD -MT a -MT b -c a.c",
            "plain: several -MT or -MQ targets, of which servers lose one",
        ),
        ("gcc -MT a -MT b -c a.c", "pump"),
        (
            "clang -ivfsoverlay x.yaml -c a.c",
            "plain: -ivfsoverlay overlays the file system",
        ),
        (
            "gcc -finput-charset=latin1 -c a.c",
            "plain: -finput-charset=latin1: the source is not in UTF-8",
        ),
        (
            "gcc -traditional-cpp -c a.c",
            "plain: -traditional-cpp asks for the old preprocessor",
        ),
        (
            "gcc -Xpreprocessor -what -c a.c",
            "plain: -Xpreprocessor -what passes an unknown word to the preprocessor",
        ),
        ("gcc -H -c a.c", "plain: -H prints the names of headers"),
        (
            "gcc -MD -MG -c a.c",
            "plain: -MG takes missing headers as generated",
        ),
        (
            "clang -Xclang -Ix -c a.c",
            "plain: -Xclang -Ix passes an unknown word to the preprocessor",
        ),
    ]);
}

#[test]
fn extra_outputs_are_named() {
    let of = |line: &str| parse(line).extra_outputs();
    assert_eq!(of("gcc -c a.c -o a.o -MD"), []);
    assert_eq!(
        of("gcc -gsplit-dwarf -fstack-usage -c a.c"),
        [ExtraOutput::SplitDwarf, ExtraOutput::StackUsage]
    );
    assert_eq!(of("gcc --coverage -c a.c"), [ExtraOutput::CoverageNotes]);
    assert_eq!(of("gcc -c a.h"), [ExtraOutput::Precompiled]);
    assert_eq!(
        of("gcc -fopt-info-loop=f -Wa,-al=x -c a.c"),
        [ExtraOutput::OptimisationReport, ExtraOutput::Listing]
    );
}

#[test]
fn reasons_stay_on_one_printable_line() {
    let long = [b"gcc -c a\n.c -fplugin=\x1b\xff".to_vec(), vec![b'x'; 400]].concat();
    let words: Vec<Word> = long.split(|&b| b == b' ').map(<[u8]>::to_vec).collect();
    let Distribution::Local(reason) = verdict(&CommandLine::parse(&words)) else {
        panic!("a plugin keeps the job here");
    };
    let text = reason.to_string();
    assert!(!text.contains(['\n', '\x1b']) && text.len() < 250, "{text}");
}
