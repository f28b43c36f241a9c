//! What the differential fuzzer (tests/fuzz) has found, each as the small case it was shrunk to.

use std::path::Path;

use include_server::answer::Answerer;
use include_server::facts::Freshness;
use protocol::include_dialogue::Query;

use crate::declines::{check_declined, check_declined_by};
use crate::peers::{BOTH, GCC, YES_NO, check, check_condition, check_source};
use crate::support::{compiler, names, plant, reference, words};

/// A compile as a client describes it.
fn query(program: &str, cwd: &Path, command: &str) -> Query {
    let words = words(command);
    let argv = [program, "-c"].map(String::from).into_iter().chain(words);
    Query {
        cwd: cwd.as_os_str().as_encoded_bytes().to_vec(),
        environment: Some(vec![b"PATH=/usr/bin:/bin".to_vec()]),
        argv: argv.map(String::into_bytes).collect(),
    }
}

/// What one scanner answers to each of the commands, one after the other, must be what one answers that has seen none of
/// the others; and the last must be what the compiler reads.
#[track_caller]
fn check_after(program: &str, commands: &[&str], fixture: &str) {
    let Some(compiler) = compiler(program) else {
        return;
    };
    let tree = plant(fixture);
    // What was written a moment ago is remembered for no other request.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let answerer = || {
        let answerer = Answerer::new(Vec::new(), Freshness::Stat, None).unwrap();
        answerer.record_from(2);
        answerer.record_from(2);
        answerer
    };
    let query = |command: &str| query(program, tree.path(), command);
    let answer = |answerer: &Answerer, command: &str| {
        let answer = answerer.answer(&query(command));
        answer
            .map(|answer| names(&answer.closure))
            .map_err(|doubt| doubt.to_string())
    };
    let experienced = answerer();
    for command in commands {
        assert_eq!(
            answer(&experienced, command),
            answer(&answerer(), command),
            "{command}: with memory, without"
        );
    }
    if let Some(last) = commands.last()
        && let Some(wanted) = reference(&compiler, tree.path(), &words(last))
    {
        assert_eq!(answer(&experienced, last), Ok(wanted), "{last}");
    }
}

#[test]
fn two_hashes_begin_no_directive() {
    let source = "##include \"no.h\"\n%:%:include \"no.h\"\n#if 0\n##endif\n#else\n#include \"yes.h\"\n#endif";
    check_source(BOTH, "a.c", source);
}

#[test]
fn a_division_by_an_unsigned_zero_that_is_not_evaluated() {
    check_condition(GCC, "a.c", "", "!((0 ? 0/0u : 0) < -1)");
    check_condition(GCC, "a.c", "", "(0 ? 0u/0 : 0) < -1");
    check_condition(&["clang-19"], "a.c", "", "(0 ? 0/0u : 0) < -1");
    check_condition(BOTH, "a.c", "", "(0 ? 0/1u : 0) < -1");
}

#[test]
fn undef_takes_assertions_too() {
    check_condition(GCC, "a.c", "", "#system(linux) && #cpu(x86_64) && #machine");
    check_condition(
        GCC,
        "-undef a.c",
        "",
        "!#system(linux) && !#cpu && !#machine",
    );
}

#[test]
fn blanks_after_the_backslash_of_a_splice_are_no_white_space() {
    let source = "#define STR_(x) #x\n#define STR(x) STR_(x)\n#include STR(yes.\\ \nh)\n#include STR(ye\\\t \n\
        s.h)";
    check_source(BOTH, "a.c", source);
}

#[test]
fn the_line_after_a_line_directive_over_several_lines() {
    let source = |directive: &str| format!("{directive}\n#if __LINE__ == 40\n{YES_NO}");
    for directive in [
        "#line 40",
        "#line /*\n\n*/ 40",
        "#line 40 /*\n*/",
        "# /*\n*/ 40 \"x\"",
        "#line \\\n\\\n40",
        "#li\\\nne 40",
    ] {
        check_source(GCC, "a.c", &source(directive));
    }
    check_source(BOTH, "a.c", &source("#line 40"));
}

#[test]
fn an_import_of_what_has_include_has_found_under_another_name() {
    // gcc takes it for read, although it is not.
    check_declined(
        "-Id a.c",
        "//- a.c\n#if __has_include(\"d/no.h\")\n#import <no.h>\n#endif\n//- d/no.h\n",
        &["__has_include has found"],
    );
    check_declined(
        "-I. -Id a.c",
        "//- a.c\n#if __has_include(\"yes.h\")\n#import <no.h>\n#endif\n//- yes.h\nint x;\n//- d/no.h\nint x;\n",
        &["equal content"],
    );
    check(
        GCC,
        "-Id a.c",
        "//- a.c\n#if __has_include(<yes.h>)\n#import <yes.h>\n#endif\n//- d/yes.h\n",
    );
    check_declined(
        "-Ie -Id a.c",
        "//- a.c\n#include <h.h>\n#import \"no.h\"\n//- e/h.h\n#if __has_include_next(\"no.h\")\n#endif\n//- d/no.h\n",
        &["__has_include has found"],
    );
    check(
        &["clang-19"],
        "-Id a.c",
        "//- a.c\n#if __has_include(\"d/yes.h\")\n#import <yes.h>\n#endif\n//- d/yes.h\nint yes;\n",
    );
    check(
        GCC,
        "-Id a.c",
        "//- a.c\n#if __has_include(\"d/yes.h\")\n#include <yes.h>\n#endif\n//- d/yes.h\n#pragma once\n",
    );
}

#[test]
fn quotes_escape_in_the_arguments_of_an_include() {
    check(
        GCC,
        "a.c",
        "//- a.c\n#define S_(x) #x\n#define S(x) S_(x)\n#define SECOND(a, b) b\n#include S(SECOND('\\'', yes.h))\n//- yes.h\n",
    );
}

#[test]
fn line_comments_in_system_headers_in_c90() {
    check(
        GCC,
        "-std=c90 -isystem d a.c",
        "//- a.c\n#include <h.h>\n#if 4 //**/ 4\n== 1\n#include \"yes.h\"\n#endif\n\
         //- d/h.h\n#if 1 //**/ - 1\n#include \"yes.h\"\n#else\n#include \"no.h\"\n#endif\n\
         //- d/yes.h\n//- d/no.h\n//- yes.h\n"
            .replace("4 //**/ 4\n== 1", "4 //**/ 4 == 1")
            .as_str(),
    );
}

/// A source whose includes are these stringified tokens, and the header's name that each must come to.
fn check_stringified(compilers: &[&str], command: &str, macros: &str, cases: &[(&str, &str)]) {
    let mut fixture = format!(
        "//- a.c\n#define S_(...) #__VA_ARGS__\n#define S(...) S_(__VA_ARGS__)\n{macros}\n"
    );
    for (tokens, _) in cases {
        fixture += &format!("#include S({tokens})\n");
    }
    for (_, name) in cases {
        fixture += &format!("//- {name}\n");
    }
    check(compilers, command, &fixture);
}

#[test]
fn white_space_in_what_an_include_stringifies() {
    let macros = "#define two 2\n#define nil\n#define f(x) x y\n#define g(x, y) x y\n#define p(x, y) x##y\n\
        #define q(x, y) a x##y b\n#define r(x) [x]\n#define fun(x) x";
    check_stringified(
        GCC,
        "a.c",
        macros,
        &[
            ("a two", "a2"),
            ("a nil b", "a b"),
            ("a f( 1 ) b", "a 1 y b"),
            ("g( 1, nil ) z", "1 z"),
            ("w p( , 1)", "w 1"),
            ("w q(,1) z", "wa 1 b z"),
            ("r( 1 ) r( nil 2)", "[1][2]"),
            ("fun nil c", "fun c"),
            ("a fun two", "a fun2"),
            ("a __INCLUDE_LEVEL__", "a0"),
            ("%: a %:%: b", "%: a %:%: b"),
        ],
    );
}

#[test]
fn undef_hides_which_characters_are_signed() {
    for (program, option) in [("gcc", "-funsigned-char"), ("aarch64-linux-gnu-gcc", "-O2")] {
        if compiler(program).is_none() {
            continue;
        }
        let source = "#if ' ' / -1 == 0 && '\\xff' > 0\n#include \"yes.h\"\n#endif\n";
        let tree = plant(&format!("//- a.c\n{source}//- yes.h\n"));
        let query = query(program, tree.path(), &format!("{option} -undef a.c"));
        let answerer = Answerer::new(Vec::new(), Freshness::Stat, None).unwrap();
        let answer = answerer.answer(&query).unwrap();
        assert!(names(&answer.closure).contains("yes.h"), "{program}");
    }
}

#[test]
fn a_splice_in_the_prefix_of_a_character() {
    // Of an unsigned kind, the remainder would be the other branch's.
    for condition in ["!(L\\\n'z' % -1)", "L\\\n'\\377' > 0", "u\\\n'z' % -1"] {
        for source in ["a.c", "a.cc"] {
            check_source(BOTH, source, &format!("#if {condition}\n{YES_NO}"));
        }
    }
    let utf8 = format!("#if u\\\n8'\\377' < 0\n{YES_NO}");
    check_source(BOTH, "a.cc", &utf8);
}

#[test]
fn has_include_next_in_a_macro() {
    // clang begins at the first directory then.
    for condition in [
        "F(__has_include_next(\"h1.h\"))",
        "F(__has_include_next(<h1.h>))",
        "M",
        "F(M)",
        "N(<h1.h>)",
        "N(<h2.h>)",
        "__has_include_next(<h1.h>)",
        "__has_include_next(NAME)",
    ] {
        let fixture = format!(
            "//- a.c\n#define F(x) ((x) + 0)\n#define M __has_include_next(<h1.h>)\n#define N __has_include_next\n\
             #define NAME <h1.h>\n#include <h0.h>\n//- z/h0.h\n#if {condition}\n#include <t.h>\n#endif\n\
             #include <yes.h>\n//- z/h1.h\n//- z/t.h\n//- z/yes.h\n//- y/h2.h\n"
        );
        check(BOTH, "-Iz -Iy a.c", &fixture);
    }
}

#[test]
fn a_file_read_under_two_names_with_clang() {
    // It goes by the first one, for the search and for __FILE__.
    for body in [
        "#include \"other.h\"\n",
        "#include __FILE_NAME__\n",
        "#if __has_include(\"only.h\")\n#include \"other.h\"\n#endif\n",
    ] {
        let fixture = format!(
            "//- a.c\n#include <h.h>\n//- d/h.h -> ../e/g.h\n//- d/other.h\n//- d/only.h\n//- d/g.h\n//- e/other.h\n\
             //- e/only.h\n//- e/g.h\n#ifndef AGAIN\n#define AGAIN\n#include <g.h>\n#elif !defined END\n#define END\n\
             {body}#endif\n"
        );
        check(BOTH, "-Ie -Id a.c", &fixture);
    }
    check_declined_by(
        "clang-19",
        "-Ie -Id a.c",
        "//- a.c\n#include <h.h>\n#include <g.h>\n//- e/g.h\n#include \"other.h\"\n//- d/h.h => e/g.h\n//- d/other.h\n//- e/other.h\n",
        &["a hard link"],
    );
}

#[test]
fn characters_of_several_bytes() {
    for (option, conditions) in [
        (
            "-fsigned-char",
            ["'\\377\\377\\377\\377' < 0", "~'12' > 0", "'\\377a' < 0"],
        ),
        (
            "-funsigned-char",
            ["'\\377\\377\\377\\377' < 0", "~'12' > 0", "-'a\\377' > 0"],
        ),
    ] {
        for condition in conditions {
            let source = format!("//- a.c\n#if {condition}\n#include \"t.h\"\n#endif\n//- t.h\n");
            check(BOTH, &format!("{option} a.c"), &source);
        }
    }
}

#[test]
fn a_search_directory_spelled_otherwise_before() {
    let tree = plant("//- a.c\n#include <h.h>\n//- d/h.h\n");
    let answerer = Answerer::new(Vec::new(), Freshness::Stat, None).unwrap();
    for compiler in BOTH.iter().filter(|name| compiler(name).is_some()) {
        for directory in ["d", "d/.", "./d", "d/./", ".//d"] {
            let query = query(compiler, tree.path(), &format!("-I{directory} a.c"));
            let answer = answerer.answer(&query).unwrap();
            let name = answer.closure.files[1].name.to_str().unwrap();
            let fresh = Answerer::new(Vec::new(), Freshness::Stat, None).unwrap();
            let fresh = fresh.answer(&query).unwrap();
            assert_eq!(Some(name), fresh.closure.files[1].name.to_str());
        }
    }
}

#[test]
fn a_header_seen_before_that_is_now_read_under_a_second_name() {
    // d/h.h and e/g.h are one file, which clang knows by the name that it meets first.
    let once = "#include <first.h>\n#include <g.h>\n";
    let twice = "#include <first.h>\n#include <h.h>\n#include <g.h>\n";
    let fixture = format!(
        "//- b.c\n{once}//- c.c\n{once}//- f.c\n{once}//- a.c\n{twice}//- e/first.h\n//- e/g.h\n#include \"other.h\"\n\
         //- e/other.h\n//- d/h.h -> ../e/g.h\n//- d/other.h\n"
    );
    let commands = ["b.c", "c.c", "f.c", "a.c"].map(|source| format!("-Id -Ie {source}"));
    for compiler in BOTH {
        check_after(compiler, &commands.each_ref().map(String::as_str), &fixture);
    }
}

#[test]
fn shifts_by_too_much() {
    for condition in [
        "(64 >> 0x8000000000000000) == 64",
        "(64u >> 0x8000000000000001) == 32",
        "(64 >> 0x100000001) == 32",
        "(64 >> -4294967295) == 32",
        "(64 << 0x100000001) == 128",
        "(64 << 0x8000000000000000) == 64",
        "(1 << -4294967295) == 2",
        "(64 >> -1) == 128",
        "(-1 >> 64) == -1",
        "(0x8000000000000000 >> 64) == 1",
    ] {
        let source = format!("//- a.c\n#if {condition}\n#include \"t.h\"\n#endif\n//- t.h\n");
        check(BOTH, "a.c", &source);
    }
}

#[test]
fn line_comments_behind_the_system_header_pragma_in_c90() {
    let fixture = |pragma: &str| {
        format!(
            "//- a.c\n#include \"h.h\"\n//- h.h\n{pragma}\n#if 0 //**/ + 5 || 1\n#include \"t.h\"\n#endif\n\
             #include \"yes.h\"\n//- t.h\n//- yes.h\n"
        )
    };
    let pragma = fixture("#pragma GCC system_header");
    check_declined("-std=c90 a.c", &pragma, &["// begins a comment"]);
    check(GCC, "-std=c99 a.c", &pragma);
    check(
        GCC,
        "-std=c90 a.c",
        &fixture("_Pragma(\"GCC system_header\")"),
    );
    let system = pragma
        .replace("\"h.h\"", "<d/h.h>")
        .replace("- h.h", "- s/d/h.h");
    let system = system
        .replace("- t.h", "- s/d/t.h")
        .replace("- yes.h", "- s/d/yes.h");
    check(GCC, "-std=c90 -isystem s a.c", &system);
}
