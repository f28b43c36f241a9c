//! `has_`: what only the compiler knows, and `__has_include`.

use crate::case::*;

#[test]
fn has_include_plain() {
    holds(BOTH, "a.c", "", "__has_include(\"yes.h\") && !__has_include(\"missing.h\") && __has_include(<stdio.h>) && !__has_include(<yes.h>)").exact();
    holds(
        BOTH,
        "-I. a.c",
        "",
        "__has_include(<yes.h>) && __has_include ( <yes.h> )",
    )
    .exact();
    holds(BOTH, "a.S", "", "__has_include(\"yes.h\")").exact();
}

#[test]
fn has_include_in_a_macro() {
    holds(
        BOTH,
        "a.c",
        "#define HAS(x) __has_include(x)\n#define Y \"yes.h\"",
        "HAS(\"yes.h\") && HAS(Y) && !HAS(\"z.h\")",
    )
    .exact();
    holds(
        BOTH,
        "-w a.c",
        "#define HAS(x) __has_include(<x>)",
        "HAS(stdio.h) && !HAS(nothing/at/all.h)",
    )
    .exact();
    holds(BOTH, "-w a.c", "#define H __has_include", "H(\"yes.h\")").exact_or_declined();
}

#[test]
fn has_include_computed() {
    holds(
        BOTH,
        "a.c",
        "#define S <stdio.h>\n#define Q(x) #x\n#define X(x) Q(x)\n#define N yes",
        "__has_include(S) && __has_include(X(N.h))",
    )
    .exact();
    trap(BOTH, "-I. a.c", "//- one.h\n//- two.h\n//- a.c\n#define LT <\n#define N one.h\n#if __has_include(LT N>)\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n").exact();
}

#[test]
fn has_include_of_a_directory_is_false() {
    trap(BOTH, "-Id a.c", "//- dir.h/\n//- d/dir.h/\n//- yes.h\n//- a.c\n#if !__has_include(\"dir.h\") && !__has_include(<dir.h>)\n#include \"yes.h\"\n#endif\n").exact();
}

#[test]
fn has_include_of_odd_files() {
    trap(BOTH, "a.c", "//- l.h -> nowhere\n//- k.h -> yes.h\n//- yes.h\n//- a.c\n#if !__has_include(\"l.h\") && __has_include(\"k.h\") && !__has_include(\"yes.h/x\")\n#include \"yes.h\"\n#endif\n").exact();
}

#[test]
fn has_include_with_absolute_names() {
    holds(BOTH, "a.c", "", "__has_include(\"$ROOT/yes.h\") && __has_include(<$ROOT/yes.h>) && !__has_include(\"$ROOT/x.h\")").exact();
}

#[test]
fn has_include_in_skipped_conditions_is_not_asked() {
    source(BOTH, "a.c", "#if 0\n#if __has_include(\"no.h\")\n#endif\n#elif 1\n#include \"yes.h\"\n#elif __has_include(garbage\n#endif\n").exact();
}

#[test]
fn has_include_next_on_the_path() {
    trap(BOTH, "-Ii -Ij a.c", "//- i/yes.h\n//- j/no.h\n//- a.c\n#include <x.h>\n//- i/x.h\n#if __has_include_next(<x.h>)\n#include_next <x.h>\n#endif\n//- j/x.h\n#if __has_include_next(<x.h>)\n#include \"no.h\"\n#endif\n#include <yes.h>\n").exact();
}

#[test]
fn has_include_next_from_the_source() {
    holds(
        BOTH,
        "-w -I. a.c",
        "",
        "__has_include_next(<yes.h>) && __has_include_next(\"yes.h\")",
    )
    .exact();
}

#[test]
fn has_include_is_defined_but_no_macro() {
    holds(
        BOTH,
        "a.c",
        "",
        "defined __has_include && defined(__has_include_next)",
    )
    .exact();
    source(BOTH, "a.c", "#ifdef __has_include\n#include \"yes.h\"\n#endif\n#ifndef __has_include_next\n#include \"no.h\"\n#endif\n").exact();
}

#[test]
fn has_attribute() {
    holds(
        BOTH,
        "a.c",
        "",
        "__has_attribute(noreturn) && !__has_attribute(frobnicate) && __has_attribute(__aligned__)",
    )
    .exact();
    holds(
        CROSS,
        "a.c",
        "",
        "!__has_attribute(ms_abi) && __has_attribute(noinline)",
    )
    .exact();
    holds(
        GCC,
        "a.c",
        "#define foo noreturn\n#define HAS(x) __has_attribute(x)",
        "__has_attribute(foo) && HAS(foo)",
    )
    .exact();
    holds(
        BOTH,
        "a.c",
        "#define noreturn foo",
        "!__has_attribute(noreturn)",
    )
    .exact();
    holds(
        CLANG,
        "a.c",
        "#define c_alignas foo",
        "__has_feature(c_alignas)",
    )
    .exact();
}

#[test]
fn has_cpp_attribute() {
    holds(BOTHXX, "-std=c++17 a.cc", "", "__has_cpp_attribute(nodiscard) >= 201603 && !__has_cpp_attribute(foo::bar) && __has_cpp_attribute(gnu::pure)").exact();
    holds(
        BOTHXX,
        "-std=c++20 a.cc",
        "",
        "__has_cpp_attribute(likely) && __has_cpp_attribute(no_unique_address) >= 201803",
    )
    .exact();
    holds(
        BOTHXX,
        "-std=c++20 a.cc",
        "#define HAS(x) __has_cpp_attribute(x)",
        "HAS(gnu::unused) && HAS(deprecated)",
    )
    .exact();
}

#[test]
fn has_c_attribute() {
    holds(
        BOTH,
        "-std=c2x a.c",
        "",
        "__has_c_attribute(deprecated) >= 201904 && !__has_c_attribute(foo)",
    )
    .exact();
    holds(CLANG, "-std=c2x a.c", "", "__has_c_attribute(gnu::const)").exact();
}

#[test]
fn has_builtin() {
    holds(
        BOTH,
        "a.c",
        "",
        "__has_builtin(__builtin_memcpy) && !__has_builtin(__builtin_nonsense)",
    )
    .exact();
    holds(
        BOTHXX,
        "a.cc",
        "",
        "__has_builtin(__is_class) && __has_builtin(__builtin_launder)",
    )
    .exact();
}

#[test]
fn has_feature() {
    holds(CLANG, "a.c", "", "__has_feature(c_alignas) && __has_extension(c_generic_selections) && !__has_feature(cxx_rtti)").exact();
    holds(
        CLANG,
        "a.cc",
        "",
        "__has_feature(cxx_rtti) && __has_feature(cxx_exceptions)",
    )
    .exact();
    holds(
        CLANG,
        "-fno-rtti -fno-exceptions a.cc",
        "",
        "!__has_feature(cxx_rtti) && !__has_feature(cxx_exceptions)",
    )
    .exact();
    holds(GCC, "a.c", "", "!defined __has_feature").exact();
}

#[test]
fn has_feature_by_sanitizer() {
    holds(CLANG, "a.c", "", "!__has_feature(address_sanitizer)").exact();
    holds(
        CLANG,
        "-fsanitize=address a.c",
        "",
        "__has_feature(address_sanitizer)",
    )
    .exact();
    holds(
        CLANG,
        "-fsanitize=thread a.c",
        "",
        "__has_feature(thread_sanitizer) && !__has_feature(address_sanitizer)",
    )
    .exact();
    holds(GCC, "-fsanitize=address a.c", "", "__SANITIZE_ADDRESS__").exact();
    holds(GCC, "-fsanitize=thread a.c", "", "__SANITIZE_THREAD__").exact();
    holds(GCC, "a.c", "", "!defined __SANITIZE_ADDRESS__").exact();
}

#[test]
fn has_warning() {
    holds(
        CLANG,
        "a.c",
        "",
        "__has_warning(\"-Wall\") && !__has_warning(\"-Wfrobnicate\")",
    )
    .exact();
}

#[test]
fn has_clangs_questions() {
    holds(
        CLANG,
        "a.c",
        "",
        "__is_identifier(foo) && !__is_identifier(int) && defined __building_module",
    )
    .exact();
    holds(CLANG, "a.c", "", "__is_target_arch(x86_64) && __is_target_os(linux) && !__is_target_vendor(apple) && __is_target_environment(gnu)").exact_or_declined();
    holds(CLANG, "a.c", "", "!__has_declspec_attribute(frobnicate)").exact();
    holds(
        CLANG,
        "a.cc",
        "",
        "__has_constexpr_builtin(__builtin_fmax) >= 0",
    )
    .exact_or_declined();
}

#[test]
fn has_embed() {
    let text = "#if defined __has_embed\n#if __has_embed(\"yes.h\")\n#endif\n#endif\n";
    source(CLANG, "a.c", text).declined(&["__has_embed"]);
    holds(GCC, "a.c", "", "!defined __has_embed").exact();
}

#[test]
fn has_embedded_files() {
    let text = "const char a[] = {\n#embed \"yes.h\"\n};\n";
    source(CLANG, "-std=c23 a.c", text).declined(&["#embed"]);
}

#[test]
fn has_questions_with_odd_operands() {
    for condition in [
        "__has_attribute(1)",
        "__has_attribute()",
        "__has_attribute",
        "__has_attribute(noreturn",
        "__has_builtin(1)",
        "__has_cpp_attribute(a::b::c)",
        "__has_include()",
        "__has_include",
        "__has_include(yes.h)",
        "__has_include(\"yes.h\"",
        "__has_include(\"\")",
        "__has_include(<>)",
        "__has_include(\"yes.h\" x)",
    ] {
        for compilers in [GCC, CLANG] {
            let text =
                format!("#if {condition}\n#include \"one.h\"\n#else\n#include \"two.h\"\n#endif\n");
            trap(
                compilers,
                "-w a.c",
                format!("//- one.h\n//- two.h\n//- yes.h\n//- a.c\n#include \"yes.h\"\n{text}"),
            )
            .quick()
            .exact_or_declined();
        }
    }
}
