//! `macro_`: expansion in conditions.

use crate::case::*;

#[test]
fn macro_of_the_gnu_modes() {
    holds(BOTH, "a.c", "", "linux && unix && __linux__").exact();
    holds(
        BOTH,
        "-std=c17 a.c",
        "",
        "!defined linux && !defined unix && __linux__",
    )
    .exact();
    holds(
        GCC,
        "-m32 a.c",
        "",
        "i386 && __i386__ && !defined __x86_64__",
    )
    .exact();
    holds(
        CROSS,
        "a.c",
        "",
        "linux && __aarch64__ && !defined __x86_64__",
    )
    .exact();
}

#[test]
fn macro_pasting() {
    let prelude = "#define CAT(a, b) a ## b\n#define XCAT(a, b) CAT(a, b)\n#define AB 5\n#define A X\n#define X1 7";
    holds(
        BOTH,
        "a.c",
        prelude,
        "CAT(A, B) == 5 && XCAT(A, B) == 0 && XCAT(A, 1) == 7 && CAT(1, 2) == 12",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define P(x) x##_defined\n#define q_defined 1\n#define _defined 3",
        "P(q) == 1 && P() == 3",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define Z(x) 0 ## x\n#define L(x) x ## ull",
        "Z() == 0 && Z(1) == 1 && Z(x1f) == 31 && L(4) == 4",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define C(a, b) a ## b",
        "1 C(<, <) 3 == 8 && 1 C(&, &) 1 && C(, 1) && C(1, ) && 1 C(,) == 1",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define T(a,b,c) a##b##c\n#define xyz 4",
        "T(x,y,z) == 4 && T(x,,) == 0 && T(,xyz,) == 4 && T(1,,2) == 12",
    )
    .exact();
}

#[test]
fn macro_pasting_that_makes_no_token() {
    holds(BOTH, "a.c", "#define C(a, b) a ## b", "C(1, +) 2").exact_or_declined();
    holds(BOTH, "a.c", "#define C(a, b) a ## b", "C(+, 1)").exact_or_declined();
    holds(BOTH, "a.S", "#define C(a, b) a ## b", "C(+, 1)").exact_or_declined();
}

#[test]
fn macro_pasted_names_expand_again() {
    holds(
        BOTH,
        "a.c",
        "#define F(x) G_##x\n#define G_1 H(2)\n#define H(y) y + 1",
        "F(1) == 3",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define F(x) x##x\n#define aa a\n#define a 3",
        "F(a) == 3",
    )
    .exact();
    holds(BOTH, "a.c", "#define DEF(x) de##fined(x)", "DEF(__GNUC__)").exact_or_declined();
}

#[test]
fn macro_stringification_in_names() {
    trap(BOTH, "a.c", "//- a.c\n#define S(x) #x\n#include S(a.h)\n#include S( b  .  h )\n#include S(\"c\")\n//- a.h\n//- b . h\n//- \\\"c\\\"\n").exact_or_declined();
    trap(BOTH, "a.c", "//- a.c\n#define S(...) #__VA_ARGS__\n#include S(a,b)\n#include S(a , b)\n//- a,b\n//- a , b\n").exact();
    trap(BOTH, "a.c", "//- a.c\n#define S(x) #x\n#define X(x) S(x)\n#define a b\n#include S(a.h)\n#include X(a.h)\n//- a.h\n//- b.h\n").exact();
}

#[test]
fn macro_optional_arguments() {
    holds(
        BOTH,
        "a.c",
        "#define OPT(x, ...) x __VA_OPT__(+ 1) + 0\n#define E",
        "OPT(1) == 1 && OPT(1, 2) == 2 && OPT(1,) == 1 && OPT(1, E) == 1",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define OPT(x, ...) x##__VA_OPT__(5)\n#define PRE(x, ...) __VA_OPT__(1)##x",
        "OPT(1) == 1 && OPT(1, 2) == 15 && PRE(3) == 3 && PRE(3, 4) == 13",
    )
    .exact();
    trap(
        GCC,
        "a.c",
        "//- a.c\n#define OPT(x, ...) #__VA_OPT__(x __VA_ARGS__)\n#include OPT(a, b)\n//- a b\n",
    )
    .exact();
    holds(BOTHXX, "-std=c++20 a.cc", "#define F(a, ...) f(a __VA_OPT__(,) __VA_ARGS__)\n#define f(...) N(__VA_ARGS__, 3, 2, 1)\n#define N(a, b, c, n, ...) n", "F(x) == 1 && F(x, y) == 2 && F(x, y, z) == 3").exact();
}

#[test]
fn macro_comma_before_missing_arguments() {
    let count =
        "#define COUNT(...) COUNT_(0, ## __VA_ARGS__, 2, 1, 0)\n#define COUNT_(a, b, c, n, ...) n";
    holds(
        BOTH,
        "a.c",
        count,
        "COUNT() == 0 && COUNT(x) == 1 && COUNT(x, y) == 2",
    )
    .exact();
    let lone = "#define SECOND(a, b, ...) b\n#define LONE(...) SECOND(0, ## __VA_ARGS__, 1, 2)";
    holds(BOTH, "-std=gnu11 a.c", lone, "LONE() == 1").exact();
    let strict =
        "#define SECOND(a, b, ...) b + 0\n#define LONE(...) SECOND(0, ## __VA_ARGS__, 1, 2)";
    holds(GCC, "-std=c11 a.c", strict, "LONE() == 0").exact();
    holds(CLANG, "-std=c11 a.c", strict, "LONE() == 0")
        .quick()
        .exact_or_declined();
    for (compilers, command) in [
        (GCC, "-std=c11 a.c"),
        (CLANG, "-std=c11 a.c"),
        (GXX, "-std=c++11 a.cc"),
        (CLANG, "-std=c++11 a.cc"),
        (GXX, "-std=c++20 a.cc"),
        (CLANG, "-std=c++20 a.cc"),
        (GCC, "-std=c2x a.c"),
        (CLANG, "-std=c2x a.c"),
        (GCC, "-std=gnu89 a.c"),
        (CLANG, "-std=gnu89 a.c"),
        (GCC, "-w a.S"),
        (CLANG, "a.S"),
    ] {
        let source = command.split(' ').next_back().unwrap();
        let text = "#if LONE() + 0\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n";
        trap(
            compilers,
            command,
            format!("//- one.h\n//- two.h\n//- {source}\n{lone}\n{text}"),
        )
        .quick()
        .exact_or_declined();
        let named = "#define SECOND(a, b, ...) b\n#define WITH(x, ...) SECOND(x, ## __VA_ARGS__, 1, 2)\n#if WITH(0) == 1";
        trap(compilers, command, format!("//- one.h\n//- two.h\n//- {source}\n{named}\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n")).quick().exact_or_declined();
        let empty = "#define SECOND(a, b, ...) b + 0\n#define WITH(x, ...) SECOND(x, ## __VA_ARGS__, 1, 2)\n#if WITH(0,) == 1";
        trap(compilers, command, format!("//- one.h\n//- two.h\n//- {source}\n{empty}\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n")).quick().exact_or_declined();
    }
}

#[test]
fn macro_named_variadic_arguments() {
    holds(
        BOTH,
        "a.c",
        "#define NAMED(args...) FIRST(args, 0)\n#define FIRST(a, ...) a",
        "NAMED(4, 5) == 4",
    )
    .exact();
    holds(BOTH, "a.c", "#define P(f, args...) G(f, ## args)\n#define G(...) N(__VA_ARGS__, 3, 2, 1)\n#define N(a, b, c, n, ...) n", "P(x) == 1 && P(x, y) == 2 && P(x, y, z) == 3").exact();
}

#[test]
fn macro_blue_paint() {
    holds(BOTH, "a.c", "#define foo foo + 1", "foo == 1").exact();
    holds(BOTH, "a.c", "#define A B\n#define B A", "A == 0 && B == 0").exact();
    holds(
        BOTH,
        "a.c",
        "#define f(a) a*g\n#define g(a) f(a)",
        "1 || f(2)(9)",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define f(x) x f\n#define ID(x) x",
        "ID(f(1)) + 0 || 1",
    )
    .exact_or_declined();
    holds(
        BOTH,
        "a.c",
        "#define NIL(xxx) xxx\n#define G_0(arg) NIL(G_1)(arg)\n#define G_1(arg) NIL(arg)",
        "G_0(42) == 42",
    )
    .exact();
}

#[test]
fn macro_arguments_from_the_rest_of_the_line() {
    holds(
        BOTH,
        "a.c",
        "#define EVAL(x) x\n#define LPAREN (\n#define F(x) x",
        "EVAL(F LPAREN 7)) == 7",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define F(x, y) x + y\n#define G F\n#define H G(1,",
        "H 2) == 3 && G(1, 1) == 2",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define F(x) x + 1\n#define F_ F",
        "F_(2) == 3 && F_ (2) == 3",
    )
    .exact();
}

#[test]
fn macro_empty_and_odd_arguments() {
    holds(
        BOTH,
        "a.c",
        "#define F(a, b) a b\n#define EMPTY\n#define G() 4\n#define H(x) 5",
        "F(1, == 1) EMPTY && F(,1) && G() == 4 && G( ) == 4 && H() == 5 && H(,) + 0",
    )
    .exact_or_declined();
    holds(
        BOTH,
        "a.c",
        "#define F(a, b) a b\n#define EMPTY\n#define G() 4\n#define H(x) 5",
        "F(1, == 1) EMPTY && F(,1) && G() == 4 && G( ) == 4 && H() == 5",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define F(x, y) x + y",
        "F((1, 2), 3) == 5 && F((1), ((2))) == 3",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define F(x) x",
        "F(')') == ')' && F(\n1) == 1"
            .replace('\n', "\\\n")
            .as_str(),
    )
    .exact();
}

#[test]
fn macro_deferred_expansion() {
    let defer = "#define A() B\n#define B() 3\n#define DEFER(x) x EMPTY()\n#define EMPTY()\n#define EXPAND(...) __VA_ARGS__";
    holds(BOTH, "a.c", defer, "EXPAND(DEFER(B)()) == 3").exact();
    let repeat = "#define EMPTY()\n#define DEFER(x) x EMPTY()\n#define OBSTRUCT(...) __VA_ARGS__ DEFER(EMPTY)()\n#define EVAL(...) EVAL1(EVAL1(EVAL1(__VA_ARGS__)))\n#define EVAL1(...) EVAL2(EVAL2(EVAL2(__VA_ARGS__)))\n#define EVAL2(...) __VA_ARGS__\n#define CAT(a, b) CAT_(a, b)\n#define CAT_(a, b) a##b\n#define DEC(n) CAT(DEC_, n)\n#define DEC_1 0\n#define DEC_2 1\n#define DEC_3 2\n#define IF(n) CAT(IF_, n)\n#define IF_0(t, e) e\n#define IF_1(t, e) t\n#define IF_2(t, e) t\n#define IF_3(t, e) t\n#define REPEAT(n) IF(n)(OBSTRUCT(REPEAT_)()(DEC(n)) + 1, 0)\n#define REPEAT_() REPEAT";
    holds(BOTH, "a.c", repeat, "EVAL(REPEAT(3)) == 3").exact();
}

#[test]
fn macro_kernel_is_enabled() {
    let prelude = "#define __ARG_PLACEHOLDER_1 0,\n#define __take_second_arg(__ignored, val, ...) val\n#define __is_defined(x) ___is_defined(x)\n#define ___is_defined(val) ____is_defined(__ARG_PLACEHOLDER_##val)\n#define ____is_defined(arg1_or_junk) __take_second_arg(arg1_or_junk 1, 0)\n#define ON 1\n#define MODULE_MODULE 1";
    holds(
        BOTH,
        "a.c",
        prelude,
        "__is_defined(ON) && !__is_defined(OFF) && __is_defined(MODULE_MODULE)",
    )
    .exact();
}

#[test]
fn macro_of_sequences_as_boost_has_them() {
    let prelude = "#define SEQ (a)(b)(c)\n#define SIZE(s) SIZE_I(s)\n#define SIZE_I(s) CAT(SIZE_, SIZE_0 s)\n#define CAT(a, b) CAT_I(a, b)\n#define CAT_I(a, b) a ## b\n#define SIZE_0(x) SIZE_1\n#define SIZE_1(x) SIZE_2\n#define SIZE_2(x) SIZE_3\n#define SIZE_SIZE_3 3\n#define SIZE_SIZE_1 1";
    holds(BOTH, "a.c", prelude, "SIZE(SEQ) == 3 && SIZE((q)) == 1").exact();
}

#[test]
fn macro_redefinition_and_undefinition() {
    holds(
        BOTH,
        "-w a.c",
        "#define X 1\n#undef X\n#undef X\n#define X 2\n#define Y X\n#undef X\n#define X 3",
        "Y == 3",
    )
    .exact();
    holds(BOTH, "-w a.c", "#define X 1\n#define X 2", "X == 2").exact();
    holds(
        BOTH,
        "-w a.c",
        "#undef __GNUC__\n#undef __LINE__\n#define __FILE__ 4",
        "!defined __GNUC__ && !defined __LINE__ && __FILE__ == 4",
    )
    .exact();
    holds(
        BOTH,
        "-U__linux__ -D__x86_64__=7 -w a.c",
        "",
        "!defined __linux__ && __x86_64__ == 7",
    )
    .exact();
}

#[test]
fn macro_undef_of_all() {
    for compilers in [GCC, CLANG] {
        let text = "#if defined __GNUC__ || defined __clang__ || defined __STDC__ || defined __x86_64__\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n#if defined __FILE__ && __LINE__ == 6 && __INCLUDE_LEVEL__ == 0\n#include \"yes.h\"\n#endif\n#if __has_include(\"yes.h\")\n#include \"yes.h\"\n#endif\n";
        trap(
            compilers,
            "-undef a.c",
            format!("//- one.h\n//- two.h\n//- yes.h\n//- a.c\n{text}"),
        )
        .exact();
    }
    holds(GCC, "-undef -DX=1 a.c", "", "X && !defined __GNUC__").exact();
}

#[test]
fn macro_push_and_pop() {
    let push = "#define X 1\n#pragma push_macro(\"X\")\n#undef X\n#define X 2\n#if X != 2\n#include \"no.h\"\n#endif\n#pragma pop_macro(\"X\")";
    holds(BOTH, "a.c", push, "X == 1").exact();
    holds(
        BOTH,
        "a.c",
        "#pragma push_macro(\"U\")\n#define U 1\n#pragma pop_macro(\"U\")",
        "!defined U",
    )
    .exact();
    holds(BOTH, "a.c", "#define X 1\n#pragma push_macro(\"X\")\n#pragma push_macro(\"X\")\n#undef X\n#pragma pop_macro(\"X\")\n#undef X\n#pragma pop_macro(\"X\")\n#pragma pop_macro(\"X\")", "X == 1").exact();
    holds(BOTH, "a.c", "#pragma push_macro(\"__LINE__\")\n#pragma push_macro ( \"__GNUC__\" )\n#undef __GNUC__\n#pragma pop_macro(\"__GNUC__\")\n", "defined __GNUC__ && __LINE__ == 6").exact();
    holds(BOTHXX, "a.cc", push, "X == 1").exact();
}

#[test]
fn macro_push_by_operator() {
    // Only the compile obeys it, not gcc's -M.
    let text = "#define X 1\n_Pragma(\"push_macro(\\\"X\\\")\")\n#undef X\n_Pragma(\"pop_macro(\\\"X\\\")\")\n#ifdef X\n#include \"yes.h\"\n#endif\n";
    source(GCC, "a.c", text).declined(&["push_macro"]);
    source(CLANG, "a.c", text).exact_or_declined();
    holds(BOTH, "a.c", "_Pragma(\"GCC diagnostic push\") int i; _Pragma(\"GCC diagnostic pop\")\n#define P(x) _Pragma(#x)\nP(GCC diagnostic ignored \"-Wall\") int j;", "1").exact();
}

#[test]
fn macro_pragma_target() {
    let text = "#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n";
    trap(GCC, "a.c", format!("//- one.h\n//- two.h\n//- a.c\n{text}")).declined(&["__AVX2__"]);
    trap(
        BOTHXX,
        "a.cc",
        format!("//- one.h\n//- two.h\n//- a.cc\n{text}"),
    )
    .exact_or_declined();
    trap(
        CLANG,
        "a.c",
        format!("//- one.h\n//- two.h\n//- a.c\n{text}"),
    )
    .exact();
    let restored = "#pragma GCC push_options\n#pragma GCC target(\"avx2\")\n#pragma GCC pop_options\n#ifdef __AVX2__\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n";
    source(GCC, "a.c", restored).exact();
    source(
        GCC,
        "a.c",
        "#include <immintrin.h>\n#ifdef __AVX2__\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        CROSS,
        "a.c",
        "#pragma GCC target(\"+sve\")\n#ifdef __ARM_FEATURE_SVE\n#endif\n",
    )
    .declined(&["__ARM_FEATURE_SVE"]);
}

#[test]
fn macro_pragma_optimize() {
    let text = "#pragma GCC optimize(\"O3\")\n#ifdef __OPTIMIZE__\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n";
    trap(GCC, "a.c", format!("//- one.h\n//- two.h\n//- a.c\n{text}")).declined(&["__OPTIMIZE__"]);
    trap(
        BOTHXX,
        "a.cc",
        format!("//- one.h\n//- two.h\n//- a.cc\n{text}"),
    )
    .exact_or_declined();
    trap(
        CLANG,
        "a.c",
        format!("//- one.h\n//- two.h\n//- a.c\n{text}"),
    )
    .exact();
    let by_operator = text.replace(
        "#pragma GCC optimize(\"O3\")",
        "_Pragma(\"GCC optimize(\\\"O3\\\")\")",
    );
    trap(
        GCC,
        "a.c",
        format!("//- one.h\n//- two.h\n//- a.c\n{by_operator}"),
    )
    .declined(&["__OPTIMIZE__"]);
}

#[test]
fn macro_pragmas_that_clang_obeys() {
    source(CLANG, "a.c", "#pragma clang system_header\n#pragma GCC system_header\n#pragma clang diagnostic push\n#include \"yes.h\"\n").exact();
    source(CLANG, "a.c", "#pragma clang module import std\n").declined(&["module"]);
    source(
        CLANG,
        "-fms-extensions a.c",
        "#pragma include_alias(\"x.h\", \"yes.h\")\n#include \"x.h\"\n",
    )
    .declined(&["include_alias"]);
}

#[test]
fn macro_poison() {
    source(
        BOTH,
        "a.c",
        "#define OLD 1\n#pragma GCC poison OLD\n#include \"yes.h\"\n",
    )
    .exact();
}

#[test]
fn macro_with_very_many_tokens() {
    let mut text = String::from("#define A0 +1\n");
    for level in 1..12 {
        text += &format!("#define A{level} A{0} A{0}\n", level - 1);
    }
    holds(BOTH, "a.c", &text, "0 A11 == 2048").exact();
}

#[test]
fn macro_definitions_with_odd_spellings() {
    holds(BOTH, "-w a.c", "#define F (1)\n#define G(x)x\n#define H /**/ 3 /**/\n#define I\t4\n#define J() 5\n#define K( a , b )a-b", "F == 1 && G(2) == 2 && H == 3 && I == 4 && J() == 5 && K(9,3) == 6").exact();
    holds(GCC, "-w a.c", "#define P+1", "1 P == 2").exact_or_declined();
}
