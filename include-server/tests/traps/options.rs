//! `opt_`: the command line.

use crate::case::*;

#[test]
fn opt_long_names() {
    let tree = "//- a.c\n#ifdef X\n#include <x.h>\n#endif\n#ifdef F\n#include \"y.h\"\n#endif\n//- i/x.h\n//- y.h\n//- f.h\n#define F\n";
    for command in [
        "--include-directory=i --define-macro=X --include=f.h a.c",
        "--include-directory i --define-macro X --include f.h a.c",
        "--include-directory=i -DX --imacros=f.h a.c",
        "--include-directory=i -DX --define-macro Y --undefine-macro=Y --imacros f.h a.c",
        "--include-barrier -Ii -DX a.c",
        "--language=c -Ii -DX a.c",
        "--language c -Ii -DX a.c",
        "--std=c99 -Ii -DX a.c",
        "--include-directory-after=i -DX a.c",
        "--include-with-prefix-before=i -DX a.c",
        "--include-prefix=i/ --include-with-prefix=. -DX a.c",
        "--optimize=2 -Ii -DX a.c",
        "--assert=q=a -Ii -DX a.c",
        "--warn-all -Ii -DX a.c",
        "--no-standard-includes -Ii -DX a.c",
        "--trigraphs -Ii -DX a.c",
        "--machine=avx -Ii -DX a.c",
        "--output=q.o -Ii -DX a.c",
    ] {
        for compilers in [GCC, CLANG] {
            trap(compilers, &format!("-w {command}"), tree)
                .quick()
                .exact_or_declined();
        }
    }
    trap(BOTH, "--include-directory=i --define-macro=X a.c", tree).exact();
    trap(
        GCC,
        "--include-directory=i --define-macro X --imacros=f.h a.c",
        tree,
    )
    .exact();
}

#[test]
fn opt_through_the_preprocessor_s_door() {
    let tree =
        "//- a.c\n#ifdef X\n#include <x.h>\n#endif\n//- i/x.h\n//- j/x.h\n//- f.h\n#define X\n";
    for command in [
        "-Wp,-DX -Ii a.c",
        "-Wp,-DX,-Ij -Ii a.c",
        "-Wp,-D,X -Ii a.c",
        "-Xpreprocessor -DX -Ii a.c",
        "-Xpreprocessor -Ij -DX -Ii a.c",
        "-Xpreprocessor -D -Xpreprocessor X -Ii a.c",
        "-Wp,-include,f.h -Ii a.c",
        "-Wp,-imacros,f.h -Wp,-isystem,j a.c",
        "-Wp,-UX -DX -Ii a.c",
        "-DX -Wp,-UX -Ii a.c",
        "-Wp,-nostdinc -DX -Ii a.c",
    ] {
        for compilers in [GCC, CLANG] {
            trap(compilers, command, tree).quick().exact_or_declined();
        }
    }
}

#[test]
fn opt_values_that_look_like_sources() {
    trap(
        BOTH,
        "-include pre.c -D X=b.c a.c",
        "//- a.c\n#ifdef PRE\n#include \"yes.h\"\n#endif\n//- pre.c\n#define PRE\n//- yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "-I inc.c a.c",
        "//- a.c\n#include <yes.h>\n//- inc.c/yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "-U b.c -isystem s.cc a.c",
        "//- a.c\n#include <yes.h>\n//- s.cc/yes.h\n",
    )
    .exact_or_declined();
}

#[test]
fn opt_joined_and_apart() {
    for command in [
        "-Ii -DX",
        "-I i -D X",
        "-iquotei -DX",
        "-iquote i -DX",
        "-isystemi -DX",
        "-idirafter i -DX",
        "-DX -imacrosf.h -Ii",
        "-DX -includef.h -Ii",
        "-ooutput.o -DX -Ii",
        "-o output.o -DX -Ii",
    ] {
        for compilers in [GCC, CLANG] {
            trap(
                compilers,
                &format!("{command} a.c"),
                "//- a.c\n#ifdef X\n#include \"x.h\"\n#endif\n//- i/x.h\n//- f.h\n",
            )
            .quick()
            .exact();
        }
    }
}

#[test]
fn opt_language_by_option() {
    let cxx = "#ifdef __cplusplus\n#include \"yes.h\"\n#endif\n";
    source(BOTH, "-x c++ a.c", cxx).exact();
    source(BOTH, "-xc++ a.c", cxx).exact();
    source(BOTH, "-x c -x none a.cc", cxx).exact();
    source(
        BOTH,
        "-x c++ -x c a.cc",
        "#ifndef __cplusplus\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
    source(
        BOTH,
        "-x assembler-with-cpp a.s",
        "#ifdef __ASSEMBLER__\n#include \"yes.h\"\n#endif\n",
    )
    .exact();
    source(GCC, "-x c-header a.h", "#include \"yes.h\"\n").exact_or_declined();
}

#[test]
fn opt_language_by_suffix() {
    for (compilers, name, test) in [
        (BOTHXX, "a.C", "__cplusplus"),
        (BOTHXX, "a.c++", "__cplusplus"),
        (BOTHXX, "a.cp", "__cplusplus"),
        (BOTHXX, "a.cxx", "__cplusplus"),
        (BOTHXX, "a.cpp", "__cplusplus"),
        (BOTHXX, "a.CPP", "__cplusplus"),
        (GCC, "a.cc", "__cplusplus"),
        (BOTH, "a.m", "__OBJC__"),
        (BOTHXX, "a.mm", "__OBJC__ && __cplusplus"),
        (BOTHXX, "a.M", "__OBJC__ && __cplusplus"),
        (BOTH, "a.S", "__ASSEMBLER__"),
        (GCC, "a.sx", "__ASSEMBLER__"),
    ] {
        holds(compilers, name, "", test).exact();
    }
    // g++ takes C for C++, and nothing else.
    holds(GXX, "a.c", "", "__cplusplus").exact();
    holds(&["clang++-19"], "-w a.c", "", "__cplusplus").exact();
    holds(GXX, "a.S", "", "__ASSEMBLER__ && !defined __cplusplus").exact();
    holds(GXX, "-x c a.c", "", "!defined __cplusplus").exact();
}

#[test]
fn opt_sources_that_are_not_preprocessed() {
    for name in ["a.i", "a.ii", "a.s", "a.mi", "a.o", "a.txt"] {
        trap(
            GCC,
            name,
            format!("//- {name}\n#include \"no.h\"\n//- no.h\n"),
        )
        .declined(&[]);
    }
}

#[test]
fn opt_response_files() {
    trap(BOTH, "@words a.c", "//- a.c\n//- words\n-DX\n").declined(&["@words"]);
    trap(BOTH, "@itself a.c", "//- a.c\n//- itself\n@itself\n").declined(&["@itself"]);
}

#[test]
fn opt_several_sources_or_none() {
    trap(BOTH, "a.c b.c", "//- a.c\n//- b.c\n").declined(&["2 sources"]);
    trap(BOTH, "-c", "//- a.c\n").declined(&["0 sources"]);
    trap(BOTH, "-", "//- a.c\n").declined(&["-"]);
}

#[test]
fn opt_macros_by_the_command_line() {
    holds(
        BOTH,
        "-DX -DY=2 -D'F(a)=a' -DZ -UZ a.c",
        "",
        "X == 1 && Y == 2 && F(3) == 3 && !defined Z",
    )
    .exact();
    holds(BOTH, "-UX -DX -D X=5 a.c", "", "X == 5").exact();
    holds(BOTH, "-DE= a.c", "", "E + 1 && defined E").exact();
    holds(
        BOTH,
        "-D'V(...)=__VA_ARGS__' -D'C(a,b)=a##b' a.c",
        "",
        "V(1) && C(1,2) == 12",
    )
    .exact();
    holds(BOTH, "-DX=a=b -Da=3 -w a.c", "", "a == 3 && defined X").exact();
    holds(
        BOTH,
        "-D'X=1 /* it */' -D'Y=2 //' a.c",
        "",
        "X == 1 && Y == 2",
    )
    .exact();
    holds(BOTH, "'-DX=1\n2' -w a.c", "", "X == 1").exact();
    holds(BOTH, "'-DX=1\\' -w a.c", "", "X == 1 || 1").exact_or_declined();
    holds(BOTH, "-D'X Y' -w a.c", "", "1").exact_or_declined();
}

#[test]
fn opt_flags_that_change_macros() {
    let table: &[(&'static [&'static str], &str, &str)] = &[
        (BOTH, "-O2 a.c", "__OPTIMIZE__"),
        (BOTH, "-O2 -O0 a.c", "!defined __OPTIMIZE__"),
        (BOTH, "-mavx2 a.c", "__AVX2__"),
        (BOTH, "-mavx2 -mno-avx2 a.c", "!defined __AVX2__"),
        (BOTH, "-march=haswell a.c", "__BMI2__"),
        (BOTH, "-march=x86-64-v3 a.c", "__AVX2__"),
        (BOTH, "-msse4.1 a.c", "__SSE4_1__ && !defined __SSE4_2__"),
        (GCC, "-mno-sse -mgeneral-regs-only a.c", "!defined __SSE__"),
        (BOTH, "-m32 a.c", "__i386__ && __SIZEOF_POINTER__ == 4"),
        (GCC, "-mx32 a.c", "__ILP32__ && __x86_64__"),
        (
            BOTH,
            "-std=c99 a.c",
            "__STDC_VERSION__ == 199901 && __STRICT_ANSI__",
        ),
        (
            BOTH,
            "-ansi a.c",
            "!defined __STDC_VERSION__ && __STRICT_ANSI__",
        ),
        (BOTHXX, "-std=c++20 a.cc", "__cplusplus == 202002"),
        (
            BOTHXX,
            "-std=gnu++11 a.cc",
            "__cplusplus == 201103 && !defined __STRICT_ANSI__",
        ),
        (BOTH, "-fopenmp a.c", "_OPENMP >= 201511"),
        (GCC, "-fopenacc a.c", "_OPENACC"),
        (GCC, "-fgnu-tm a.c", "__GTM_ABI__ || 1"),
        (BOTH, "-pthread a.c", "_REENTRANT"),
        (BOTH, "-fPIC a.c", "__PIC__ == 2 && !defined __PIE__"),
        (BOTH, "-fpic a.c", "__PIC__ == 1"),
        (BOTH, "-fno-pie a.c", "!defined __PIE__"),
        (BOTH, "-fpie a.c", "__PIE__ == 1"),
        (GCC, "a.c", "__PIE__ == 2"),
        (BOTHXX, "-fno-exceptions a.cc", "!defined __EXCEPTIONS"),
        (BOTHXX, "a.cc", "__EXCEPTIONS"),
        (BOTHXX, "-fno-rtti a.cc", "!defined __GXX_RTTI"),
        (
            BOTH,
            "-ffast-math a.c",
            "__FAST_MATH__ && __FINITE_MATH_ONLY__",
        ),
        (BOTH, "-fsanitize=undefined a.c", "1"),
        (BOTH, "-fstack-protector-all a.c", "__SSP_ALL__"),
        (BOTH, "-fstack-protector-strong a.c", "__SSP_STRONG__"),
        (
            BOTH,
            "-fno-stack-protector a.c",
            "!defined __SSP_STRONG__ && !defined __SSP__",
        ),
        (BOTH, "-fshort-wchar a.c", "__SIZEOF_WCHAR_T__ == 2"),
        (BOTH, "-funsigned-char a.c", "__CHAR_UNSIGNED__"),
        (BOTH, "-mcmodel=large a.c", "__code_model_large__"),
        (BOTHXX, "-fchar8_t a.cc", "__cpp_char8_t"),
        (GXX, "-fconcepts a.cc", "__cpp_concepts"),
        (GXX, "-fcoroutines a.cc", "__cpp_impl_coroutine"),
        (BOTH, "-fno-builtin a.c", "1"),
        (BOTH, "-fgnu89-inline a.c", "__GNUC_GNU_INLINE__"),
        (BOTH, "-fno-math-errno a.c", "__NO_MATH_ERRNO__"),
        (BOTH, "-fcf-protection=full a.c", "__CET__ == 3"),
        (BOTH, "-fno-asynchronous-unwind-tables -g3 a.c", "1"),
        (BOTH, "-D_FORTIFY_SOURCE=2 -O2 a.c", "_FORTIFY_SOURCE == 2"),
        (GCC, "-fno-inline a.c", "__NO_INLINE__"),
        (GCC, "-fshort-enums a.c", "1"),
        (GCC, "-fsingle-precision-constant a.c", "1"),
        (BOTH, "-ffreestanding a.c", "__STDC_HOSTED__ == 0"),
        (CROSS, "-march=armv8.2-a+sve a.c", "__ARM_FEATURE_SVE"),
        (CROSS, "-mbig-endian a.c", "__AARCH64EB__"),
        (
            CROSSXX,
            "-std=c++11 a.cc",
            "__aarch64__ && __cplusplus == 201103",
        ),
        (
            CLANG,
            "--target=armv7a-linux-gnueabihf -ffreestanding a.c",
            "__arm__",
        ),
        (CLANG, "-fms-extensions a.c", "1"),
        (CLANG, "-fblocks a.c", "__BLOCKS__"),
    ];
    for (compilers, command, condition) in table {
        holds(compilers, command, "", condition).quick().exact();
    }
}

#[test]
fn opt_march_native() {
    holds(BOTH, "-march=native a.c", "", "__x86_64__").exact_or_declined();
}

#[test]
fn opt_that_change_the_preprocessor() {
    for option in [
        "-traditional-cpp",
        "-finput-charset=latin1",
        "-fpreprocessed",
        "-fdirectives-only",
        "-save-temps",
        "-fplugin=x.so",
        "-imultilib x",
    ] {
        trap(
            GCC,
            &format!("{option} a.c"),
            "//- a.c\n#include \"b.h\"\n//- b.h\n",
        )
        .exact_or_declined();
    }
    trap(
        GCC,
        "-traditional-cpp a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n",
    )
    .declined(&["-traditional-cpp"]);
    trap(
        GCC,
        "-traditional-cpp -E a.c",
        "//- a.c\n#define F(x) \"x\"\n#include \"b.h\"\n//- b.h\n",
    )
    .declined(&["-traditional-cpp"]);
    trap(BOTH, "-I- a.c", "//- a.c\n").declined(&["-I-"]);
    trap(CLANG, "-fmodules a.c", "//- a.c\n").declined(&["-fmodules"]);
    trap(CLANG, "-include-pch x.pch a.c", "//- a.c\n").declined(&["pch"]);
    trap(CLANG, "-ivfsoverlay x.yaml a.c", "//- a.c\n").declined(&["-ivfsoverlay"]);
    trap(
        CLANG,
        "-fsanitize-ignorelist=x.txt a.c",
        "//- a.c\n//- x.txt\n",
    )
    .declined(&["-fsanitize-ignorelist"]);
    trap(CLANG, "-fdepfile-entry=x.txt a.c", "//- a.c\n//- x.txt\n").exact_or_declined();
    trap(
        CLANG,
        "-Xclang -include -Xclang b.h a.c",
        "//- a.c\n//- b.h\n",
    )
    .exact();
    trap(CLANG, "-iframework f a.c", "//- a.c\n//- f/x\n").exact_or_declined();
    trap(
        CLANG,
        "--config=x.cfg a.c",
        "//- a.c\n#ifdef X\n#include \"b.h\"\n#endif\n//- b.h\n//- x.cfg\n-DX\n",
    )
    .exact_or_declined();
    trap(GXX, "-fmodules-ts a.cc", "//- a.cc\n").declined(&["-fmodules-ts"]);
}

#[test]
fn opt_that_the_driver_reads_files_for() {
    trap(CLANG, "-fprofile-list=l a.c", "//- a.c\n//- l\n").exact_or_declined();
    trap(GCC, "-fprofile-use=p a.c", "//- a.c\n//- p\n").exact_or_declined();
    trap(CLANG, "-fprofile-instr-use=p a.c", "//- a.c\n//- p\n").exact_or_declined();
    trap(GCC, "-wrapper env a.c", "//- a.c\n").declined(&["-wrapper"]);
}
