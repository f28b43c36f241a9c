//! `computed_`: names that macros make.

use crate::case::*;

#[test]
fn computed_quoted() {
    source(BOTH, "a.c", "#define H \"yes.h\"\n#include H\n").exact();
    source(BOTH, "a.c", "#define H(x) x\n#include H(\"yes.h\")\n").exact();
    source(
        BOTH,
        "a.c",
        "#define H I\n#define I J\n#define J \"yes.h\"\n#include H\n",
    )
    .exact();
}

#[test]
fn computed_bracketed() {
    source(BOTH, "-I. a.c", "#define H <yes.h>\n#include H\n").exact();
    trap(
        BOTH,
        "-Id a.c",
        "//- a.c\n#define I <sub/yes.h>\n#define INC(x) I\n#include INC(4)\n//- d/sub/yes.h\n",
    )
    .exact();
    source(
        BOTH,
        "-I. a.c",
        "#define N yes\n#define H <N.h>\n#include H\n",
    )
    .exact();
    trap(
        BOTH,
        "-I. a.c",
        "//- a.c\n#define A x\n#define H <A/A.h>\n#include H\n//- x/x.h\n",
    )
    .exact();
}

#[test]
fn computed_extra_tokens_are_ignored() {
    source(
        BOTH,
        "-w -I. a.c",
        "#define H <yes.h> and more\n#include H extra\n",
    )
    .exact();
    source(BOTH, "-w a.c", "#define H \"yes.h\" \"no.h\"\n#include H\n").exact();
}

#[test]
fn computed_linux_becomes_one() {
    trap(
        BOTH,
        "-I. a.c",
        "//- a.c\n#define H <arch/linux/x.h>\n#include H\n//- arch/1/x.h\n//- arch/linux/no.h\n",
    )
    .exact();
    trap(BOTH, "-std=c17 -I. a.c", "//- a.c\n#define H <arch/linux/yes.h>\n#include H\n//- arch/1/no.h\n//- arch/linux/yes.h\n").exact();
    source(BOTH, "-I. a.c", "#include <linux/../yes.h>\n").exact_with("//- linux/x\n");
}

#[test]
fn computed_blanks_between_tokens() {
    trap(
        GCC,
        "-I. a.c",
        "//- a.c\n#define LT <\n#define GT >\n#include LT y3.h GT\n//-  y3.h\n//- y3.h/no.h\n",
    )
    .exact();
    trap(CLANG, "-I. a.c", "//- a.c\n#define LT <\n#define GT >\n#include LT y3.h GT\n//- y3.h\n//-  y3.h\n//- y3.h \n//-  y3.h \n").exact();
    trap(BOTH, "-I. a.c", "//- a.c\n#define H <d / e.h>\n#include H\n#define I <d/**//f.h>\n#include I\n#define J < g.h >\n#include J\n//- d / e.h\n//- d /f.h\n//- g.h\n//-  g.h\n//-  g.h \n//- g.h \n").exact();
    trap(BOTH, "-I. a.c", "//- a.c\n#define D d\n#define F f.h\n#define H <D/F>\n#define I <D F>\n#include H\n#include I\n//- d/f.h\n//- d f.h\n//- df.h\n").exact();
}

#[test]
fn computed_blanks_around_empty_macros() {
    for text in [
        "<E d/E f.h>",
        "<d/ E f.h>",
        "<d/E f.h>",
        "<E E d/f.h>",
        "<d/f.h E>",
        "<E d/f.h E >",
        "<d E/f.h>",
    ] {
        for compilers in [GCC, CLANG] {
            let names = "//- d/f.h\n//- d/ f.h\n//-  d/f.h\n//-  d/ f.h\n//- d/f.h \n//-  d/f.h \n//- d/  f.h\n//- d /f.h\n";
            trap(
                compilers,
                "-I. a.c",
                format!("{names}//- a.c\n#define E\n#define H {text}\n#include H\n"),
            )
            .quick()
            .exact_or_declined();
            trap(
                compilers,
                "-I. a.c",
                format!("{names}//- a.c\n#define E\n#define F(x) {text}\n#include F(1)\n"),
            )
            .quick()
            .exact_or_declined();
            let argument = text.replace('E', "x");
            trap(
                compilers,
                "-I. a.c",
                format!("{names}//- a.c\n#define E\n#define F(x) {argument}\n#include F()\n"),
            )
            .quick()
            .exact_or_declined();
            trap(
                compilers,
                "-I. a.c",
                format!("{names}//- a.c\n#define E\n#define F(x) {argument}\n#include F(E)\n"),
            )
            .quick()
            .exact_or_declined();
        }
    }
}

#[test]
fn computed_stringified_paths() {
    source(
        BOTH,
        "a.c",
        "#define S(x) #x\n#define X(x) S(x)\n#define n yes\n#include X(n.h)\n",
    )
    .exact();
    trap(BOTH, "-Id a.c", "//- a.c\n#define DIR sub\n#define STR(x) STR_(x)\n#define STR_(x) #x\n#include STR(DIR/yes.h)\n//- d/sub/yes.h\n").exact();
    source(BOTH, "a.c", "#define S(x) #x\n#define X(x) S(x)\n#define P ye\n#define CAT(a, b) a ## b\n#define XCAT(a, b) CAT(a, b)\n#include X(XCAT(P, s).h)\n").exact();
    trap(GCC, "a.c", "//- a.c\n#define S(x) #x\n#define E(x) S(d/ x)\n#define D e\n#include E(D/b.h)\n//- d/ e/b.h\n").exact();
    for text in [
        "S(d/ x)", "S( d/x )", "S(d/x x)", "S(x/d)", "S(x x)", "S(x-x)", "S(d/x.h)", "T(x)",
        "T(d/x)", "T( x /e)",
    ] {
        for compilers in [GCC, CLANG] {
            let names = "//- d/ e\n//- d/e/.h\n//- e/d\n//- e e\n//- e-e\n//- d/e.h\n//- d/f/e\n//- e /e\n//- d/ e e\n//- q e\n";
            trap(compilers, "a.c", format!("//- a.c\n#define S(x) #x\n#define T(x) S(x)\n#define E(x) {text}\n#define D e\n#if __has_include(E(D))\n#include E(D)\n#endif\n#if __has_include(E(e))\n#include E(e)\n#endif\n#if __has_include(E( D ))\n#include E( D )\n#endif\n{}", names.replace("//- d/e/.h\n", "").replace("//- d/f/e\n", ""))).quick().exact_or_declined();
        }
    }
}

#[test]
fn computed_by_macros_from_the_command_line() {
    source(BOTH, "'-DH=\"yes.h\"' a.c", "#include H\n").exact();
    source(BOTH, "-I. '-DH=<yes.h>' a.c", "#include H\n").exact();
    trap(BOTH, "-I. -DARCH=x86 a.c", "//- a.c\n#define S(x) #x\n#define X(x) S(x)\n#include X(arch/ARCH/yes.h)\n//- arch/x86/yes.h\n").exact();
}

#[test]
fn computed_in_skipped_groups_and_again() {
    source(BOTH, "a.c", "#if 0\n#include NOTHING(\n#include H\n#endif\n#define H \"yes.h\"\n#include H\n#undef H\n#define H \"z.h\"\n#include H\n").exact_with("//- z.h\n");
}

#[test]
fn computed_self_inclusion_with_iteration() {
    trap(BOTH, "a.c", "//- a.c\n#define N 0\n#include \"r.h\"\n//- r.h\n#if N == 0\n#undef N\n#define N 1\n#define NEXT \"s.h\"\n#include NEXT\n#include \"r.h\"\n#elif N == 1\n#undef N\n#define N 2\n#include NEXT\n#include \"yes.h\"\n#endif\n//- s.h\n//- yes.h\n").exact();
}

#[test]
fn computed_embedded_quotes_and_backslashes() {
    trap(
        GCC,
        "a.c",
        "//- a.c\n#define H \"d\\e.h\"\n#include H\n//- d\\e.h\n",
    )
    .exact_or_declined();
    source(GCC, "a.c", "#define H L\"yes.h\"\n#include H\n").declined(&["FILENAME"]);
    source(GCC, "a.c", "#define H\n#include H\n").declined(&["FILENAME"]);
}

#[test]
fn computed_literals_in_pieces() {
    source(
        BOTH,
        "-w -I. a.c",
        "#define A <yes\n#define B .h>\n#include A B\n",
    )
    .exact_or_declined();
    source(
        BOTH,
        "-w -I. a.c",
        "#define A <yes\n#define B A.h>\n#include B\n",
    )
    .exact_or_declined();
}

#[test]
fn computed_import_and_next() {
    source(
        BOTH,
        "-Wno-deprecated a.c",
        "#define H \"yes.h\"\n#import H\n",
    )
    .exact();
    trap(BOTH, "-Ii -Ij a.c", "//- a.c\n#include <x.h>\n//- i/x.h\n#define H <x.h>\n#include_next H\n//- j/x.h\n#include <yes.h>\n//- j/yes.h\n").exact();
}
