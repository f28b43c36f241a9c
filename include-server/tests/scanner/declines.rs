//! What the scanner refuses to answer, and why; and what `-M` does not tell.

use std::os::unix::fs::MetadataExt;

use include_server::closure::Closure;
use include_server::decline::Decline;

use crate::support::{compiler, names, plain, plant, rule_names, scan_in, words};

/// Scans a fixture by gcc's rules; `None` when there is no gcc.
fn outcome(command: &str, fixture: &str) -> Option<Result<Closure, Decline>> {
    outcome_by("gcc", command, fixture)
}

fn outcome_by(program: &str, command: &str, fixture: &str) -> Option<Result<Closure, Decline>> {
    let tree = plant(fixture);
    let compiler = compiler(program)?;
    Some(scan_in(&compiler, tree.path(), &words(command)))
}

/// The fixture is declined, and the reason says all of `says`.
#[track_caller]
pub(super) fn check_declined(command: &str, fixture: &str, says: &[&str]) {
    check_declined_by("gcc", command, fixture, says);
}

/// As [`check_declined`], by the rules of that compiler.
#[track_caller]
pub(super) fn check_declined_by(program: &str, command: &str, fixture: &str, says: &[&str]) {
    match outcome_by(program, command, fixture) {
        None => {}
        Some(Ok(closure)) => panic!("not declined: {:?}", closure.files),
        Some(Err(decline)) => {
            let reason = decline.to_string();
            for word in says {
                assert!(reason.contains(word), "{word:?} is not in {reason:?}");
            }
            assert!(!reason.contains('\n'), "{reason:?} has more than one line");
        }
    }
}

#[track_caller]
fn check_accepted(command: &str, fixture: &str) -> Option<Closure> {
    match outcome(command, fixture)? {
        Ok(closure) => Some(closure),
        Err(decline) => panic!("declined: {decline}"),
    }
}

#[test]
fn not_found() {
    check_declined(
        "-Ii a.c",
        "//- a.c\n\n#include \"b.h\"\n//- i/x\n",
        &["a.c:2", "\"b.h\"", "i,"],
    );
    check_declined("a.c", "//- a.c\n#include <b.h>\n", &["<b.h>", "a.c:1"]);
    check_declined("-include b.h a.c", "//- a.c\n", &["b.h", "command-line"]);
    check_declined("b.c", "//- a.c\n", &["b.c"]);
    check_declined("a.c", "//- a.c/\n", &["a.c"]);
}

#[test]
fn errors_the_compiler_reports_better() {
    check_declined("a.c", "//- a.c\n#error no way\n", &["a.c:1", "no way"]);
    check_declined(
        "a.c",
        "//- a.c\n#pragma GCC error \"no way\"\n",
        &["no way"],
    );
    check_declined("a.c", "//- a.c\n#if 1\n", &["a.c:1", "#endif"]);
    check_declined("a.c", "//- a.c\n#endif\n", &["#endif"]);
    check_declined("a.c", "//- a.c\n#if 1\n#else\n#else\n#endif\n", &["#else"]);
    check_declined("a.c", "//- a.c\n/* \n", &["comment"]);
    check_declined("a.c", "//- a.c\n#frobnicate\n", &["frobnicate"]);
    for condition in [
        "", "1/0", "1 +", "(1", "1 2", "\"s\"", "1.5", "defined", "1 ? 2", "F(", "''", "x = 1",
        "@", "1 % 0",
    ] {
        check_declined(
            "a.c",
            &format!("//- a.c\n#define F(x) x\n#if {condition}\n#endif\n"),
            &["a.c:2"],
        );
    }
    for line in [
        "#define",
        "#define 1",
        "#define defined",
        "#define F(a,a) a",
        "#define F(a) #b",
        "#define X ## a",
        "#ifdef\n#endif",
        "#undef 3",
        "#include",
        "#include x",
        "#include \"\"",
        "#include <x",
        "#line x",
    ] {
        check_declined("a.c", &format!("//- a.c\n{line}\n"), &["a.c:1"]);
    }
}

#[test]
fn endless_work() {
    check_declined("a.c", "//- a.c\n#include \"a.c\"\n", &["200"]);
    let mut doubling = String::from("//- a.c\n#define A0 1 +\n");
    for level in 1..60 {
        doubling += &format!("#define A{level} A{} A{}\n", level - 1, level - 1);
    }
    check_declined("a.c", &(doubling + "#if A59 1\n#endif\n"), &["too long"]);
    let nested = format!(
        "//- a.c\n#define F(x) x\n#if {}1{}\n#endif\n",
        "F(".repeat(5000),
        ")".repeat(5000)
    );
    check_declined("a.c", &nested, &["too long"]);
    let parentheses = format!(
        "//- a.c\n#if {}1{}\n#endif\n",
        "(".repeat(50_000),
        ")".repeat(50_000)
    );
    check_declined("a.c", &parentheses, &["too long"]);
    check_declined(
        "a.c",
        &format!("//- a.c\n#if {}1\n#endif\n", "!".repeat(50_000)),
        &["too long"],
    );
}

#[test]
fn doubtful_values() {
    check_declined(
        "a.c",
        "//- a.c\nconst char *t = __TIMESTAMP__;\n",
        &["__TIMESTAMP__", "a.c"],
    );
    check_declined(
        "a.c",
        "//- a.c\nint i = __COUNTER__;\n#if __COUNTER__ == 1\n#endif\n",
        &["__COUNTER__"],
    );
    check_declined(
        "a.c",
        "//- a.c\n#define X 1\n_Pragma(\"push_macro(\\\"X\\\")\")\n",
        &["push_macro"],
    );
    check_declined(
        "a.c",
        "//- a.c\n#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\n#endif\n",
        &["__AVX2__"],
    );
    check_declined(
        "a.c",
        "//- a.c\n#pragma GCC optimize(\"O3\")\n#ifdef __OPTIMIZE__\n#endif\n",
        &["__OPTIMIZE__"],
    );
    check_declined(
        "a.c",
        "//- a.c\n_Pragma(\"GCC target(\\\"avx2\\\")\")\n#ifdef __AVX2__\n#endif\n",
        &["__AVX2__"],
    );
    check_accepted(
        "a.c",
        "//- a.c\n#pragma GCC push_options\n#pragma GCC target(\"avx2\")\n#pragma GCC pop_options\n#ifdef __AVX2__\n#endif\n",
    );
    check_accepted(
        "a.c",
        "//- a.c\n/* __TIMESTAMP__ */ const char *s = \"__TIMESTAMP__\";\n#if 0\n__TIMESTAMP__\n#endif\n",
    );
    check_accepted(
        "a.c",
        "//- a.c\n_Pragma(\"GCC diagnostic push\")\nint i = __COUNTER__;\n",
    );
}

#[test]
fn time_of_compilation() {
    check_declined("a.c", "//- a.c\n#define BUILT __DATE__\n", &["__DATE__"]);
    check_declined("a.c", "//- a.c\nconst char *s = __TIME__;\n", &["__TIME__"]);
    check_declined("-DBUILT=__TIME__ a.c", "//- a.c\n", &["__TIME__"]);
    check_accepted(
        "a.c",
        "//- a.c\n/* __DATE__ */ const char *s = \"__TIME__\";\n#if 0\n__DATE__\n#endif\n",
    );
}

#[test]
fn what_is_not_followed() {
    check_declined("a.S", "//- a.S\n .incbin \"x\"\n", &[".incbin"]);
    check_declined(
        "a.c",
        "//- a.c\nasm(\".incbin \\\"x\\\"\");\n",
        &[".incbin"],
    );
    check_declined("a.cc", "//- a.cc\nimport foo;\n", &["module"]);
    check_declined("a.cc", "//- a.cc\nexport module foo;\n", &["module"]);
    check_declined(
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n//- b.h.gch\n",
        &["precompiled"],
    );
    check_declined(
        "-include b.h a.c",
        "//- a.c\n//- b.h\n//- b.h.gch\n",
        &["precompiled"],
    );
    check_declined(
        "-Ii -Ij a.c",
        "//- a.c\n#include <b.h>\n//- i/b.h.gch\n//- j/b.h\n",
        &["precompiled"],
    );
    check_accepted(
        "a.c",
        "//- a.c\n#include \"c.h\"\n#include \"b.h\"\n//- b.h\n//- c.h\n//- b.h.gch\n",
    );
    check_accepted("a.cc", "//- a.cc\nint import = 1, module = 2;\n");
    check_accepted("a.c", "//- a.c\nint import;\n");
}

#[test]
fn equal_headers_read_once() {
    let fixture = "//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n//- b.h\n#pragma once\nint x;\n//- d/b.h\n#pragma once\nint x;\n";
    check_declined("a.c", fixture, &["b.h", "d/b.h", "equal content"]);
    if let Some(outcome) = outcome_by("clang-19", "a.c", fixture) {
        assert_eq!(outcome.expect("clang goes by inodes").files.len(), 3);
    }
    let tree =
        plant("//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n//- b.h\n#pragma once\n//- d/x\n");
    std::fs::hard_link(tree.path().join("b.h"), tree.path().join("d/b.h")).unwrap();
    for program in ["gcc", "clang-19"] {
        if let Some(compiler) = compiler(program) {
            let outcome = scan_in(&compiler, tree.path(), &words("a.c"));
            assert!(
                matches!(outcome, Err(Decline::EqualOnceHeaders { .. })),
                "{program}: {outcome:?}"
            );
        }
    }
}

#[test]
fn unusual_files() {
    let tree = plant("//- a.c\n#include \"fifo.h\"\n");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.path().join("fifo.h"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    if let Some(compiler) = compiler("gcc") {
        let outcome = scan_in(&compiler, tree.path(), &words("a.c"));
        assert!(
            matches!(outcome, Err(Decline::Unreadable { .. })),
            "{outcome:?}"
        );
    }
    check_declined(
        "a.c",
        "//- a.c\n#include \"loop.h\"\n//- loop.h -> loop.h\n",
        &["loop.h"],
    );
}

fn hit_names(closure: &Closure) -> Vec<String> {
    closure
        .has_include_hits
        .iter()
        .map(|file| plain(&file.name.to_string_lossy()))
        .collect()
}

#[test]
fn what_a_remote_preprocessor_needs_too() {
    let closure = check_accepted(
        "-Ii -Ij a.c",
        "//- a.c\n#if __has_include(<opt.h>) && !__has_include(<none.h>)\n#include <x.h>\n#endif\n//- j/opt.h\n//- j/x.h\n//- i/y\n",
    );
    if let Some(closure) = closure {
        assert_eq!(hit_names(&closure), ["j/opt.h"]);
        for absent in ["i/opt.h", "i/none.h", "j/none.h", "i/x.h"] {
            assert!(
                closure
                    .probed_absent()
                    .iter()
                    .any(|name| name.to_str() == Some(absent)),
                "{absent}"
            );
        }
        assert!(
            !closure
                .probed_absent()
                .iter()
                .any(|name| name.to_str() == Some("j/x.h"))
        );
    }
    // A second name of a file that is read once is opened before the compiler sees that it knows the content.
    let closure = check_accepted(
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n//- b.h\n#pragma once\n//- l -> .\n",
    );
    if let Some(closure) = closure {
        assert_eq!(hit_names(&closure), ["l/b.h"]);
    }
}

#[test]
fn content_is_what_was_read() {
    let closure = check_accepted("a.c", "//- a.c\n#include \"b.h\"\n//- b.h\nint b;\n");
    if let Some(closure) = closure {
        let header = closure
            .files
            .iter()
            .find(|file| file.name.ends_with("b.h"))
            .unwrap();
        assert_eq!(&header.content.bytes().unwrap()[..], b"int b;\n");
        assert_eq!(
            header.content.digest(),
            blake3::hash(b"int b;\n").as_bytes()
        );
        assert_eq!(header.content.stamp().size, 7);
        assert_eq!(
            &closure.files[0].content.bytes().unwrap()[..],
            b"#include \"b.h\"\n"
        );
        assert_ne!(
            header.content.stamp().inode,
            std::fs::metadata("/").unwrap().ino()
        );
    }
}

#[test]
fn pragmas_in_cxx() {
    let fixture = "//- a.cc\n#pragma GCC target(\"avx2\")\n#pragma GCC optimize(\"O2\")\n#if defined __AVX2__ || defined __OPTIMIZE__\n#include \"no.h\"\n#endif\n//- no.h\n";
    let tree = plant(fixture);
    let Some(compiler) = compiler("g++") else {
        return;
    };
    // What the compile itself reads, which -M need not show.
    let output = std::process::Command::new(&compiler.program)
        .current_dir(tree.path())
        .args(["-MD", "-MF", "a.d", "-c", "a.cc", "-o", "a.o"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let rule = std::fs::read_to_string(tree.path().join("a.d")).unwrap();
    // Either the same files, or a decline; never others.
    match scan_in(&compiler, tree.path(), &words("a.cc")) {
        Ok(closure) => assert_eq!(names(&closure), rule_names(&rule)),
        Err(decline) => assert!(matches!(decline, Decline::Unsupported { .. }), "{decline}"),
    }
}
