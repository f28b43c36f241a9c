//! `if_`: arithmetic and names in `#if`.

use crate::case::*;

/// All conditions hold, in one source.
#[track_caller]
fn all(compilers: &'static [&'static str], command: &str, conditions: &[&str]) {
    let mut text = String::new();
    for condition in conditions {
        text += &format!("#if !({condition})\n#include \"no.h\"\n#endif\n");
    }
    source(compilers, command, text + "#include \"yes.h\"\n").exact();
}

#[test]
fn if_integers_have_64_bits() {
    all(
        BOTH,
        "-w a.c",
        &[
            "0x7fffffffffffffff + 1 < 0",
            "18446744073709551615 > 0",
            "1 << 63 < 0",
            "(-1u >> 1) == 0x7fffffffffffffff",
            "0x7fffffffffffffff * 2 == -2",
            "-0x7fffffffffffffff - 1 < 0",
            "0xffffffffffffffff == -1",
            "0x8000000000000000 > 0",
            "9223372036854775807 + 0u + 1 > 0",
            "01777777777777777777777 == -1",
        ],
    );
    all(
        CROSS,
        "-w a.c",
        &["1 << 63 < 0", "0x8000000000000000 > 0", "-1 > 0u"],
    );
    all(
        BOTH,
        "-w -m32 a.c",
        &["1 << 63 < 0", "0x100000000 >> 32 == 1"],
    );
}

#[test]
fn if_unsigned_promotion() {
    all(
        BOTH,
        "-w a.c",
        &[
            "-1 > 0u",
            "!(-1 > 0)",
            "-1 / 2u > 0",
            "-7 % 3u == 0",
            "(-1 + 0u) > 0",
            "-(1u) > 0",
            "~0u > 0",
            "(-1 >> 1) == -1",
            "(-1 << 0u) < 0",
            "(1u << 63) > 0",
            "(0u == 0) - 2 < 0",
            "(!0u - 2) < 0",
            "(1u && 1u) - 2 < 0",
            "+0u - 1 > 0",
            "-1 == 0xffffffffffffffffu",
            "(2, -1u) > 0",
        ],
    );
}

#[test]
fn if_the_common_type_of_a_choice() {
    all(
        BOTH,
        "-w a.c",
        &[
            "(0 ? 1u : -1) > 0",
            "(1 ? -1 : 0u) > 0",
            "(1 ? -1 : 0) < 0",
            "1 ? 0 ? 0 : 1 : 0",
            "(1 ? 2 : 0 ? 3 : 4) == 2",
            "(0 ? 2 : 0 ? 3 : 4) == 4",
            "(1u ? -1 : -2) < 0",
        ],
    );
}

#[test]
fn if_comma() {
    all(GCC, "-w a.c", &["(1, 2) == 2", "(0, 1)"]);
    all(CLANG, "-w a.c", &["(1, 2) == 2", "(0, 1)"]);
    // Outside of parentheses too, unless somebody is pedantic.
    holds(GCC, "-w a.c", "", "0, 1").exact();
}

#[test]
fn if_unused_operands_are_not_evaluated() {
    all(
        BOTH,
        "-w a.c",
        &[
            "(2 || 1/0) && !(0 && 1/0)",
            "(1 ? 2 : 1/0) == 2",
            "(0 ? 1/0 : 2) == 2",
            "1 || 0 ? 1 : 1/0",
            "!(0 && (1/0 || 1 % 0))",
            "1 || (1 ? 1/0 : 1 % 0)",
        ],
    );
    // Nor complained of, but functions of the preprocessor are still looked up.
    holds(BOTH, "a.c", "", "0 && __has_include(\"yes.h\") || 1").exact();
}

#[test]
fn if_precedence() {
    all(
        BOTH,
        "-w a.c",
        &[
            "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9",
            "1 == 1 != 0 && 3 & 2 ^ 1 | 4",
            "(1 | 2 ^ 2 & 1) == 3",
            "2 > 1 > 0",
            "(1 <= 1) + (2 >= 3) == 1",
            "1 - 1 - 1 == -1",
            "8 >> 1 << 2 == 16",
            "~0 == -1 && -(-3) == 3 && +4 == 4 && !!5 == 1",
            "- -1 == 1 && !-1 == 0 && ~-1 == 0",
            "1 + 1 << 2 == 8",
            "(4 > 3 == 1) && (1 < 2) == 1",
            "10 - 2 * 3 % 4 == 8",
        ],
    );
}

#[test]
fn if_division_and_shifts() {
    all(
        BOTH,
        "-w a.c",
        &[
            "-7 / 2 == -3 && -7 % 2 == -1 && 7 % -2 == 1",
            "(-0x7fffffffffffffff - 1) % -1 == 0",
            "0x8000000000000000 / 2 == 0x4000000000000000",
            "-8 >> 1 == -4",
        ],
    );
    // Counts beyond the width: what each compiler makes of them.
    for shift in [
        "1 << 64",
        "1 << 65",
        "1 >> 64",
        "-1 >> 64",
        "1 << -1",
        "4 >> -1",
        "1u << 70",
        "1 << 0x100000000",
    ] {
        for compilers in [GCC, CLANG] {
            either(compilers, "-w a.c", shift);
        }
    }
}

/// Whatever the condition's value is, it is ours too; or it is declined.
#[track_caller]
fn either(compilers: &'static [&'static str], command: &str, condition: &str) {
    let text = format!("#if {condition}\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n");
    trap(
        compilers,
        command,
        format!("//- one.h\n//- two.h\n//- a.c\n{text}"),
    )
    .quick()
    .exact_or_declined();
}

#[test]
fn if_odd_values() {
    let odd = [
        "(-0x7fffffffffffffff - 1) / -1 > 0",
        "9223372036854775808 > 0",
        "99999999999999999999 > 0",
        "0x10000000000000000 == 0",
        "'\\400' == 0",
        "'\\xfff' == -1",
        "L'ab' == 'b'",
        "u'ab' == 'b'",
        "'abcde' == 'bcde'",
        "'\\u00e9' > 0",
        "'\u{e9}' > 0",
        "'\\q' == 'q'",
        "'\\x{41}' == 65",
        "'\\o{101}' == 65",
        "'\\N{LATIN SMALL LETTER A}' == 'a'",
        "'\\u{41}' == 65",
        "L'\\U0001F600' == 0x1F600",
        "u'\\U0001F600' > 0",
        "08 == 8",
        "1.0",
        "0x",
        "1uu",
        "1lL == 1",
        "1i",
        "0b2",
        "''",
        "'",
        "1 == L'1",
        "\"s\"",
        "2 ** 3",
        "1 = 1",
        "sizeof(int) == 4",
        "(int)1",
        "defined",
        "defined(",
        "defined()",
        "defined 1",
        "1 1",
        "1 ? 2",
        "1 : 2",
        "()",
        "(1",
        "1)",
        "&& 1",
        "1 &&",
        "#",
        "# 1",
        "@",
        "`",
        "\\",
        "1 // 2",
        "1 /* 2 */ 3",
        "0 ? : 1",
        "1 ?: 0",
        "<:",
        "1 <% 2",
        "1 +++ 1",
        "1 -- 1",
        "a.b",
        "a::b",
        "__VA_ARGS__",
        "__VA_OPT__",
        "1 == 1.",
        "0x1p3",
        "1e3",
        "1'0",
    ];
    for condition in odd {
        for compilers in [GCC, CLANG] {
            either(compilers, "-w a.c", condition);
        }
    }
}

#[test]
fn if_character_constants() {
    all(
        BOTH,
        "-w a.c",
        &[
            "'a' == 97 && '\\n' == 10 && '\\x41' == 65 && '\\101' == 65 && '\\0' == 0",
            "'\\a' == 7 && '\\b' == 8 && '\\t' == 9 && '\\v' == 11 && '\\f' == 12 && '\\r' == 13",
            "'\\e' == 27 && '\\'' == 39 && '\"' == 34 && '\\\"' == 34 && '\\?' == 63 && '\\\\' == 92",
            "'\\1014' == 16692",
            "'/*' == 0x2f2a && '//' == 0x2f2f",
        ],
    );
}

#[test]
fn if_character_signedness() {
    all(
        BOTH,
        "-w a.c",
        &["'\\377' < 0 && '\\xff' == -1 && '\\x80' == -128"],
    );
    all(
        BOTH,
        "-w -funsigned-char a.c",
        &["'\\377' > 0 && '\\xff' == 255"],
    );
    all(
        BOTH,
        "-w -funsigned-char -fsigned-char a.c",
        &["'\\377' < 0"],
    );
    all(CROSS, "-w a.c", &["'\\377' > 0 && '\\xff' == 255"]);
    all(CROSS, "-w -fsigned-char a.c", &["'\\377' < 0"]);
    all(
        &["clang-19"],
        "-w --target=aarch64-linux-gnu a.c",
        &["'\\377' > 0"],
    );
}

#[test]
fn if_multicharacter_constants() {
    all(
        BOTH,
        "-w a.c",
        &[
            "'ab' == 24930",
            "'abcd' == 1633837924",
            "'\\377\\377\\377\\377' == -1",
            "'a\\0' == 24832",
        ],
    );
}

#[test]
fn if_character_prefixes() {
    all(
        BOTH,
        "-w a.c",
        &[
            "L'a' == 97 && u'a' == 97 && U'a' == 97",
            "L'\\xff' == 255 && u'\\xffff' == 65535",
            "L'\u{e9}' == 233 && U'\u{1f600}' == 0x1f600 && L'\\u00e9' == 233",
            "U'\\xffffffff' > 0",
            "L'\\xffffffff' < 0",
        ],
    );
    all(BOTH, "-w -std=c2x a.c", &["u8'a' == 97"]);
    all(BOTHXX, "-w -std=c++17 a.cc", &["u8'a' == 97"]);
    all(BOTH, "-w -fshort-wchar a.c", &["L'\\xffff' == 65535"]);
    all(CROSS, "-w a.c", &["L'\\xffffffff' > 0"]);
}

#[test]
fn if_utf8_character_signedness() {
    for command in ["-w -std=c++17 a.cc", "-w -std=c++20 a.cc"] {
        for compilers in [GXX, CLANG] {
            let text = "#if u8'\\xff' < 0\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n";
            trap(
                compilers,
                command,
                format!("//- one.h\n//- two.h\n//- a.cc\n{text}"),
            )
            .exact();
        }
    }
    for compilers in [GCC, CLANG] {
        let text = "#if u8'\\xff' < 0\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n";
        trap(
            compilers,
            "-w -std=c2x a.c",
            format!("//- one.h\n//- two.h\n//- a.c\n{text}"),
        )
        .exact();
    }
}

#[test]
fn if_numbers() {
    all(
        BOTH,
        "-w a.c",
        &[
            "0777 == 511 && 0xABCul == 2748 && 10LLU == 10 && 0XfF == 255",
            "0b101 == 5 && 0B11u == 3",
            "1ull == 1 && 1LU == 1 && 1llU == 1",
            "00 == 0 && 0u == 0",
        ],
    );
}

#[test]
fn if_cxx_has_true_false_and_operator_names() {
    all(
        BOTHXX,
        "-w a.cc",
        &[
            "true and not false and (1 bitor 2) == 3",
            "1 xor 0 and compl 0 not_eq 0 and 3 bitand 1",
            "true == 1 && false == 0",
        ],
    );
    all(GXX, "-w -fno-operator-names a.cc", &["not == 0", "true"]);
    all(BOTH, "-w a.c", &["!true && !false && !not"]);
    all(BOTH, "-w a.m", &["!true"]);
    all(BOTHXX, "-w a.mm", &["true and 1"]);
    holds(
        BOTH,
        "a.c",
        "#include <stdbool.h>\n#include <iso646.h>",
        "true and 1",
    )
    .exact();
}

#[test]
fn if_c23_true() {
    // gcc 12 does not know it there.
    all(GCC, "-w -std=gnu2x a.c", &["!true"]);
    all(CLANG, "-w -std=c23 a.c", &["true"]);
}

#[test]
fn if_defined_by_expansion() {
    holds(BOTH, "-w a.c", "#define D defined(__GNUC__)", "D").exact();
    holds(
        BOTH,
        "-w a.c",
        "#define D defined __GNUC__ && defined",
        "D __GNUC__",
    )
    .exact();
    holds(
        BOTH,
        "-w a.c",
        "#define HAS(x) (defined x)\n#define X X",
        "HAS(X) && !HAS(Y)",
    )
    .exact();
    holds(
        BOTH,
        "-w a.c",
        "#define HAS(x) defined(x)\n#define X 1",
        "!HAS(X) == !defined(1) || 1",
    )
    .exact_or_declined();
}

#[test]
fn if_defined_takes_its_operand_unexpanded() {
    holds(
        BOTH,
        "a.c",
        "#define X Y\n#define F(x) 1",
        "defined X && defined(X) && !defined Y && defined F && defined(F)",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define X",
        "defined X + 1 == 2 && defined ( X ) == 1",
    )
    .exact();
    holds(BOTH, "a.c", "", "defined __FILE__ && defined(__LINE__) && defined __COUNTER__ && defined __has_include && !defined defined_").exact();
}

#[test]
fn if_unknown_names_are_zero() {
    holds(
        BOTH,
        "a.c",
        "#define F(x) 1",
        "NOTHING == 0 && F == 0 && (F) == 0 && int == 0",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define F(x) x\n#define G F",
        "G (1) && F\\\n(1)",
    )
    .exact();
}

#[test]
fn if_assertions() {
    holds(GCC, "-w a.c", "", "#system(linux) && #system(unix) && #system(posix) && #cpu(x86_64) && #machine(x86_64) && !#cpu(arm) && #system").exact();
    holds(
        GCC,
        "-w -m32 a.c",
        "",
        "#cpu(i386) && #machine(i386) && !#cpu(x86_64)",
    )
    .exact();
    holds(
        CROSS,
        "-w a.c",
        "",
        "!#cpu(aarch64) && !#machine(aarch64) && !#machine && #system(linux)",
    )
    .exact();
    holds(
        GCC,
        "-w a.c",
        "#assert thing(one two)\n#assert thing(three)\n#unassert thing(three)",
        "#thing(one  two) && !#thing(three) && #thing",
    )
    .exact();
    holds(GCC, "-w a.c", "#assert a(b)\n#unassert a", "!#a && !#a(b)").exact();
    holds(
        GCC,
        "-w -Aq=a -A p=b -A-system=unix a.c",
        "",
        "#q(a) && #p(b) && !#system(unix) && #system(linux)",
    )
    .exact();
    holds(GCC, "-w -A-system a.c", "", "!#system").exact();
    holds(GCC, "-w a.S", "", "#system(linux)").exact();
}

#[test]
fn if_deep_nesting() {
    let mut text = String::new();
    for _ in 0..300 {
        text += "#if 1\n#ifdef __STDC__\n";
    }
    text += "#include \"yes.h\"\n";
    text += &"#else\n#error\n#endif\n#endif\n".repeat(300);
    source(BOTH, "a.c", text).exact();
    let parentheses = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    holds(BOTH, "a.c", "", &parentheses).exact();
}

#[test]
fn if_groups_may_not_span_files() {
    let fixture = "//- a.c\n#include \"b.h\"\n#endif\n//- b.h\n#if 1\n";
    trap(BOTH, "a.c", fixture).declined(&["b.h:1", "#endif"]);
}
