//! `lex_`: odd bytes, line ends and file ends.

use crate::case::*;

#[test]
fn lex_byte_order_mark() {
    source(BOTH, "a.c", "\u{feff}#include \"yes.h\"\n").exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n\u{feff}#include \"yes.h\"\n//- yes.h\n",
    )
    .exact();
}

#[test]
fn lex_byte_order_mark_elsewhere_is_no_blank() {
    source(
        GCC,
        "a.c",
        " \u{feff}#include \"no.h\"\n#include \"yes.h\"\n",
    )
    .preprocessed_only()
    .exact();
}

#[test]
fn lex_carriage_return_and_newline() {
    source(
        BOTH,
        "a.c",
        "#include \"yes.h\"\r\n#if 0\r\n#include \"no.h\"\r\n#endif\r\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "#define A \\\r\n 1\r\n#if A\r\n#include \"yes.h\"\r\n#endif\r\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "// \\\r\n#include \"no.h\"\r\n#include \"yes.h\"\r\n",
    )
    .exact();
    source(
        BOTHXX,
        "a.cc",
        "const char *s = R\"(\r\n#include \"no.h\"\r\n)\";\r\n#include \"yes.h\"\r\n",
    )
    .exact();
    holds(BOTH, "a.c", "\r\n", "__LINE__ == 3").exact();
}

#[test]
fn lex_lone_carriage_returns() {
    source(GCC, "a.c", "int a;\r#include \"yes.h\"\r").exact();
    source(GCC, "a.c", "// comment\r#include \"yes.h\"\r").exact();
    source(
        GCC,
        "a.c",
        "#define A \\\r 1\r#if A\r#include \"yes.h\"\r#endif\r",
    )
    .exact();
    source(CLANG, "a.c", "int a;\r#include \"yes.h\"\r").exact();
    source(CLANG, "a.c", "// comment\r#include \"yes.h\"\r").exact();
}

#[test]
fn lex_lone_carriage_returns_count_as_lines() {
    source(
        GCC,
        "a.c",
        "int a;\rint b;\r#if __LINE__ == 3\r#include \"yes.h\"\r#endif\r",
    )
    .exact();
    source(
        GCC,
        "a.c",
        "/*\r*/\n#if __LINE__ == 3\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
    source(
        GCC,
        "a.c",
        "/*\r\n\r\n*/\n#if __LINE__ == 4\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
}

#[test]
fn lex_nul_bytes_are_blanks() {
    source(BOTH, "a.c", "#\0include\0\"yes.h\"\0\n").exact();
    source(BOTH, "a.c", "\0#include \"yes.h\"\n").exact();
    source(
        BOTH,
        "a.c",
        "// \0 \\\n#include \"no.h\"\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_form_feed_and_vertical_tab() {
    source(
        BOTH,
        "a.c",
        "\x0c#include \"yes.h\"\n\x0b #define A\n#ifndef A\n#include \"no.h\"\n#endif\n",
    )
    .exact();
    source(GCC, "a.c", "\t\x0b#\tif 1\n#include \"yes.h\"\n#endif\n").exact();
}

#[test]
fn lex_no_newline_at_the_end() {
    source(BOTH, "a.c", "#include \"yes.h\"").exact();
    source(BOTH, "a.c", "#if 1\n#include \"yes.h\"\n#endif").exact();
    source(BOTH, "a.c", "#include \"yes.h\"\n// end").exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"yes.h\"\n//- yes.h\n//- b.h\n#define X",
    )
    .exact();
}

#[test]
fn lex_backslash_at_the_end() {
    source(BOTH, "a.c", "int a;\n#include \"yes.h\"\\").exact();
    source(BOTH, "a.c", "#include \"yes.h\"\n// end \\").exact();
    source(BOTH, "a.c", "#include \"yes.h\"\n#define X 1\\\n").exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\nno.h\n#include \"yes.h\"\n//- yes.h\n//- b.h\n#define X \\"
            .replace("no.h\n#", "#"),
    )
    .exact();
}

#[test]
fn lex_bytes_that_are_no_utf8() {
    let mut text = b"// \xff\xfe\xc3(\n#if 0\n\x80\x81\n#endif\nconst char *s = \"\xe9\";\n#include \"yes.h\"\n".to_vec();
    source(BOTH, "-w a.c", &text).exact();
    text.extend(b"#define S(x) #x\n#define STRAY \xa4\n");
    source(BOTH, "-w a.c", &text).exact();
}

#[test]
fn lex_names_that_are_no_utf8() {
    // The compilers take the bytes as they are; the tree has no such file, so the other is read.
    source(
        BOTH,
        "-w a.c",
        b"#if __has_include(\"\xe9.h\")\n#include \"no.h\"\n#else\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
}

#[test]
fn lex_control_characters_in_skipped_groups() {
    source(
        BOTH,
        "a.c",
        "#if 0\n\x01\x02\x1a\x7f @ ` $ \\ x\n#endif\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_empty_files() {
    trap(BOTH, "a.c", "//- a.c\n//- b.c\n").exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"c.h\"\n//- c.h\n\\\n//- b.h\n",
    )
    .exact();
}

#[test]
fn lex_many_lines_in_one_directive() {
    let splices = "\\\n".repeat(5000);
    let text =
        format!("#define A {splices} 1\n#if A && __LINE__ == 5002\n#include \"yes.h\"\n#endif\n");
    source(BOTH, "a.c", text).exact();
}
