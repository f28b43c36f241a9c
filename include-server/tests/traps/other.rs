//! `pch_`, `module_`: what is read instead of text. Always declined.

use crate::case::*;

#[test]
fn pch_beside_the_header() {
    trap(
        GCC,
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n//- b.h.gch\n",
    )
    .declined(&["b.h.gch", "precompiled"]);
    trap(
        GCC,
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n//- b.h.gch/c.gch\n",
    )
    .declined(&["b.h.gch", "precompiled"]);
    trap(GCC, "-include b.h a.c", "//- a.c\n//- b.h\n//- b.h.gch\n").declined(&["precompiled"]);
    trap(CLANG, "-include b.h a.c", "//- a.c\n//- b.h\n//- b.h.pch\n").declined(&["precompiled"]);
    trap(CLANG, "-include b.h a.c", "//- a.c\n//- b.h\n//- b.h.gch\n").declined(&["precompiled"]);
}

#[test]
fn pch_on_the_way_to_the_header() {
    trap(
        GCC,
        "-Ii -Ij a.c",
        "//- a.c\n#include <b.h>\n//- i/b.h.gch\n//- j/b.h\n",
    )
    .declined(&["precompiled"]);
}

#[test]
fn pch_without_its_header() {
    trap(GCC, "a.c", "//- a.c\n#include \"b.h\"\n//- b.h.gch\n").declined(&["b.h"]);
}

#[test]
fn pch_of_a_later_header_is_not_used() {
    trap(
        GCC,
        "a.c",
        "//- a.c\n#include \"c.h\"\n#include \"b.h\"\n//- b.h\n//- c.h\n//- b.h.gch\n",
    )
    .exact();
    trap(
        CLANG,
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n//- b.h.gch\n",
    )
    .exact();
}

#[test]
fn pch_pragma_hdrstop() {
    trap(
        GCC,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#pragma hdrstop\n//- b.h\n",
    )
    .exact_or_declined();
    trap(
        CLANG,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#pragma hdrstop\n//- b.h\n",
    )
    .exact_or_declined();
}

#[test]
fn pch_preprocess_pragma() {
    trap(
        GCC,
        "a.c",
        "//- a.c\n#pragma GCC pch_preprocess \"x.gch\"\n//- x.gch\n",
    )
    .declined(&["pch_preprocess"]);
}

#[test]
fn module_lines() {
    for line in [
        "import foo;",
        "export module foo;",
        "module foo;",
        "module;",
        "import <vector>;",
        "import \"b.h\";",
        "export import foo;",
        "import :part;",
        "module : private;",
    ] {
        trap(
            GXX,
            "-std=c++20 a.cc",
            format!("//- a.cc\n{line}\n//- b.h\n"),
        )
        .declined(&["module"]);
        trap(
            CLANG,
            "-std=c++20 a.cc",
            format!("//- a.cc\n{line}\n//- b.h\n"),
        )
        .declined(&["module"]);
    }
}

#[test]
fn module_words_that_are_names() {
    source(
        BOTHXX,
        "a.cc",
        "int import = 1, module = 2;\nint f() { return import + module; }\n#include \"yes.h\"\n",
    )
    .exact();
    source(
        BOTHXX,
        "a.cc",
        "struct module { int x; };\nmodule *p;\n#include \"yes.h\"\n",
    )
    .exact_or_declined();
    source(BOTH, "a.c", "int import, module;\n#include \"yes.h\"\n").exact();
    source(
        BOTHXX,
        "-std=c++17 a.cc",
        "void f(int module) {\n(void)module;\n}\n// import x;\n#include \"yes.h\"\n",
    )
    .exact();
}
