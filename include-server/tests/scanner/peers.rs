//! Fixtures whose closure must be what the compilers print with `-M`.

use crate::support::{compiler, names, plain, plant, reference, scan_in, words};

/// Which compilers a fixture is for.
pub(super) const BOTH: &[&str] = &["gcc", "clang-19"];
pub(super) const GCC: &[&str] = &["gcc"];
pub(super) const CLANG: &[&str] = &["clang-19"];

/// Scans the fixture with each compiler's rules and compares with `-M`. `yes.h` must be read and `no.h` must not, wherever they are
/// in the tree, so that a case cannot pass by the compiler's being wrong about the fixture, too.
#[track_caller]
pub(super) fn check(compilers: &[&str], command: &str, fixture: &str) {
    let tree = plant(fixture);
    let arguments = words(command);
    for program in compilers {
        let Some(compiler) = compiler(program) else {
            continue;
        };
        let wanted = reference(&compiler, tree.path(), &arguments);
        let wanted = wanted.unwrap_or_else(|| panic!("{program} rejects the fixture"));
        let closure = match scan_in(&compiler, tree.path(), &arguments) {
            Ok(closure) => closure,
            Err(decline) => panic!("{program}: declined: {decline}"),
        };
        let mut found = names(&closure);
        if compiler.family.is_clang() {
            // clang lists what __has_include finds; gcc does not.
            found.extend(
                closure
                    .has_include_hits
                    .iter()
                    .map(|hit| plain(&hit.name.to_string_lossy())),
            );
        }
        assert_eq!(found, wanted, "{program}: ours, theirs");
        let ends_with = |name: &str| {
            found
                .iter()
                .any(|file| file == name || file.ends_with(&format!("/{name}")))
        };
        assert!(!ends_with("no.h"), "{program}: a no.h is read");
        assert!(
            ends_with("yes.h") || !fixture.contains("yes.h"),
            "{program}: no yes.h is read"
        );
    }
}

/// A source between two empty headers, one of which it must read.
#[track_caller]
pub(super) fn check_source(compilers: &[&str], command: &str, source: &str) {
    let name = words(command).pop().expect("a source");
    check(
        compilers,
        command,
        &format!("//- {name}\n{source}\n//- yes.h\n//- no.h\n"),
    );
}

#[track_caller]
pub(super) fn check_condition(compilers: &[&str], command: &str, prelude: &str, condition: &str) {
    let source = format!(
        "{prelude}\n#if {condition}\n#include \"yes.h\"\n#else\n#include \"no.h\"\n#endif\n"
    );
    check_source(compilers, command, &source);
}

pub(super) const YES_NO: &str = "#include \"yes.h\"\n#else\n#include \"no.h\"\n#endif\n";
pub(super) const NO_YES: &str = "#include \"no.h\"\n#else\n#include \"yes.h\"\n#endif\n";

#[test]
fn system_headers() {
    check_source(
        BOTH,
        "a.c",
        "#include <stdio.h>\n#include <stdlib.h>\n#include <sys/socket.h>\n#include <pthread.h>\n#include \"yes.h\"",
    );
    check_source(
        &["g++", "clang-19"],
        "-std=c++20 a.cc",
        "#include <vector>\n#include <ranges>\n#include \"yes.h\"",
    );
}

#[test]
fn lexing_splices_and_comments() {
    check_source(BOTH, "a.c", "#inc\\\nlude \"y\\\nes.h\"");
    check_source(
        BOTH,
        "a.c",
        "/* */ # /* x */ include /* y\n */ \"yes.h\" // end",
    );
    check_source(
        BOTH,
        "a.c",
        "#if 1 /*\n*/ && 0\n#include \"no.h\"\n#endif\n#include \"yes.h\"",
    );
    check_source(
        BOTH,
        "a.c",
        "// comment \\\n#include \"no.h\"\n#include \"yes.h\"",
    );
    check_source(
        BOTH,
        "a.c",
        "// comment \\ \t\n#include \"no.h\"\n#include \"yes.h\"",
    );
    check_source(
        BOTH,
        "a.c",
        "int a; /* \n*/ #define X 1\n#ifdef X\n#include \"no.h\"\n#endif\n#include \"yes.h\""
            .replace(" #define", "\n#undef")
            .as_str(),
    );
    check_source(BOTH, "a.c", "/* *\\\n/\n#include \"yes.h\"\n/* */");
    check_source(
        BOTH,
        "a.c",
        "/\\\n* comment\n#include \"no.h\"\n*/\n#include \"yes.h\"",
    );
    check_source(BOTH, "a.c", "\x0c#include \"yes.h\"");
    check_source(BOTH, "a.c", "\u{feff}#include \"yes.h\"");
    check_source(
        BOTH,
        "a.c",
        "#include \"yes.h\"\r\n#if 0\r\n#include \"no.h\"\r\n#endif\r\n#define A \\\r\n 1\r\n",
    );
    check_source(GCC, "a.c", "int a;\r#include \"yes.h\"\r");
    check_source(
        BOTH,
        "a.c",
        "#define A /* */ 1\n#if A\n#include \"yes.h\"\n#endif",
    );
}

#[test]
fn lexing_at_the_end_of_a_file() {
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n#include \"yes.h\"\\\n//- yes.h\n",
    );
    let tree = plant("//- a.c\n//- yes.h\n");
    for (program, text) in [
        ("gcc", "#include \"yes.h\""),
        ("gcc", "int a;\n#include \"yes.h\"\\"),
        ("clang-19", "#include \"yes.h\""),
    ] {
        std::fs::write(tree.path().join("a.c"), text).unwrap();
        if let Some(compiler) = compiler(program) {
            let closure = scan_in(&compiler, tree.path(), &words("a.c")).unwrap();
            assert_eq!(
                Some(names(&closure)),
                reference(&compiler, tree.path(), &words("a.c"))
            );
        }
    }
}

#[test]
fn lexing_quotes() {
    check_source(
        BOTH,
        "a.c",
        "const char *s = \"/*\";\n#include \"yes.h\"\nconst char *t = \"*/\";",
    );
    check_source(
        BOTH,
        "a.c",
        "const char *s = \"\\\"/*\";\n#include \"yes.h\"\nconst char *t = \"*/\";",
    );
    check_source(BOTH, "a.c", "int c = '\"'; /* \" */\n#include \"yes.h\"\n");
    check_source(
        BOTH,
        "a.c",
        "#if 0\ndon't /* start\n#endif\n#include \"yes.h\"\n/* */",
    );
    check_source(
        BOTH,
        "a.c",
        "#if 0\nisn't /* it\n#include \"no.h\"\n'*/\n#endif\n#include \"yes.h\"\n",
    );
    check_source(
        BOTH,
        "a.c",
        "const char *s = \"a\\\n/* b\";\n#include \"yes.h\"\n",
    );
    check_source(BOTH, "a.S", "foo 'a /* start\n#include \"yes.h\"\n");
}

#[test]
fn lexing_raw_strings() {
    let raw = "const char *s = R\"(\n#include \"no.h\"\n)\";\n#include \"yes.h\"";
    check_source(&["g++", "clang-19"], "-std=c++11 a.cc", raw);
    check_source(GCC, "-std=gnu99 a.c", raw);
    check_source(
        &["g++", "clang-19"],
        "a.cc",
        "const char *s = u8R\"x(\n)\" /* )x\" \"\\\n#include \"no.h\"\n)x\"\n;\n#include \"yes.h\""
            .replace(")x\" \"\\", ")y\" \"\\")
            .as_str(),
    );
    check_source(
        &["g++"],
        "a.cc",
        "#if 0\nR\"(\n#endif\n#include \"no.h\"\n)\"\n#endif\n#include \"yes.h\"",
    );
    check_source(
        &["g++", "clang-19"],
        "-std=gnu++98 a.cc",
        "#define R\nconst char *s = R\"( /* \";\n#include \"yes.h\"\n//*/",
    );
    check_source(
        &["gcc", "clang-19"],
        "-std=c11 a.c",
        "#define R\nconst char *s = R\"( /* \";\n#include \"yes.h\"\n//*/",
    );
    check_source(
        &["g++", "clang-19"],
        "a.cc",
        "#define STR \"\nconst char *s = FOOR\"( /* \";\n#include \"yes.h\"\n//*/"
            .replace("#define STR \"", "#define FOOR")
            .as_str(),
    );
    check_source(
        &["g++", "clang-19"],
        "a.cc",
        "const char *s = R\"-\\\n-(\n)-\\\n-\";\n#include \"yes.h\""
            .replace("-\\\n-", "ab")
            .as_str(),
    );
}

#[test]
fn lexing_numbers_and_separators() {
    let source = "int a = 1'000 /* it's */;\n#include \"yes.h\"\n";
    check_source(&["g++", "clang-19"], "-std=c++14 a.cc", source);
    check_source(
        &["g++", "clang-19"],
        "-std=c++14 a.cc",
        "int a = 1'000 /* it's\n#include \"no.h\"\n*/;\n#include \"yes.h\"\n",
    );
    check_source(
        &["g++", "clang-19"],
        "-std=c++98 a.cc",
        "int a = 1'000 /* it'; \n#include \"yes.h\"\n",
    );
    check_condition(
        &["g++", "clang-19"],
        "-std=c++14 a.cc",
        "",
        "1'000 == 1000 && 0b11 == 3",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#define EX yes\n#define CAT(a) #a\n#define S(a) CAT(a)\n#include S(EX.h)\n#include S(1.EX)\n//- yes.h\n//- 1.EX\n",
    );
}

#[test]
fn lexing_by_dialect() {
    check_condition(
        GCC,
        "-ansi a.c",
        "",
        "4 //**/ 2\n  == 2".replace('\n', "\\\n").as_str(),
    );
    check_condition(BOTH, "-std=gnu89 a.c", "", "1 // && 0");
    check_source(
        BOTH,
        "-std=c99 a.c",
        "// ??/\n#include \"no.h\"\n#include \"yes.h\"",
    );
    check_source(BOTH, "-std=gnu99 a.c", "// ??/\n#include \"yes.h\"");
    check_source(BOTH, "-std=c11 a.c", "??=include \"yes.h\"");
    check_source(BOTH, "-trigraphs a.c", "??=include \"yes.h\"");
    check_source(BOTH, "a.c", "%:include \"yes.h\"");
    check_source(
        BOTH,
        "a.c",
        "#define a$b 1\n#if a$b\n#include \"yes.h\"\n#endif",
    );
    check_source(
        BOTH,
        "-std=c11 a.c",
        "#define \u{e9} 1\n#if \\u00e9\n#include \"yes.h\"\n#endif",
    );
    check_source(
        GCC,
        "-std=gnu2x a.c",
        "#if 0\n#elifdef __GNUC__\n#include \"yes.h\"\n#endif",
    );
    check_source(
        GCC,
        "-std=gnu17 a.c",
        "#if 0\n#elifdef __GNUC__\n#include \"yes.h\"\n#endif",
    );
    check_source(
        GCC,
        "-std=c17 a.c",
        "#if 0\n#elifdef __GNUC__\n#include \"no.h\"\n#else\n#include \"yes.h\"\n#endif",
    );
    check_source(
        CLANG,
        "-std=gnu17 a.c",
        "#if 0\n#elifdef __GNUC__\n#include \"yes.h\"\n#endif",
    );
}

#[test]
fn header_names_are_raw() {
    // clang prints the backslash as a slash.
    check(GCC, "-I. a.c", "//- a.c\n#include \"i\\j.h\"\n//- i\\j.h\n");
    check(
        BOTH,
        "-I. a.c",
        "//- a.c\n#include <x/*y.h>\n#include <z//w.h>\n#include <it's.h>\n//- x/*y.h\n//- z/w.h\n//- it's.h\n",
    );
    check_condition(
        BOTH,
        "-I. a.c",
        "#define HAS(x) __has_include(x)",
        "__has_include(<z//yes.h>) || HAS(\"yes.h\")",
    );
}

#[test]
fn assembler() {
    check_source(
        BOTH,
        "a.S",
        "# this is a comment, not a directive\n# 33 isn't either\n#ifdef __ASSEMBLER__\n#include \"yes.h\"\n#endif\n  mov $1, r0 ' x",
    );
}

#[test]
fn unknown_directives_in_skipped_groups() {
    check_source(
        BOTH,
        "a.c",
        "#if 0\n#frobnicate\n#elif 1\n#include \"yes.h\"\n#elif garbage ( +\n#else\n#endif\n#if 0\n#if garbage ((\n#endif\n#include\n#define\n#endif",
    );
    check_source(
        BOTH,
        "a.c",
        "#define EMPTY\nEMPTY # include \"no.h\"\n#define HASH #\nHASH include \"no.h\"\n#define include nothing\n#define if 0\n#include \"yes.h\"",
    );
    check_source(
        BOTH,
        "a.c",
        "#\n# \n# 33 \"other/dir/file\"\n#line 44 \"elsewhere/x.c\"\n#include \"yes.h\"",
    );
}

#[test]
fn directives_in_arguments() {
    check_source(GCC, "a.c", "#define ID(x) x\nID(\n#include \"yes.h\"\n)");
}

#[test]
fn arithmetic() {
    let cases = [
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9",
        "-1 > 0u",
        "!(-1 > 0)",
        "(0 ? 1u : -1) > 0",
        "(2 || 1/0) && !(0 && 1/0)",
        "(1 ? 2 : 1/0) == 2",
        "0x7fffffffffffffff + 1 < 0",
        "18446744073709551615 > 0",
        "1 << 63 < 0",
        "-1 >> 1 == -1",
        "(-1u >> 1) == 0x7fffffffffffffff",
        "-7 / 2 == -3 && -7 % 2 == -1",
        "~0 == -1 && -(-3) == 3 && +4 == 4 && !!5 == 1",
        "(1, 2) == 2",
        "1 ? 0 ? 0 : 1 : 0",
        "'a' == 97 && '\\n' == 10 && '\\x41' == 65 && '\\101' == 65 && '\\0' == 0",
        "'ab' == 24930 && 'abcd' == 1633837924",
        "'\\377' < 0 && '\\xff' == -1",
        "L'\\xff' == 255 && u'\\xffff' == 65535 && U'a' == 97",
        "L'\u{e9}' == 233",
        "0777 == 511 && 0xABCul == 2748 && 10LLU == 10",
        "1 == 1 != 0 && 3 & 2 ^ 1 | 4",
        "undefined_name == 0 && !undefined_name",
        "defined __LINE__ && defined(__FILE__) && !defined NOTHING",
        "2 > 1 > 0",
        "(1 <= 1) + (2 >= 3) == 1",
        "1 - 1 - 1 == -1",
        "8 >> 1 << 2 == 16",
        "__INCLUDE_LEVEL__ == 0",
    ];
    for case in cases {
        check_condition(BOTH, "a.c", "", case);
    }
    check_condition(BOTH, "-funsigned-char a.c", "", "'\\377' > 0");
    check_condition(BOTH, "a.c", "", "__LINE__ == 2");
}

#[test]
fn names_in_conditions() {
    check_condition(
        &["g++", "clang-19"],
        "a.cc",
        "",
        "true and not false and (1 bitor 2) == 3 and 1 xor 0 and compl 0 not_eq 0",
    );
    check_condition(BOTH, "a.c", "", "!true && !false");
    check_condition(GCC, "-std=gnu2x a.c", "", "!true");
    check_condition(CLANG, "-std=c23 a.c", "", "true");
    check_condition(BOTH, "a.c", "#define D defined(__GNUC__)", "D");
    check_condition(
        BOTH,
        "a.c",
        "#define A B\n#define B A\n#define F(x) 1",
        "A == 0 && B == 0 && F == 0",
    );
}

#[test]
fn assertions() {
    check_condition(
        GCC,
        "a.c",
        "",
        "#system(linux) && #cpu(x86_64) && !#cpu(arm) && #system",
    );
    check_condition(
        GCC,
        "a.c",
        "#assert thing(one two)\n#assert thing(three)\n#unassert thing(three)",
        "#thing(one two) && !#thing(three)",
    );
    check_condition(GCC, "-Aq=a -A-system a.c", "", "#q(a) && !#system(linux)");
}

#[test]
fn has_include() {
    check_condition(
        BOTH,
        "a.c",
        "",
        "__has_include(\"yes.h\") && !__has_include(\"missing.h\") && __has_include(<stdio.h>)",
    );
    check_condition(
        BOTH,
        "a.c",
        "#define HAS(x) __has_include(x)\n#define Y \"yes.h\"",
        "HAS(\"yes.h\") && HAS(Y) && __has_include(Y)",
    );
    check_condition(
        BOTH,
        "a.c",
        "#define S <stdio.h>",
        "__has_include(S) && defined __has_include && defined(__has_include_next)",
    );
    check(
        BOTH,
        "a.c",
        &format!(
            "//- a.c\n#if !__has_include(\"dir.h\")\n{YES_NO}//- dir.h/\n//- yes.h\n//- no.h\n"
        ),
    );
    check(
        GCC,
        "-Ii -Ij a.c",
        &format!(
            "//- a.c\n#include \"x.h\"\n#include <x.h>\n//- i/x.h\n#if __has_include_next(<x.h>)\n{YES_NO}//- j/x.h\n#if __has_include_next(<x.h>)\n{NO_YES}//- yes.h\n//- i/yes.h\n//- j/yes.h\n//- i/no.h\n"
        ),
    );
}

#[test]
fn features() {
    check_condition(
        BOTH,
        "a.c",
        "",
        "__has_attribute(noreturn) && !__has_attribute(frobnicate) && __has_builtin(__builtin_memcpy)",
    );
    check_condition(
        &["g++", "clang-19"],
        "-std=c++17 a.cc",
        "",
        "__has_cpp_attribute(nodiscard) >= 201603 && !__has_cpp_attribute(foo::bar)",
    );
    check_condition(GCC, "a.c", "#define foo noreturn", "__has_attribute(foo)");
    check_condition(
        CLANG,
        "a.c",
        "",
        "__has_feature(c_alignas) && __is_identifier(foo) && !__is_identifier(int) && __has_warning(\"-Wall\")",
    );
    check_condition(GCC, "a.c", "", "!defined __has_feature");
    check_condition(
        CLANG,
        "a.c",
        "",
        "defined __has_feature && defined __has_extension && defined __building_module",
    );
}

#[test]
fn expansion() {
    let cases = [
        ("#define F(a, b) a b\n#define EMPTY", "F(1, == 1) EMPTY"),
        (
            "#define CAT(a, b) a ## b\n#define XCAT(a, b) CAT(a, b)\n#define AB 5\n#define A X",
            "CAT(A, B) == 5 && XCAT(A, B) == 0",
        ),
        ("#define f(a) a*g\n#define g(a) f(a)", "1 || f(2)(9)"),
        (
            "#define EVAL(x) x\n#define LPAREN (\n#define F(x) x",
            "EVAL(F LPAREN 7)) == 7",
        ),
        (
            "#define ARGS(...) SECOND(__VA_ARGS__)\n#define SECOND(a, b, ...) b",
            "ARGS(1, 2, 3) == 2",
        ),
        (
            "#define COUNT(...) COUNT_(0, ## __VA_ARGS__, 2, 1, 0)\n#define COUNT_(a, b, c, n, ...) n",
            "COUNT() == 0 && COUNT(x) == 1 && COUNT(x, y) == 2",
        ),
        (
            "#define NAMED(args...) FIRST(args, 0)\n#define FIRST(a, ...) a",
            "NAMED(4, 5) == 4",
        ),
        (
            "#define OPT(x, ...) x __VA_OPT__(+ 1) + 0",
            "OPT(1) == 1 && OPT(1, 2) == 2 && OPT(1,) == 1",
        ),
        (
            "#define P(x) x##_defined\n#define q_defined 1",
            "P(q) && P() == 0",
        ),
        (
            "#define EMPTYARG(x) [x]\n#define Z(x) 0 ## x",
            "Z() == 0 && Z(1) == 1 && Z(x1f) == 31",
        ),
        (
            "#define config_enabled(x) _config(x)\n#define _config(v) __config(_ARG_##v)\n#define _ARG_1 0,\n#define __config(a) ___config(a 1, 0)\n#define ___config(i, v, ...) v\n#define CONFIG_ON 1",
            "config_enabled(CONFIG_ON) && !config_enabled(CONFIG_OFF)",
        ),
        (
            "#define A() B\n#define B() 3\n#define DEFER(x) x EMPTY()\n#define EMPTY()\n#define EXPAND(...) __VA_ARGS__",
            "EXPAND(DEFER(B)()) == 3",
        ),
        ("#define F(x, y) x + y", "F((1, 2), 3) == 5"),
        ("#define foo foo + 1", "foo == 1"),
        (
            "#define NARGS(_1, _2, _3, N, ...) N\n#define N(...) NARGS(__VA_ARGS__, 3, 2, 1)",
            "N(a, b) == 2",
        ),
        (
            "#define STR(x) #x\n#define X 1\n#pragma push_macro(\"X\")\n#undef X\n#define X 2\n#if X != 2\n#include \"no.h\"\n#endif\n#pragma pop_macro(\"X\")",
            "X == 1",
        ),
        (
            "#pragma push_macro(\"U\")\n#define U 1\n#pragma pop_macro(\"U\")",
            "!defined U",
        ),
        ("#undef __GNUC__", "!defined __GNUC__"),
        (
            "#define __VERSION_OF(x) __##x##__\n#define V(x) __VERSION_OF(x)",
            "V(GNUC) == __GNUC__ && __VERSION_OF(GNUC) == V(GNUC) && V(GNUC) > 0",
        ),
        (
            "#if __COUNTER__ != 0\n#include \"no.h\"\n#endif",
            "__COUNTER__ == 1 && __COUNTER__ == 2",
        ),
    ];
    for (prelude, condition) in cases {
        check_condition(BOTH, "a.c", prelude, condition);
    }
}

#[test]
fn comma_paste_by_dialect() {
    let prelude = "#define SECOND(a, b, ...) b\n#define LONE(...) SECOND(0, ## __VA_ARGS__, 1, 2)";
    check_condition(BOTH, "-std=gnu11 a.c", prelude, "LONE() == 1");
    let strict =
        "#define SECOND(a, b, ...) b + 0\n#define LONE(...) SECOND(0, ## __VA_ARGS__, 1, 2)";
    check_condition(GCC, "-std=c11 a.c", strict, "LONE() == 0");
    check_condition(
        BOTH,
        "-std=c11 a.c",
        "#define SECOND(a, b, ...) b\n#define WITH(x, ...) SECOND(x, ## __VA_ARGS__, 1, 2)",
        "WITH(0) == 1",
    );
}
