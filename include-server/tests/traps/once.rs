//! `once_`, `guard_`, `import_`: files that are read once.

use crate::case::*;

#[test]
fn once_by_pragma() {
    let twice = "//- a.c\n#include \"b.h\"\n#include \"b.h\"\n#include \"./b.h\"\n#include \"c.h\"\n#include \"yes.h\"\n//- b.h\n#pragma once\n#ifdef SECOND\n#include \"no.h\"\n#endif\n#define SECOND\n//- c.h\n#undef SECOND\n#include \"b.h\"\n//- no.h\n//- yes.h\n";
    trap(BOTH, "a.c", twice).exact();
    trap(BOTHXX, "a.cc", twice.replace("a.c\n", "a.cc\n")).exact();
    trap(BOTH, "-include b.h a.c", twice).exact();
}

#[test]
fn once_applies_when_the_pragma_is_executed() {
    trap(BOTH, "a.c", "//- a.c\n#if 1\n#include \"b.h\"\n#define LATE\n#include \"b.h\"\n#include \"b.h\"\n#endif\n//- b.h\n#ifdef LATE\n#pragma once\n#ifdef THIRD\n#include \"no.h\"\n#endif\n#define THIRD\n#endif\n#include \"yes.h\"\n//- no.h\n//- yes.h\n").exact();
    trap(BOTH, "a.c", "//- a.c\n#include \"b.h\"\n#include \"yes.h\"\n//- b.h\n#ifndef IN\n#define IN\n#include \"b.h\"\n#pragma once\n#endif\n//- yes.h\n").exact();
}

#[test]
fn once_in_the_source() {
    trap(BOTH, "-w a.c", "//- a.c\n#pragma once\n#ifndef IN\n#define IN\n#include \"b.h\"\n#endif\n#include \"yes.h\"\n//- b.h\n//- yes.h\n").exact();
    trap(CLANG, "-w a.c", "//- a.c\n#pragma once\n#ifndef IN\n#define IN\n#include \"a.c\"\n#endif\n#include \"yes.h\"\n//- yes.h\n").exact();
    trap(GCC, "-w a.c", "//- a.c\n#pragma once\n#ifndef IN\n#define IN\n#include \"a.c\"\n#endif\n#include \"yes.h\"\n//- yes.h\n").exact();
}

#[test]
fn once_by_operator() {
    // Only the compile obeys it, not gcc's -M.
    let fixture = "//- a.c\n#include \"b.h\"\n#include \"b.h\"\n//- b.h\n_Pragma(\"once\")\n#ifdef SECOND\n#include \"no.h\"\n#endif\n#define SECOND\n//- no.h\n";
    trap(BOTH, "-w a.c", fixture).exact();
    let in_an_argument = fixture.replace(
        "_Pragma(\"once\")",
        "#define DROP(x)\nDROP(\n_Pragma(\"once\")\n)",
    );
    trap(BOTH, "-w a.c", in_an_argument).declined(&["once", "_Pragma"]);
    let in_a_macro = fixture.replace("_Pragma(\"once\")", "#define ONCE _Pragma(\"once\")\nONCE");
    trap(BOTH, "-w a.c", in_a_macro).declined(&["once", "_Pragma"]);
    trap(BOTH, "a.c", "//- a.c\nextern int once;\n_Pragma(\"GCC diagnostic push\")\nconst char *s[] = {\"once\"};\n").exact();
}

#[test]
fn once_equal_content_and_time_is_one_file_to_gcc() {
    // On a server the times would be others.
    let same = "//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n//- b.h @ 5\n#pragma once\nint x;\n//- d/b.h @ 5\n#pragma once\nint x;\n";
    trap(GCC, "a.c", same).declined(&["b.h", "d/b.h", "equal content", "time stamps"]);
    let other_content = same.replace(
        "d/b.h @ 5\n#pragma once\nint x",
        "d/b.h @ 5\n#pragma once\nint y",
    );
    trap(GCC, "a.c", other_content).exact();
}

#[test]
fn once_equal_content_of_other_times_is_two_files() {
    let twins = "//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n#include \"e/b.h\"\n#include \"d/b.h\"\n//- b.h @ 5\n#pragma once\nextern int x;\n#ifdef TWO\n#include \"yes.h\"\n#endif\n#ifdef ONE\n#define TWO\n#endif\n#define ONE\n//- d/b.h @ 6\n#pragma once\nextern int x;\n#ifdef TWO\n#include \"yes.h\"\n#endif\n#ifdef ONE\n#define TWO\n#endif\n#define ONE\n//- e/b.h @ 7\n#pragma once\nextern int x;\n#ifdef TWO\n#include \"yes.h\"\n#endif\n#ifdef ONE\n#define TWO\n#endif\n#define ONE\n//- e/yes.h\n//- yes.h\n//- d/yes.h\n";
    trap(GCC, "a.c", twins).exact();
    let once = "#pragma once\n";
    // What makes them two on the server is a line of their own at the end.
    for end in ["#define X \\\n", "#define X \\ \n"] {
        let twins = format!(
            "//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n//- b.h @ 5\n{once}{end}//- d/b.h @ 6\n{once}{end}"
        );
        trap(GCC, "a.c", &twins).declined(&["equal content"]);
    }
    // With it, a file would become the twin of another.
    let three = format!(
        "//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n#include \"e.h\"\n//- b.h @ 5\n{once}//- d/b.h @ 6\n{once}//- e.h @ 7\n{once}\n"
    );
    trap(GCC, "a.c", &three).declined(&["equal content"]);
}

#[test]
fn once_equal_content_is_two_files_to_clang() {
    trap(CLANG, "a.c", "//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n#include \"yes.h\"\n//- yes.h\n//- b.h @ 5\n#pragma once\nextern int x;\n//- d/b.h @ 5\n#pragma once\nextern int x;\n").exact();
}

#[test]
fn once_hard_links() {
    let fixture =
        "//- a.c\n#include \"b.h\"\n#include \"c.h\"\n//- b.h\n#pragma once\n//- c.h => b.h\n";
    trap(BOTH, "a.c", fixture).declined(&["b.h", "c.h"]);
    // Two names of one file that is not read once are two files to gcc. clang goes by the first name, which a server with
    // two files would not do.
    let twice = "//- a.c\n#include \"b.h\"\n#include \"c.h\"\n#include \"yes.h\"\n//- yes.h\n//- b.h\nextern int i;\n//- c.h => b.h\n";
    trap(GCC, "a.c", twice).exact();
    trap(CLANG, "a.c", twice).declined(&["c.h", "b.h", "hard link"]);
}

#[test]
fn once_symbolic_links_are_one_file() {
    trap(GCC, "a.c", "//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n#include \"c.h\"\n//- b.h\n#pragma once\n//- l -> .\n//- c.h -> b.h\n").exact();
    trap(CLANG, "a.c", "//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n#include \"c.h\"\n//- b.h\n#pragma once\n//- l -> .\n//- c.h -> b.h\n").exact();
}

#[test]
fn guard_second_spelling_is_opened() {
    trap(BOTH, "a.c", "//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n#include \"yes.h\"\n//- yes.h\n//- b.h\n#ifndef B_H\n#define B_H\n#endif\n//- l -> .\n").exact();
    trap(BOTH, "a.c", "//- a.c\n#include \"b.h\"\n#include \"./b.h\"\n#include \"d/../b.h\"\n//- b.h\n#ifndef B_H\n#define B_H\n#endif\n//- d/x\n").exact();
}

#[test]
fn guard_undefined_again() {
    trap(BOTH, "a.c", "//- a.c\n#include \"b.h\"\n#undef B_H\n#define AGAIN\n#include \"b.h\"\n//- b.h\n#ifndef B_H\n#define B_H\n#ifdef AGAIN\n#include \"yes.h\"\n#endif\n#endif\n//- yes.h\n").exact();
}

#[test]
fn guard_from_the_command_line() {
    trap(BOTH, "-DB_H a.c", "//- a.c\n#include \"b.h\"\n//- b.h\n#if !defined(B_H)\n#include \"no.h\"\n#endif\n//- no.h\n").exact();
}

#[test]
fn guard_shared_by_two_headers() {
    trap(BOTH, "a.c", "//- a.c\n#include \"b.h\"\n#include \"c.h\"\n#include \"yes.h\"\n//- b.h\n#ifndef SAME\n#define SAME\n#endif\n//- c.h\n#ifndef SAME\n#define SAME\n#include \"no.h\"\n#endif\n//- no.h\n//- yes.h\n").exact();
}

#[test]
fn guard_that_is_none() {
    // With another branch, something behind it, something before it, or another condition the file is read again.
    for body in [
        "#ifndef G\n#define G\n#else\n#include \"yes.h\"\n#endif\n",
        "#ifndef G\n#define G\n#elif 1\n#include \"yes.h\"\n#endif\n",
        "#ifndef G\n#define G\n#endif\n#ifdef TWICE\n#include \"yes.h\"\n#endif\n#define TWICE\n",
        "#ifdef TWICE\n#include \"yes.h\"\n#endif\n#define TWICE\n#ifndef G\n#define G\n#endif\n",
        "#if !defined(G) || defined(TWICE)\n#ifdef G\n#include \"yes.h\"\n#endif\n#define G\n#define TWICE\n#endif\n",
        "#ifndef G\n#define G\n#endif\n#ifndef H\n#define H\n#else\n#include \"yes.h\"\n#endif\n",
        "#ifdef G\n#include \"yes.h\"\n#endif\n#define G\n",
        "#if defined G\n#include \"yes.h\"\n#else\n#define G\n#endif\n",
        "#if !G\n#define G 1\n#else\n#include \"yes.h\"\n#endif\n",
    ] {
        trap(
            BOTH,
            "a.c",
            format!("//- a.c\n#include \"b.h\"\n#include \"b.h\"\n//- yes.h\n//- b.h\n{body}"),
        )
        .exact();
    }
}

#[test]
fn guard_in_all_its_forms() {
    for open in [
        "#ifndef G",
        "#if !defined G",
        "#if !defined(G)",
        "/* about */\n\n// more\n#if ! defined ( G )",
        "#if \\\n!defined(G)",
        "#  ifndef G // it",
    ] {
        trap(BOTH, "a.c", format!("//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n#include \"b.h\"\n#include \"yes.h\"\n//- l -> .\n//- yes.h\n//- b.h\n{open}\n#define G\n#endif /* G */\n\n// end\n")).exact();
    }
}

#[test]
fn guard_macro_that_is_a_function() {
    trap(BOTH, "a.c", "//- a.c\n#define G(x) x\n#include \"b.h\"\n#include \"yes.h\"\n//- b.h\n#ifndef G\n#include \"no.h\"\n#endif\n//- no.h\n//- yes.h\n").exact();
}

#[test]
fn guard_depth_limit() {
    // 200 files deep is the most.
    let tree = |depth: u32| {
        format!(
            "//- a.c\n#include \"r.h\"\n//- r.h\n#if __INCLUDE_LEVEL__ < {depth}\n#include \"r.h\"\n#elif __INCLUDE_LEVEL__ == {depth}\n#include \"yes.h\"\n#endif\n//- yes.h\n"
        )
    };
    trap(BOTH, "a.c", tree(190)).exact();
    trap(BOTH, "a.c", tree(198)).exact();
    for depth in [199, 200, 201, 202] {
        trap(GCC, "a.c", tree(depth)).exact_or_declined();
        trap(CLANG, "a.c", tree(depth)).exact_or_declined();
    }
    trap(GCC, "-fmax-include-depth=20 a.c", tree(15)).exact();
    trap(GCC, "-fmax-include-depth=20 a.c", tree(25)).declined(&["deeper than 20"]);
    trap(GCC, "-fmax-include-depth=300 a.c", tree(250)).exact();
}

#[test]
fn guard_cycles() {
    trap(BOTH, "a.c", "//- a.c\n#include \"b.h\"\n#include \"yes.h\"\n//- b.h\n#ifndef B\n#define B\n#include \"c.h\"\n#endif\n//- c.h\n#ifndef C\n#define C\n#include \"b.h\"\n#include \"d.h\"\n#endif\n//- d.h\n#pragma once\n#include \"d.h\"\n#include \"b.h\"\n//- yes.h\n").exact();
}

#[test]
fn import_in_c_and_objective_c() {
    let fixture = "//- a.c\n#import \"b.h\"\n#import \"b.h\"\n#include \"b.h\"\n#include \"yes.h\"\n//- b.h\n#ifdef T\n#include \"no.h\"\n#endif\n#define T\n//- no.h\n//- yes.h\n";
    trap(BOTH, "-Wno-deprecated a.c", fixture).exact();
    trap(BOTH, "a.m", fixture.replace("a.c\n", "a.m\n")).exact();
    trap(BOTHXX, "a.mm", fixture.replace("a.c\n", "a.mm\n")).exact();
}

#[test]
fn import_of_a_file_read_before() {
    for (compilers, command, source) in [
        (GCC, "-Wno-deprecated a.c", "a.c"),
        (CLANG, "-Wno-deprecated a.c", "a.c"),
        (GCC, "a.m", "a.m"),
        (CLANG, "a.m", "a.m"),
    ] {
        trap(compilers, command, format!("//- {source}\n#include \"b.h\"\n#import \"b.h\"\n#include \"b.h\"\n#include \"yes.h\"\n//- b.h\n#ifdef T\n#include \"two.h\"\n#endif\n#define T\n//- two.h\n//- yes.h\n")).exact();
        trap(compilers, command, format!("//- {source}\n#import \"b.h\"\n#import \"l/b.h\"\n#import \"c.h\"\n#include \"yes.h\"\n//- b.h\n#ifdef T\n#include \"two.h\"\n#endif\n#define T\n//- l -> .\n//- c.h -> b.h\n//- two.h\n//- yes.h\n")).exact();
    }
}

#[test]
fn import_of_equal_headers() {
    let equal = "//- a.m\n#import \"b.h\"\n#import \"d/b.h\"\n//- b.h @ 5\nextern int x;\n//- d/b.h @ 5\nextern int x;\n";
    trap(GCC, "a.m", equal).declined(&["equal content"]);
    trap(GCC, "a.m", equal.replace("d/b.h @ 5", "d/b.h @ 6")).exact();
    trap(CLANG, "a.m", equal).exact();
}
