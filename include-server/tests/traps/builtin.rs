//! `builtin_`: macros that the preprocessor computes.

use crate::case::*;

#[test]
fn builtin_counter_in_directives() {
    holds(
        BOTH,
        "a.c",
        "#if __COUNTER__ != 0\n#include \"no.h\"\n#endif",
        "__COUNTER__ == 1 && __COUNTER__ == 2",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define C __COUNTER__\n#if 0 && C\n#endif\n#define F(x) x + x",
        "F(C) == 3",
    )
    .exact_or_declined();
}

#[test]
fn builtin_counter_in_text() {
    // To gcc's -M the text does not count, to the compile it does.
    let text = "int i = __COUNTER__;\n#if __COUNTER__ == 1\n#include \"yes.h\"\n#endif\n";
    source(BOTH, "a.c", text).declined(&["__COUNTER__"]);
    let by_macro = "#define UNIQUE2(x) int u##x\n#define UNIQUE1(x) UNIQUE2(x)\n#define UNIQUE UNIQUE1(__COUNTER__)\nUNIQUE;\n#if __COUNTER__ == 1\n#endif\n";
    source(BOTH, "a.c", by_macro).declined(&["__COUNTER__"]);
    source(
        BOTH,
        "a.c",
        "#define U __COUNTER__\nint i = U, j = __COUNTER__;\n#include \"yes.h\"\n",
    )
    .exact();
    source(BOTH, "a.c", "const char *s = \"__COUNTER__\"; /* __COUNTER__ */\n#if 0\n__COUNTER__\n#endif\n#if __COUNTER__ == 0\n#include \"yes.h\"\n#endif\n").exact();
}

#[test]
fn builtin_include_level() {
    trap(BOTH, "a.c", "//- a.c\n#if __INCLUDE_LEVEL__ == 0\n#include \"b.h\"\n#endif\n//- b.h\n#if __INCLUDE_LEVEL__ == 1\n#include \"c.h\"\n#endif\n//- c.h\n#if __INCLUDE_LEVEL__ == 2\n#include \"yes.h\"\n#endif\n//- yes.h\n").exact();
    for compilers in [GCC, CLANG] {
        trap(compilers, "-include f.h a.c", "//- a.c\n//- one.h\n//- two.h\n//- zero.h\n//- f.h\n#if __INCLUDE_LEVEL__ == 0\n#include \"zero.h\"\n#elif __INCLUDE_LEVEL__ == 1\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n").exact();
        trap(compilers, "-imacros f.h a.c", "//- a.c\n//- one.h\n//- two.h\n//- zero.h\n//- f.h\n#if __INCLUDE_LEVEL__ == 0\n#include \"zero.h\"\n#elif __INCLUDE_LEVEL__ == 1\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n").exact();
    }
}

#[test]
fn builtin_line() {
    holds(BOTH, "a.c", "", "__LINE__ == 2").exact();
    holds(BOTH, "a.c", "\\\n\\\n", "__LINE__ == 4").exact();
    holds(BOTH, "a.c", "/*\n\n*/", "__LINE__ == 4").exact();
    holds(
        BOTHXX,
        "a.cc",
        "const char *s = R\"(\n\n)\";",
        "__LINE__ == 4",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define L __LINE__\n#define F(x) x",
        "L == 3 && F(L) == 3",
    )
    .exact();
    holds(BOTH, "a.c", "#line 100", "__LINE__ == 100").exact();
    holds(BOTH, "a.c", "# 100 \"x\"", "__LINE__ == 100").exact();
    holds(
        BOTH,
        "a.c",
        "#define N 200\n#line N \"x.c\"",
        "__LINE__ == 200",
    )
    .exact();
    holds(BOTH, "-w a.c", "#line 0", "__LINE__ == 0").exact();
}

#[test]
fn builtin_line_of_directives_over_several_lines() {
    for text in [
        "#if __LINE__ == 1 \\\n || 0\n",
        "#if \\\n __LINE__ == 1\n",
        "#if \\\n __LINE__ == 2\n",
        "#if 0 /*\n*/ || __LINE__ == 1\n",
        "#if 0 /*\n*/ || __LINE__ == 2\n",
        "#\\\nif __LINE__ == 1\n",
        "/* \n */ #if __LINE__ == 1\n",
        "/* \n */ #if __LINE__ == 2\n",
        "#define F(x) x\n#if F(\\\n__LINE__) == 2\n",
        "#define F(x) x\n#if F(\\\n__LINE__) == 3\n",
        "#line 5 /*\n*/\n#if __LINE__ == 5\n",
        "#line 5 \\\n\n#if __LINE__ == 5\n",
        "#line 5 \\\n\n#if __LINE__ == 6\n",
        "#if 0\n#elif __LINE__ == 2\n",
        "#if 0\n#elif 1 \\\n && __LINE__ == 2\n",
        "#if 0\n#elif 1 \\\n && __LINE__ == 3\n",
    ] {
        for compilers in [GCC, CLANG] {
            trap(compilers, "a.c", format!("//- one.h\n//- two.h\n//- a.c\n{text}#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n")).quick().exact_or_declined();
        }
    }
}

#[test]
fn builtin_file() {
    trap(BOTH, "a.c", "//- a.c\n#include \"b.h\"\n//- b.h\n#ifndef ONCE\n#define ONCE\n#include __FILE__\n#include \"yes.h\"\n#endif\n//- yes.h\n").exact();
    trap(GCC, "-Ii a.c", "//- a.c\n#include <b.h>\n//- i/b.h\n#ifndef ONCE\n#define ONCE\n#include __FILE__\n#endif\n//- i/i/b.h\n#include \"yes.h\"\n//- i/i/yes.h\n").exact();
    source(BOTH, "a.c", "#line 3 \"yes.h\"\n#include __FILE__\n").exact();
    source(BOTH, "a.c", "# 3 \"yes.h\"\n#include __FILE__\n").exact();
    source(BOTH, "a.c", "#line 3 \"ye\\x73.h\"\n#include __FILE__\n").exact_or_declined();
}

#[test]
fn builtin_base_file() {
    trap(BOTH, "s/a.c", "//- s/a.c\n#include \"b.h\"\n//- s/b.h\n#ifndef ONCE\n#define ONCE\n#include __BASE_FILE__\n#endif\n//- s/s/a.c\n#include \"yes.h\"\n//- s/s/yes.h\n").exact();
}

#[test]
fn builtin_file_name() {
    trap(BOTH, "d/a.c", "//- d/a.c\n#ifndef ONCE\n#define ONCE\n#include __FILE_NAME__\n#else\n#include \"yes.h\"\n#endif\n//- d/yes.h\n").exact();
}

#[test]
fn builtin_file_with_prefix_maps() {
    for option in ["-fmacro-prefix-map", "-ffile-prefix-map"] {
        trap(BOTH, &format!("{option}=d/=e/ -I. d/a.c"), "//- d/a.c\n#ifndef ONCE\n#define ONCE\n#include __FILE__\n#endif\n//- d/e/a.c\n#include \"yes.h\"\n//- d/e/yes.h\n").exact();
    }
    for compilers in [GCC, CLANG] {
        trap(compilers, "-fmacro-prefix-map=d=x -fmacro-prefix-map=d/=y/ -I. d/a.c", "//- d/a.c\n#ifndef ONCE\n#define ONCE\n#include __FILE__\n#endif\n//- d/x/a.c\n//- d/y/a.c\n").exact();
        trap(compilers, "-fmacro-prefix-map=d/=y/ -fmacro-prefix-map=d=x -I. d/a.c", "//- d/a.c\n#ifndef ONCE\n#define ONCE\n#include __FILE__\n#endif\n//- d/x/a.c\n//- d/y/a.c\n").exact();
    }
}

#[test]
fn builtin_time_of_the_compilation() {
    for name in ["__DATE__", "__TIME__", "__TIMESTAMP__"] {
        source(BOTH, "a.c", format!("const char *s = {name};\n")).declined(&[name, "a.c"]);
        source(BOTH, "a.c", format!("#if 0\n{name}\n#endif\n/* {name} */ const char *s = \"{name}\";\n#include \"yes.h\"\n")).exact();
    }
    let dated = source(BOTH, "a.c", "const char *s = __DATE__;\n");
    dated
        .environment("SOURCE_DATE_EPOCH", "1000000000")
        .declined(&["__DATE__"]);
}

#[test]
fn builtin_optimize_by_level() {
    holds(
        BOTH,
        "-O2 a.c",
        "",
        "__OPTIMIZE__ && !defined __OPTIMIZE_SIZE__",
    )
    .exact();
    holds(BOTH, "-O2 -O0 a.c", "", "!defined __OPTIMIZE__").exact();
    holds(BOTH, "-O0 -Os a.c", "", "__OPTIMIZE_SIZE__").exact();
    holds(BOTH, "-O a.c", "", "__OPTIMIZE__").exact();
    for compilers in [GCC, CLANG] {
        for level in ["-Og", "-O1", "-Oz", "-Ofast", "-O99"] {
            let text = "#ifdef __OPTIMIZE__\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n#ifdef __FAST_MATH__\n#include \"three.h\"\n#endif\n#ifdef __NO_INLINE__\n#include \"four.h\"\n#endif\n";
            trap(
                compilers,
                &format!("{level} -w a.c"),
                format!("//- one.h\n//- two.h\n//- three.h\n//- four.h\n//- a.c\n{text}"),
            )
            .exact();
        }
    }
}
