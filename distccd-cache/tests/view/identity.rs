//! The namespace view: object and dependency file are, byte for byte, what a compile at the client writes.

use distccd_cache::job::CompileOutcome;
use distccd_cache::workshop::ViewPolicy;

use crate::support::{Project, TestShop, assert_same, compilers};

const C: [&str; 2] = ["gcc", "clang-19"];
const CXX: [&str; 2] = ["g++", "clang++-19"];

fn project() -> Project {
    Project::new(&[
        (
            "a.c",
            "#include <assert.h>\n#include <stdio.h>\n#include \"sub/a.h\"\n#include \"b.h\"\nint f(int x) { assert(x); puts(__FILE__ B_FILE __BASE_FILE__); return A; }\n",
        ),
        (
            "a.cc",
            "#include <vector>\n#include <cassert>\n#include \"sub/a.h\"\nint g(std::vector<int>& v) { assert(v.size()); v.push_back(A); return v.at(0); }\n",
        ),
        ("sub/a.h", "#pragma once\n#define A 3\n"),
        (
            "inc/b.h",
            "#define B_FILE __FILE__\nstatic inline int b(void) { return __LINE__; }\n",
        ),
    ])
}

/// Compiles here and there and compares all that comes back.
#[track_caller]
fn check(
    project: &Project,
    compilers: &[std::path::PathBuf],
    words: &str,
    object: &str,
    dependencies: Option<&str>,
) {
    let shop = TestShop::new(ViewPolicy::Namespace);
    for compiler in compilers {
        let here = project.compile_here(compiler, words, object, dependencies);
        let what = format!("{} {words}", compiler.display());
        let finished = shop
            .run(project.request(words), compiler)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let reply = finished.reply;
        assert_eq!(
            String::from_utf8_lossy(&reply.stderr),
            String::from_utf8_lossy(&here.stderr),
            "{what}"
        );
        assert_eq!(finished.outcome, CompileOutcome::Ok, "{what}");
        assert_eq!(finished.view, "namespace");
        assert_same(&what, &reply.object, &here.object);
        let written = reply
            .dependencies
            .expect("protocol 3 always carries dependencies");
        if let Some(expected) = here.dependencies {
            assert_eq!(
                String::from_utf8_lossy(&written),
                String::from_utf8_lossy(&expected),
                "{what}"
            );
        }
    }
}

#[test]
fn c_with_all_kinds_of_debug_information() {
    for options in [
        "-O2",
        "-O2 -g",
        "-g -gdwarf-4",
        "-g3",
        "-O1 -g -gz",
        "-g -grecord-gcc-switches",
    ] {
        let words = format!("cc {options} -Iinc -c a.c -o a.o");
        check(&project(), &compilers(&C), &words, "a.o", None);
    }
}

#[test]
fn cxx_with_the_standard_library() {
    check(
        &project(),
        &compilers(&CXX),
        "c++ -O2 -g -MD -c a.cc -o out/a.o",
        "out/a.o",
        Some("out/a.d"),
    );
}

#[test]
fn dependency_files_of_all_kinds() {
    let cases = [
        ("-MD", "a.d"),
        ("-MMD", "a.d"),
        ("-MD -MP", "a.d"),
        ("-MMD -MF deps/x.dep", "deps/x.dep"),
        ("-MD -MF {}/deps/x.dep -MT one -MT two", "deps/x.dep"),
        ("-MMD -MQ a$b.o", "a.d"),
    ];
    for (options, file) in cases {
        let words = format!("cc {options} -I{{}}/inc -c a.c -o a.o");
        check(&project(), &compilers(&C), &words, "a.o", Some(file));
    }
}

#[test]
fn absolute_source_search_path_and_output() {
    let words = "cc -g -MD -I {}/inc -iquote {}/sub -include {}/sub/a.h -c {}/a.c -o {}/obj/a.o";
    check(
        &project(),
        &compilers(&C),
        words,
        "obj/a.o",
        Some("obj/a.d"),
    );
}

#[test]
fn no_output_named_and_assembler_output() {
    check(&project(), &compilers(&C), "cc -Iinc -c a.c", "a.o", None);
    check(
        &project(),
        &compilers(&C),
        "cc -Iinc -S -g a.c",
        "a.s",
        None,
    );
}

#[test]
fn links_on_the_way_to_headers() {
    let project = || {
        Project::new(&[
            ("a.c", "#include \"v.h\"\n#include <w.h>\nint x = V + W;\n"),
            ("real/v.h", "#include \"beside.h\"\n#define V 1\n"),
            ("real/beside.h", "#define BESIDE\n"),
            ("real/w.h", "#define W 2\n"),
        ])
        .link("v.h", "real/v.h")
        .link("beside.h", "{}/real/beside.h")
        .link("inc", "{}/real")
    };
    check(
        &project(),
        &compilers(&C),
        "cc -g -MD -Iinc -c a.c -o a.o",
        "a.o",
        Some("a.d"),
    );
    check(
        &project(),
        &compilers(&C),
        "cc -g -MD -I{}/inc -c a.c -o a.o",
        "a.o",
        Some("a.d"),
    );
}

#[test]
fn equal_headers_at_two_paths_stay_two() {
    let header = "#pragma once\nCOUNT\n";
    let project = Project::new(&[
        (
            "a.c",
            "#define COUNT int one;\n#include \"p/h.h\"\n#undef COUNT\n#define COUNT int two = 2;\n#include \"q/h.h\"\n",
        ),
        ("p/h.h", header),
        ("q/h.h", header),
    ]);
    let shop = TestShop::new(ViewPolicy::Namespace);
    for compiler in compilers(&C) {
        let finished = shop
            .run(project.request("cc -S a.c -o a.s"), &compiler)
            .expect("a reply");
        let assembler = String::from_utf8_lossy(&finished.reply.object).into_owned();
        assert!(
            assembler.contains("one") && assembler.contains("two"),
            "{assembler}"
        );
    }
}

#[test]
fn diagnostics_are_the_clients() {
    let project = Project::new(&[
        ("a.c", "#include \"w.h\"\nint f(void) { }\n"),
        ("inc/w.h", "static int unused(void);\n"),
    ]);
    check(
        &project,
        &compilers(&C),
        "cc -Wall -I{}/inc -c a.c -o a.o",
        "a.o",
        None,
    );
}
