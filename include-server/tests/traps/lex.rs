//! `lex_`: comments, literals and tokens, wherever they stand.

use crate::case::*;

#[test]
fn lex_raw_string_hides_directives_in_cxx11() {
    let text = "const char *s = R\"(\n#include \"no.h\"\n)\";\n#include \"yes.h\"\n";
    source(BOTHXX, "-std=c++11 a.cc", text).exact();
    source(BOTHXX, "a.cc", text).exact();
    source(CROSSXX, "a.cc", text).exact();
}

#[test]
fn lex_raw_string_hides_directives_in_gnu99_c() {
    let text = "const char *s = R\"(\n#include \"no.h\"\n)\";\n#include \"yes.h\"\n";
    for standard in [
        "-std=gnu99",
        "-std=gnu11",
        "-std=gnu17",
        "-std=gnu2x",
        "-O1",
    ] {
        source(GCC, &format!("{standard} a.c"), text).exact();
    }
}

#[test]
fn lex_raw_string_is_none_in_strict_c() {
    let text = "#define R\nconst char *s = R\"( /* \";\n#include \"yes.h\"\n//*/\n";
    for standard in ["-std=c99", "-std=c11", "-std=c17", "-std=c2x"] {
        source(BOTH, &format!("{standard} a.c"), text).exact();
    }
    source(BOTH, "-std=gnu89 a.c", text).exact();
}

#[test]
fn lex_raw_string_hides_directives_in_clangs_gnu99() {
    let text = "const char *s = R\"(\n#include \"no.h\"\n)\";\n#include \"yes.h\"\n";
    for command in [
        "-std=gnu99 a.c",
        "-std=gnu17 a.c",
        "-std=gnu2x a.c",
        "a.c",
        "a.m",
        "a.S",
    ] {
        source(CLANG, command, text).exact();
    }
}

#[test]
fn lex_raw_string_is_none_in_gccs_objective_c() {
    // Which is gnu89 if nothing is said.
    let text = "#define R\nconst char *s = R\"( /* \";\n#include \"yes.h\"\n//*/\n";
    source(GCC, "a.m", text).exact();
    let text = "const char *s = R\"(\n#include \"no.h\"\n)\";\n#include \"yes.h\"\n";
    source(GCC, "-std=gnu11 a.m", text).exact();
    source(GXX, "a.mm", text).exact();
}

#[test]
fn lex_raw_string_is_none_in_cxx98() {
    let text = "#define R\nconst char *s = R\"( /* \";\n#include \"yes.h\"\n//*/\n";
    source(BOTHXX, "-std=gnu++98 a.cc", text).exact();
    source(BOTHXX, "-std=c++98 a.cc", text).exact();
}

#[test]
fn lex_raw_string_is_none_in_assembler() {
    source(GCC, "a.S", "R\"( /* \"\n#include \"yes.h\"\n//*/\n").exact();
}

#[test]
fn lex_raw_string_prefixes() {
    for prefix in ["u8R", "uR", "UR", "LR"] {
        let text =
            format!("auto s = {prefix}\"d(\n#include \"no.h\"\n)\" )d\";\n#include \"yes.h\"\n");
        source(BOTHXX, "-std=c++11 a.cc", &text).exact();
        source(
            GCC,
            "-std=gnu11 a.c",
            text.replace("auto s =", "void *s = (void *)"),
        )
        .exact();
    }
    let unknown = "#define xR\nconst char *s = xR\"( /* \";\n#include \"yes.h\"\n//*/\n";
    source(BOTHXX, "a.cc", unknown).exact();
}

#[test]
fn lex_raw_string_keeps_splices() {
    // A splice before the delimiter does not make `)d"` of it.
    let text = "const char *s = R\"d(\n)\\\nd\"\n#include \"no.h\"\n)d\";\n#include \"yes.h\"\n";
    source(BOTHXX, "a.cc", text).exact();
    source(GCC, "a.c", text).exact();
}

#[test]
fn lex_raw_string_keeps_trigraphs() {
    let text = "const char *s = R\"(??)\";\n#include \"yes.h\"\n//)\"\n";
    source(BOTHXX, "-std=c++11 a.cc", text).exact();
    source(GCC, "-trigraphs a.c", text).exact();
}

#[test]
fn lex_raw_string_with_a_splice_in_its_prefix() {
    let text = "const char *s = u8\\\nR\"(\n#include \"no.h\"\n)\";\n#include \"yes.h\"\n";
    source(BOTHXX, "a.cc", text).exact();
}

#[test]
fn lex_raw_string_hides_the_end_of_a_skipped_group() {
    let text = "#if 0\nR\"(\n#endif\n#include \"no.h\"\n)\"\n#endif\n#include \"yes.h\"\n";
    source(GXX, "a.cc", text).exact();
    source(GCC, "a.c", text).exact();
    source(CLANG, "a.cc", text).exact();
}

#[test]
fn lex_raw_string_in_a_directive() {
    source(
        BOTHXX,
        "a.cc",
        "#define X R\"(/*)\"\n#include \"yes.h\"\n//*/\n",
    )
    .exact();
    let over_lines = "#define X R\"(\n#include \"no.h\"\n)\"\n#include \"yes.h\"\n";
    // gcc rejects these two.
    source(CLANG, "a.cc", over_lines).exact();
    let skipped = format!("#if 0\n{over_lines}#endif\n#include \"yes.h\"\n")
        .replace("#include \"no.h\"", "#endif");
    source(CLANG, "a.cc", skipped).exact();
}

#[test]
fn lex_raw_string_in_a_macro_argument() {
    let text =
        "#define ID(x) x\nconst char *s = ID(R\"(\n#include \"no.h\"\n)\");\n#include \"yes.h\"\n";
    source(BOTHXX, "a.cc", text).exact();
}

#[test]
fn lex_raw_string_delimiters() {
    let longest = "const char *s = R\"0123456789abcdef(\n#include \"no.h\"\n)\" )0123456789abcdef\";\n#include \"yes.h\"\n";
    source(BOTHXX, "a.cc", longest).exact();
    let odd = "const char *s = R\"-/*+(\n#include \"no.h\"\n)-/*+\";\n#include \"yes.h\"\n";
    source(BOTHXX, "a.cc", odd).exact();
}

#[test]
fn lex_digit_separators() {
    let comment = "int a = 1'000 /* it's */;\n#include \"yes.h\"\n";
    source(BOTHXX, "-std=c++14 a.cc", comment).exact();
    let over_lines = "int a = 1'000 /* it's\n#include \"no.h\"\n*/;\n#include \"yes.h\"\n";
    source(BOTHXX, "-std=c++14 a.cc", over_lines).exact();
    source(BOTH, "-std=c2x a.c", over_lines).exact();
    source(
        BOTHXX,
        "-std=c++14 a.cc",
        "int a = 0xf'f, b = 1'2'3;\n#include \"yes.h\"\n",
    )
    .exact();
    holds(
        BOTHXX,
        "-std=c++14 a.cc",
        "",
        "1'000 == 1000 && 0x1'0 == 16",
    )
    .exact();
}

#[test]
fn lex_digit_separators_are_quotes_before() {
    let text = "#define F(x)\nF(1'000 /* it' );\n#include \"yes.h\"\n//*/\n";
    source(BOTHXX, "-std=c++98 a.cc", text).exact();
    source(BOTH, "-std=c17 a.c", text).exact();
    source(BOTHXX, "-std=c++11 a.cc", text).exact();
}

#[test]
fn lex_lone_quotes_in_skipped_groups() {
    source(
        BOTH,
        "a.c",
        "#if 0\ndon't /* start\n#endif\n#include \"yes.h\"\n/* */\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "#if 0\n\"open /* ?\n#endif\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "#if 0\n' \\\n#endif\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_lone_quotes_in_assembler() {
    source(BOTH, "a.S", "foo 'a /* start\n#include \"yes.h\"\n/* */\n").exact();
    source(BOTH, "a.S", "# it's a comment\n#include \"yes.h\"\n").exact();
}

#[test]
fn lex_comment_starts_in_strings_are_none() {
    source(
        BOTH,
        "a.c",
        "const char *s = \"/*\";\n#include \"yes.h\"\nconst char *t = \"*/\";\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "const char *s = \"\\\"/*\", *u = \"//\";\n#include \"yes.h\"\nconst char *t = \"*/\";\n",
    )
    .exact();
    source(BOTH, "a.c", "int c = '\"'; /* \" */\n#include \"yes.h\"\nint d = '\\'', e = '/*';\n#include \"yes.h\"\n").exact();
    source(
        BOTH,
        "a.c",
        "const char *s = \"a\\\n/* b\";\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_line_comments_in_gnu89() {
    holds(BOTH, "-std=gnu89 a.c", "", "1 // && 0").exact();
    source(
        BOTH,
        "-std=gnu89 a.c",
        "// it's /* no comment\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_line_comments_are_none_in_c90() {
    for standard in [
        "-std=c90",
        "-ansi",
        "-std=iso9899:1990",
        "-std=iso9899:199409",
    ] {
        let command = format!("{standard} a.c");
        holds(BOTH, &command, "", "4 //**/ 2\\\n == 2").exact();
    }
    holds(BOTHXX, "-ansi a.cc", "", "1 // && 0").exact();
}

#[test]
fn lex_line_comments_continue_over_splices() {
    source(
        BOTH,
        "a.c",
        "// comment \\\n#include \"no.h\"\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "// comment \\ \t \n#include \"no.h\"\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "// comment \\\\\n#include \"no.h\"\n#include \"yes.h\"\n",
    )
    .exact();
    source(BOTH, "a.c", "// comment \\ x\n#include \"yes.h\"\n").exact();
}

#[test]
fn lex_trigraph_splices() {
    let comment = "// ??/\n#include \"no.h\"\n#include \"yes.h\"\n";
    for command in ["-std=c99 a.c", "-std=c17 a.c", "-trigraphs a.c"] {
        source(BOTH, command, comment).exact();
    }
    source(BOTHXX, "-std=c++11 a.cc", comment).exact();
    let plain = "// ??/\n#include \"yes.h\"\n";
    for command in ["-std=gnu99 a.c", "-std=gnu17 a.c", "a.c"] {
        source(BOTH, command, plain).exact();
    }
    source(BOTHXX, "-std=c++17 a.cc", plain).exact();
    source(GCC, "-std=c2x a.c", comment).exact();
    source(CLANG, "-std=c2x a.c", plain).exact();
}

#[test]
fn lex_trigraphs_elsewhere() {
    source(BOTH, "-std=c11 a.c", "??=include \"yes.h\"\n").exact();
    source(BOTH, "-std=c11 a.c", "??=inc??/\nlude \"yes.h\"\n").exact();
    holds(
        BOTH,
        "-std=c11 a.c",
        "",
        "(1 ??!??! 0) && ??-0 && (3 ??' 3) == 0",
    )
    .exact();
    source(
        GCC,
        "-std=c11 a.c",
        "const char *s = \"??/\"/*\";\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "-Wtrigraphs a.c",
        "#if 0\n??=include \"no.h\"\n#endif\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_comments_glue_lines() {
    source(
        BOTH,
        "a.c",
        "#if 1 /*\n*/ && 0\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "#define X /*\n\n*/ 1\n#if X\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "int a; /*\n*/ # include \"yes.h\"\n".replace("int a; ", ""),
    )
    .exact();
}

#[test]
fn lex_comments_inside_directives() {
    source(BOTH, "-I. a.c", "/**/#/**/include/**/<yes.h>/**/\n").exact();
    source(
        BOTH,
        "a.c",
        "/* */ # /* x */ include /* y\n */ \"yes.h\" // end\n",
    )
    .exact();
    source(BOTH, "a.c", "# // nothing\n#include \"yes.h\" /* \n*/\n").exact();
}

#[test]
fn lex_comment_marks_with_splices() {
    source(BOTH, "a.c", "/* *\\\n/\n#include \"yes.h\"\n/* */\n").exact();
    source(
        BOTH,
        "a.c",
        "/\\\n* comment\n#include \"no.h\"\n*/\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "/\\\n/ comment \\\n#include \"no.h\"\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "/*/ still\n#include \"no.h\"\n/*/\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "/***\n#include \"no.h\"\n***/\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_splices_inside_words() {
    source(BOTH, "a.c", "#inc\\\nlude \"y\\\nes.h\"\n").exact();
    source(BOTH, "a.c", "#\\\n\\\ninclude\\\n \"yes.h\"\n").exact();
    holds(BOTH, "a.c", "#def\\\nine A\\\nB 1", "AB && 1\\\n0 == 10").exact();
}

#[test]
fn lex_digraphs() {
    source(BOTH, "a.c", "%:include \"yes.h\"\n").exact();
    source(
        BOTH,
        "a.c",
        "%:define S(x) %:x\n%:define C(a, b) a %:%: b\n#include S(yes.h)\n",
    )
    .exact();
    source(BOTH, "-std=gnu89 a.c", "%:include \"yes.h\"\n").exact();
    source(BOTH, "-std=iso9899:199409 a.c", "%:include \"yes.h\"\n").exact();
    source(
        BOTH,
        "-ansi a.c",
        "%:include \"no.h\"\n#include \"yes.h\"\n",
    )
    .preprocessed_only()
    .exact();
}

#[test]
fn lex_header_names_are_raw() {
    // clang prints the backslash as a slash.
    trap(
        GCC,
        "-I. a.c",
        "//- a.c\n#include \"i\\j.h\"\n#include <k\\\"l.h>\n//- i\\j.h\n//- k\\\"l.h\n",
    )
    .exact();
    trap(BOTH, "-I. a.c", "//- a.c\n#include <x/*y.h>\n#include <z//w.h>\n#include <it's.h>\n#include \"u//v.h\"\n#include \"p/*q.h\"\n//- x/*y.h\n//- z/w.h\n//- it's.h\n//- u/v.h\n//- p/*q.h\n").exact();
    trap(BOTH, "-I. a.c", "//- a.c\n#include <a b.h>\n#include \"c d.h\"\n#include < e.h>\n//- a b.h\n//- c d.h\n//- sub/../ e.h\n//- sub/x\n".replace("//- sub/../ e.h\n//- sub/x\n", "//-  e.h\n")).exact();
}

#[test]
fn lex_header_names_in_conditions_are_raw() {
    holds(BOTH, "-I. a.c", "", "__has_include(<x//yes.h>) + 0 // )").exact_with("//- x/yes.h\n");
}

#[test]
fn lex_header_names_with_splices_and_text_behind() {
    source(BOTH, "-I. a.c", "#include <ye\\\ns.h>\n").exact();
    source(
        BOTH,
        "-I. -w a.c",
        "#include <yes.h> \"no.h\"\n#include \"yes.h\" <no.h> it's\n",
    )
    .exact();
}

#[test]
fn lex_dollars() {
    holds(BOTH, "a.c", "#define a$b 1", "a$b").exact();
    holds(GCC, "-fno-dollars-in-identifiers a.c", "#define a $", "1").exact();
    source(
        BOTH,
        "a.S",
        "#define a 1\n mov $a, %eax\n#if a\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
}

#[test]
fn lex_identifiers_in_unicode() {
    holds(BOTH, "-std=c11 a.c", "#define \u{e9} 1", "\\u00e9").exact();
    holds(BOTH, "a.c", "#define x\\u00e9 1", "x\u{e9} && x\\U000000e9").exact();
    holds(
        BOTHXX,
        "a.cc",
        "#define \u{4e2d}\u{6587} 1",
        "\\u4e2d\\u6587",
    )
    .exact();
    source(
        BOTH,
        "a.c",
        "#define S(x) #x\n#define X(x) S(x)\n#include X(\u{e9}yes.h)\n".replace('\u{e9}', ""),
    )
    .exact();
    trap(
        GCC,
        "a.c",
        "//- a.c\n#define S(x) #x\n#include S(\u{e9}.h)\n//- \u{e9}.h\n",
    )
    .exact();
}

#[test]
fn lex_numbers_swallow_identifiers() {
    trap(BOTH, "a.c", "//- a.c\n#define EX yes\n#define S(a) #a\n#define X(a) S(a)\n#include X(EX.h)\n#include X(1.EX)\n#include X(y1.EX.h)\n#include X(.1EX)\n#include X(1e+EX)\n//- yes.h\n//- 1.EX\n//- y1.yes.h\n//- .1EX\n//- 1e+EX\n").exact();
    trap(BOTH, "a.c", "//- a.c\n#define EX yes\n#define S(a) #a\n#define X(a) S(a)\n#include X(0x1p-EX)\n#include X(1/EX.h)\n//- 0x1p-EX\n//- 1/yes.h\n").exact();
}

#[test]
fn lex_stringified_blanks() {
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#define S(a) #a\n#include S( a   b/**/c . h )\n//- a b c . h\n",
    )
    .exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#define S(a) #a\n#include S(a\\\n b.h)\n//- a b.h\n",
    )
    .exact();
    let after_nothing = "//- a.c\n#define S(a) #a\n#define X(a) S(a)\n#define E\n#include X(a E b)\n#include X(a E/x)\n//- a b\n";
    trap(GCC, "a.c", format!("{after_nothing}//- a/x\n")).exact();
    trap(CLANG, "a.c", format!("{after_nothing}//- a /x\n")).exact();
}

#[test]
fn lex_a_hash_must_come_first_and_unexpanded() {
    source(
        BOTH,
        "a.c",
        "#define EMPTY\nEMPTY # include \"no.h\"\n#include \"yes.h\"\n",
    )
    .preprocessed_only()
    .exact();
    source(
        BOTH,
        "a.c",
        "#define HASH #\nHASH include \"no.h\"\n#include \"yes.h\"\n",
    )
    .preprocessed_only()
    .exact();
    source(
        BOTH,
        "a.c",
        "#define DIRECTIVE include\n#if 0\n#DIRECTIVE \"no.h\"\n#endif\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_directives_names_may_be_macros() {
    source(BOTH, "a.c", "#define include nothing\n#define if 0\n#define define undef\n#define X 1\n#if X\n#include \"yes.h\"\n#endif\n").exact();
}

#[test]
fn lex_unknown_directives_in_skipped_groups() {
    source(BOTH, "a.c", "#if 0\n#frobnicate\n#if garbage ((\n#endif\n#include\n#define\n#undef 1\n#line x\n#pragma GCC error \"no\"\n#error no\n#else\n#include \"yes.h\"\n#endif\n").exact();
}

#[test]
fn lex_garbage_after_a_taken_group() {
    source(BOTH, "a.c", "#if 1\n#include \"yes.h\"\n#elif garbage ( +\n#include \"no.h\"\n#elif 1/0\n#elif\n#else\n#include \"no.h\"\n#endif\n").exact();
}

#[test]
fn lex_text_behind_directives() {
    source(BOTH, "-w a.c", "#ifdef __GNUC__ junk it's\n#include \"yes.h\"\n#else junk\n#include \"no.h\"\n#endif junk /* \n*/\n#undef X junk\n").exact();
}

#[test]
fn lex_elifdef_by_standard() {
    let honoured =
        "#if 0\n#elifdef __STDC__\n#include \"yes.h\"\n#else\n#include \"no.h\"\n#endif\n";
    let ignored =
        "#if 0\n#elifdef __STDC__\n#include \"no.h\"\n#else\n#include \"yes.h\"\n#endif\n";
    for command in [
        "-std=c2x a.c",
        "-std=gnu2x a.c",
        "-std=gnu17 a.c",
        "-std=gnu89 a.c",
    ] {
        source(BOTH, command, honoured).exact();
    }
    source(BOTHXX, "-std=c++23 a.cc", honoured).exact();
    source(BOTHXX, "-std=gnu++17 a.cc", honoured).exact();
    source(GCC, "-std=c17 a.c", ignored).exact();
    source(GXX, "-std=c++17 a.cc", ignored).exact();
    source(CLANG, "-std=c17 a.c", honoured).exact();
    source(CLANG, "-std=c++17 a.cc", honoured).exact();
    let negative = "#if 0\n#elifndef __NOT__\n#include \"yes.h\"\n#endif\n";
    source(BOTH, "-std=gnu2x a.c", negative).exact();
}

#[test]
fn lex_line_markers_do_not_move_the_search() {
    trap(BOTH, "a.c", "//- a.c\n# 33 \"d/file.c\"\n#include \"yes.h\"\n#line 44 \"d/x.c\"\n#include \"yes.h\"\n#line 7\n#include \"z.h\"\n//- yes.h\n//- z.h\n//- d/no.h\n//- d/yes.h/\n").exact();
    source(
        BOTH,
        "a.c",
        "#\n# \n# 33 \"other/dir/file\"\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_directives_in_macro_arguments() {
    source(GCC, "a.c", "#define ID(x) x\nint a = ID(\n1\n#if 0\n#include \"no.h\"\n#endif\n);\n#include \"yes.h\"\n").exact();
    source(
        GCC,
        "a.c",
        "#define ID(x) x\nint a = ID(\n#define M 1\n1);\n#if M\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
    source(
        CLANG,
        "a.c",
        "#define ID(x) x\nint a = ID(\n#if 1\n1\n#else\n2\n#endif\n);\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn lex_other_input_charsets() {
    source(GCC, "-finput-charset=UTF-16LE a.c", "#include \"yes.h\"\n")
        .declined(&["-finput-charset"]);
    source(BOTH, "-finput-charset=UTF-8 a.c", "#include \"yes.h\"\n").exact();
}

#[test]
fn lex_assembler_has_no_standard_for_gcc() {
    let elifdef = "#if 0\n#elifdef __ASSEMBLER__\n#include \"yes.h\"\n#endif\n";
    source(BOTH, "a.S", elifdef).exact();
    source(BOTH, "-std=c99 a.S", elifdef).exact();
    source(
        GCC,
        "-std=c99 a.S",
        "??=include \"no.h\"\n#include \"yes.h\"\n",
    )
    .exact();
    source(CLANG, "-std=c99 a.S", "??=include \"yes.h\"\n").exact();
    source(GCC, "a.S", "%:include \"no.h\"\n#include \"yes.h\"\n").exact();
    source(CLANG, "a.S", "%:include \"yes.h\"\n").exact();
    source(GCC, "-ansi a.S", "??=include \"yes.h\"\n").declined(&["standard ansi"]);
    source(
        CLANG,
        "-ansi a.S",
        "foo // /*\n#include \"no.h\"\n// */\n#include \"yes.h\"\n",
    )
    .exact();
}
