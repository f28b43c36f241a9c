//! `more_`: what `-M` does not list, and a server needs all the same to come to the same decisions.

use crate::case::*;

#[track_caller]
fn has(sent: &Sent, entries: &[&str]) {
    for entry in entries {
        assert!(sent.entries.contains(*entry), "{entry} is not in {sent:?}");
    }
}

#[test]
fn more_files_that_has_include_found() {
    let tree = "//- a.c\n#if __has_include(<opt.h>) && !__has_include(<none.h>)\n#include <x.h>\n#endif\n#if 0 && __has_include(\"u.h\")\n#endif\n//- j/opt.h\n//- j/x.h\n//- i/y\n//- u.h\n";
    for sent in trap(BOTH, "-Ii -Ij a.c", tree).sent() {
        has(&sent, &["a.c", "j/opt.h", "j/x.h"]);
        for absent in ["i/opt.h", "i/none.h", "j/none.h", "i/x.h"] {
            assert!(sent.absent.contains(absent), "{absent}: {sent:?}");
        }
        assert!(!sent.absent.contains("j/x.h"), "{sent:?}");
    }
    trap(BOTH, "-Ii -Ij a.c", tree).exact();
}

#[test]
fn more_files_that_has_include_next_found() {
    let tree = "//- a.c\n#include <x.h>\n//- i/x.h\n#if __has_include_next(<x.h>)\n#define NEXT\n#endif\n//- j/x.h\n";
    for sent in trap(BOTH, "-Ii -Ij a.c", tree).sent() {
        has(&sent, &["i/x.h", "j/x.h"]);
    }
}

#[test]
fn more_files_that_a_pragma_depends_on() {
    for sent in trap(
        BOTH,
        "-w a.c",
        "//- a.c\n#pragma GCC dependency \"p.y\"\n//- p.y\n",
    )
    .sent()
    {
        has(&sent, &["p.y"]);
    }
    trap(GCC, "-w a.c", "//- a.c\n#pragma GCC dependency \"p.y\" more text\n#include \"yes.h\"\n//- p.y\n//- yes.h\n").exact();
}

#[test]
fn more_directories_that_names_pass_through() {
    let tree = "//- a.c\n#include \"nd/../b.h\"\n#include \"nd/deep/../../c.h\"\n//- nd/deep/x\n//- b.h\n//- c.h\n";
    for sent in trap(BOTH, "a.c", tree).sent() {
        has(&sent, &["b.h", "c.h"]);
        assert!(
            sent.entries
                .iter()
                .any(|entry| entry.starts_with("nd/deep/")),
            "{sent:?}"
        );
    }
    trap(BOTH, "a.c", tree).exact();
    trap(
        BOTH,
        "-Ii/j/.. a.c",
        "//- a.c\n#include <b.h>\n//- i/b.h\n//- i/j/x\n",
    )
    .exact();
}

#[test]
fn more_links_on_the_way() {
    let tree = "//- a.c\n#include \"l/b.h\"\n#include \"c.h\"\n#include \"l/../d.h\"\n//- l -> x/y\n//- x/y/b.h\n//- c.h -> x/real.h\n//- x/real.h\n//- x/d.h\n";
    for sent in trap(BOTH, "a.c", tree).sent() {
        has(
            &sent,
            &[
                "l -> x/y",
                "x/y/b.h",
                "c.h -> x/real.h",
                "x/real.h",
                "x/d.h",
            ],
        );
    }
    trap(BOTH, "a.c", tree).exact();
}

#[test]
fn more_second_names_of_files_read_once() {
    // The compiler opens it before it sees that it knows the content.
    for sent in trap(
        GCC,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n//- b.h\n#pragma once\n//- l -> .\n",
    )
    .sent()
    {
        has(&sent, &["b.h", "l -> ."]);
    }
    for sent in trap(
        GCC,
        "-isystem s a.c",
        "//- a.c\n#include <long/name/x.h>\n//- s/long/name/x.h -> ../../r.h\n//- s/r.h\n",
    )
    .sent()
    {
        has(&sent, &["s/long/name/x.h -> ../../r.h", "s/r.h"]);
    }
}

#[test]
fn more_directories_that_warnings_are_about() {
    for sent in trap(
        GCC,
        "-Wmissing-include-dirs -Iempty -Ii a.c",
        "//- a.c\n#include <b.h>\n//- i/b.h\n//- empty/\n",
    )
    .sent()
    {
        assert!(
            sent.entries.iter().any(|entry| entry.starts_with("empty/")),
            "{sent:?}"
        );
    }
}

#[test]
fn more_a_header_must_not_appear_earlier() {
    let tree = "//- a.c\n#include \"b.h\"\n#include <c.h>\n//- i/x\n//- j/b.h\n//- j/c.h\n";
    for sent in trap(BOTH, "-Ii -Ij a.c", tree).sent() {
        for absent in ["b.h", "i/b.h", "i/c.h"] {
            assert!(sent.absent.contains(absent), "{absent}: {sent:?}");
        }
        assert!(!sent.absent.contains("c.h"), "{sent:?}");
    }
}

#[test]
fn more_files_of_the_assembler() {
    trap(BOTH, "a.S", "//- a.S\n .incbin \"x\"\n//- x\n").declined(&["a.S:1", ".incbin"]);
    trap(BOTH, "a.S", "//- a.S\n\t.include \"x.inc\"\n//- x.inc\n").declined(&[".include"]);
    trap(BOTH, "a.S", "//- a.S\nlabel: .incbin \"x\"\n//- x\n").declined(&[".incbin"]);
    trap(
        BOTH,
        "a.S",
        "//- a.S\n#define DATA .incbin \"x\"\nDATA\n//- x\n",
    )
    .declined(&[".incbin"]);
    trap(
        BOTH,
        "a.S",
        "//- a.S\n#define CAT(a, b) a##b\nCAT(.inc, bin) \"x\"\n//- x\n",
    )
    .exact_or_declined();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n__asm__(\".incbin \\\"x\\\"\");\n//- x\n",
    )
    .declined(&[".incbin"]);
    trap(
        BOTH,
        "a.c",
        "//- a.c\n__asm__(\".include \\\"x\\\"\");\n//- x\n",
    )
    .declined(&[".include"]);
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#define S(x) #x\n#define X(x) S(x)\n__asm__(X(.incbin \"x\"));\n//- x\n",
    )
    .declined(&[".incbin"]);
    trap(BOTH, "a.S", "//- a.S\n#if 0\n .incbin \"x\"\n#endif\n/* .incbin */ // .include\n#include \"yes.h\"\n//- yes.h\n").exact();
}

#[test]
fn more_unread_files_are_not_sent() {
    for sent in trap(
        BOTH,
        "a.c",
        "//- a.c\n#if 0\n#include \"b.h\"\n#endif\n//- b.h\n//- c.h\n",
    )
    .sent()
    {
        assert_eq!(sent.entries.len(), 1, "{sent:?}");
    }
}

#[test]
fn more_times_do_not_matter_otherwise() {
    // What is sent has other times than here; only read-once twins would notice, and these are declined.
    trap(GCC, "a.c", "//- a.c\n#include \"b.h\"\n#include \"d/b.h\"\n#include \"yes.h\"\n//- yes.h\n//- b.h @ 5\nextern int x;\n//- d/b.h @ 5\nextern int x;\n").exact();
}
