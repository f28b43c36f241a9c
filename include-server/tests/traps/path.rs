//! `path_`: where names lead.

use crate::case::*;

#[test]
fn path_order_of_the_lists() {
    let tree = "//- a.c\n#include \"q.h\"\n#include <b.h>\n#include <s.h>\n#include <t.h>\n//- q/q.h\n//- i/q.h\n//- i/b.h\n//- q/b.h\n//- s/s.h\n//- s/b.h\n//- t/t.h\n//- t/s.h\n";
    trap(BOTH, "-idirafter t -isystem s -Ii -iquote q a.c", tree).exact();
    trap(BOTH, "-It -isystem s -I i -iquote q a.c", tree).exact();
    trap(BOTH, "-idirafterq -isystemt -iquotes -Ii a.c", tree).exact_or_declined();
}

#[test]
fn path_only_the_including_file_s_directory() {
    // Not that of the file which included it, nor the working directory.
    trap(BOTH, "-Iz s/a.c", "//- s/a.c\n#include \"d/b.h\"\n//- s/d/b.h\n#include \"c.h\"\n//- s/c.h/no.h\n//- c.h/x\n//- z/c.h\n#include \"yes.h\"\n//- z/yes.h\n//- s/yes.h\n").exact();
    trap(BOTH, "-Ii a.c", "//- a.c\n#include <d/x.h>\n//- i/d/x.h\n#include \"y.h\"\n#include \"d/y.h\"\n//- i/d/y.h\n//- i/d/d/y.h\n//- d/y.h\n").exact();
}

#[test]
fn path_of_linked_headers_is_the_link_s() {
    trap(BOTH, "a.c", "//- a.c\n#include \"l.h\"\n//- l.h -> d/real.h\n//- d/real.h\n#include \"yes.h\"\n//- yes.h\n//- d/no.h\n").exact();
    trap(BOTH, "a.c", "//- a.c\n#include \"l/b.h\"\n//- l -> d/e\n//- d/e/b.h\n#include \"yes.h\"\n//- d/e/yes.h\n//- yes.h\n").exact();
}

#[test]
fn path_duplicates_are_dropped() {
    let chain = "//- i/x.h\n#include_next <x.h>\n//- j/x.h\n//- l -> i\n";
    for options in [
        "-Ii -Il -Ij",
        "-Ii -Ii/../i -Ij",
        "-Ii -Ii -Ij",
        "-Ii/ -I./i -Ij",
        "-Ij -Ii -isystem j",
        "-Ii -Ij -isystem i",
        "-isystem i -Ij -Ii",
        "-idirafter i -Ii -Ij",
        "-isystem i -isystem j -isystem i",
        "-iquote i -Ii -Ij",
        "-I$ROOT/i -Ii -Ij",
    ] {
        for compilers in [GCC, CLANG] {
            trap(
                compilers,
                &format!("{options} a.c"),
                format!("//- a.c\n#include <x.h>\n{chain}"),
            )
            .exact_or_declined();
        }
    }
    trap(
        BOTH,
        "-Ii -Ij -isystem i -Ik a.c",
        "//- a.c\n#include <x.h>\n//- i/x.h\n//- j/x.h\n#include_next <x.h>\n",
    )
    .exact();
}

#[test]
fn path_of_the_compiler_keeps_its_place() {
    for compilers in [GCC, CLANG] {
        trap(
            compilers,
            "-I/usr/include -Ii a.c",
            "//- a.c\n#include <limits.h>\n//- i/limits.h\n#include_next <limits.h>\n",
        )
        .exact();
        trap(compilers, "-isystem /usr/include -Ii a.c", "//- a.c\n#include <limits.h>\n#include <stddef.h>\n//- i/limits.h\n#include_next <limits.h>\n").exact();
        trap(
            compilers,
            "-idirafter i a.c",
            "//- a.c\n#include <limits.h>\n#include <yes.h>\n//- i/limits.h\n#error\n//- i/yes.h\n",
        )
        .exact();
    }
}

#[test]
fn path_without_missing_directories() {
    trap(
        BOTH,
        "-Inowhere -Ifile -Ij a.c",
        "//- a.c\n#include <x.h>\n//- file\n//- j/x.h\n#include_next <x.h>\n//- k/x\n"
            .replace("#include_next <x.h>\n", ""),
    )
    .exact();
    trap(BOTH, "-Ij/ -I./k// -I. a.c", "//- a.c\n#include <yes.h>\n#include <z.h>\n#include <w.h>\n//- j/yes.h\n//- k/z.h\n//- w.h\n").exact();
}

#[test]
fn path_include_next() {
    let chain =
        "//- i/x.h\n#include_next <x.h>\n//- j/x.h\n#include_next \"x.h\"\n//- k/x.h\n//- x.h\n";
    trap(
        BOTH,
        "-Ii -Ij -Ik a.c",
        format!("//- a.c\n#include <x.h>\n{chain}"),
    )
    .exact();
    trap(
        GCC,
        "-Ii -Ij -Ik a.c",
        "//- a.c\n#include \"x.h\"\n//- x.h\n#include_next <x.h>\n//- i/x.h\n",
    )
    .exact();
    trap(GCC, "-iquote q -Ii a.c", "//- a.c\n#include \"x.h\"\n//- x.h\n#include_next \"x.h\"\n//- q/x.h\n#include_next <x.h>\n//- i/x.h\n").exact();
    trap(
        CLANG,
        "-Ii -Ij a.c",
        "//- a.c\n#include \"x.h\"\n//- x.h\n#include_next <x.h>\n//- i/x.h\n",
    )
    .exact_or_declined();
    trap(
        BOTH,
        "-Ii -Ij a.c",
        "//- a.c\n#include <d/x.h>\n//- i/d/x.h\n#include_next <d/y.h>\n//- i/d/y.h\n//- j/d/y.h\n",
    )
    .exact();
}

#[test]
fn path_include_next_from_the_source_is_include() {
    trap(
        BOTH,
        "-w -Ii a.c",
        "//- a.c\n#include_next <x.h>\n#include_next \"y.h\"\n//- i/x.h\n//- y.h\n",
    )
    .exact();
}

#[test]
fn path_include_next_in_an_absolute_header() {
    trap(
        GCC,
        "-w -Ii a.c",
        "//- a.c\n#include \"$ROOT/d/x.h\"\n//- d/x.h\n#include_next <x.h>\n//- i/x.h\n",
    )
    .exact();
    trap(
        CLANG,
        "-w -Ii a.c",
        "//- a.c\n#include \"$ROOT/d/x.h\"\n//- d/x.h\n#include_next <x.h>\n//- i/x.h\n",
    )
    .exact_or_declined();
}

#[test]
fn path_include_next_to_nowhere() {
    trap(
        BOTH,
        "-Ii a.c",
        "//- a.c\n#include <x.h>\n//- i/x.h\n#include_next <x.h>\n",
    )
    .declined(&["<x.h>", "i/x.h:1", "not found"]);
}

#[test]
fn path_is_not_normalised() {
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"nd/../yes.h\"\n//- nd/x\n//- yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "-Ii a.c",
        "//- a.c\n#include \"nd/../yes.h\"\n//- yes.h\n//- i/nd/x\n//- i/yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"l/../yes.h\"\n//- l -> d/e\n//- d/e/x\n//- d/yes.h\n//- yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"nd/../yes.h\"\n//- yes.h\n",
    )
    .declined(&["nd/../yes.h"]);
    trap(
        BOTH,
        "-Inowhere/.. a.c",
        "//- a.c\n#include <yes.h>\n//- yes.h\n",
    )
    .declined(&["<yes.h>"]);
    trap(
        BOTH,
        "-Id/.. a.c",
        "//- a.c\n#include <yes.h>\n//- yes.h\n//- d/x\n",
    )
    .exact();
}

#[test]
fn path_through_the_root_of_the_tree() {
    trap(
        BOTH,
        "../sub/a.c",
        "//- ../sub/a.c\n#include \"yes.h\"\n#include \"../w/b.h\"\n//- b.h\n//- ../sub/yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "-I.. -I../sub a.c",
        "//- a.c\n#include <sub/yes.h>\n#include <z.h>\n//- ../sub/yes.h\n//- ../sub/z.h\n",
    )
    .exact();
}

#[test]
fn path_directories_named_like_headers() {
    trap(BOTH, "-Ii -Ij -Ik a.c", "//- a.c\n#include <x.h>\n//- i/x.h/\n//- j/x.h -> nowhere\n//- k/x.h\n#include \"yes.h\"\n//- k/yes.h\n").exact();
    trap(
        BOTH,
        "-Ii a.c",
        "//- a.c\n#include \"x.h\"\n//- x.h/\n//- i/x.h\n",
    )
    .exact();
    trap(BOTH, "a.c", "//- a.c\n#include \"x.h\"\n//- x.h/\n").declined(&["x.h"]);
}

#[test]
fn path_files_in_the_place_of_directories() {
    trap(
        BOTH,
        "-Ii -Ij a.c",
        "//- a.c\n#include <f/yes.h>\n//- i/f\n//- j/f/yes.h\n",
    )
    .exact();
}

#[test]
fn path_chains_of_links() {
    trap(BOTH, "-Il a.c", "//- a.c\n#include <yes.h>\n#include \"k.h\"\n//- l -> m\n//- m -> d/e/..\n//- d/e/x\n//- d/yes.h -> ../real.h\n//- real.h\n//- k.h -> $ROOT/real.h\n").exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"loop.h\"\n//- loop.h -> loop.h\n",
    )
    .declined(&["loop.h"]);
}

#[test]
fn path_absolute_names_in_a_system_header() {
    // What a system header includes is a system header; gcc gives what that one includes its shorter real name.
    trap(
        BOTH,
        "-isystem s a.c",
        "//- a.c\n#include <x.h>\n//- s/x.h\n#include \"$ROOT/directory/y.h\"\n\
         //- directory/y.h\n#include \"yes.h\"\n//- directory/yes.h -> ../r.h\n//- r.h\n",
    )
    .exact();
}

#[test]
fn path_absolute_names() {
    trap(BOTH, "$ROOT/a.c", "//- a.c\n#include \"b.h\"\n#include <$ROOT/d/yes.h>\n//- b.h\n//- d/yes.h\n#include \"c.h\"\n//- d/c.h\n").exact();
    trap(
        BOTH,
        "-I$ROOT/i -include $ROOT/f.h a.c",
        "//- a.c\n#include <b.h>\n//- i/b.h\n//- f.h\n",
    )
    .exact();
    trap(
        BOTH,
        "a.c",
        "//- a.c\n#include \"//usr/include/limits.h\"\n#include \"/usr/../usr/include/float.h\"\n"
            .replace("#include \"/usr/../usr/include/float.h\"\n", ""),
    )
    .exact();
}

#[test]
fn path_odd_names() {
    trap(BOTH, "'-Idir with blank' -I'#hash' -I'$' a.c", "//- a.c\n#include <x y.h>\n#include <z.h>\n#include <w.h>\n//- dir with blank/x y.h\n//- #hash/z.h\n//- $/w.h\n").exact();
    trap(BOTH, "-I. a.c", "//- a.c\n#include <.//x.h>\n#include <././y.h>\n#include \".//z.h\"\n#include \"d//./w.h\"\n//- x.h\n//- y.h\n//- z.h\n//- d/w.h\n").exact();
    trap(BOTH, "./a.c", "//- a.c\n#include \"b.h\"\n//- b.h\n").exact();
    trap(BOTH, ".//a.c", "//- a.c\n#include \"b.h\"\n//- b.h\n").exact();
    trap(
        BOTH,
        "-I ./i//j/../k a.c",
        "//- a.c\n#include <b.h>\n//- i/k/b.h\n#include \"c.h\"\n//- i/k/c.h\n//- i/j/x\n",
    )
    .exact();
}

#[test]
fn path_of_forced_includes() {
    trap(BOTH, "-include f.h -imacros m.h -DA s/a.c", "//- s/a.c\n#if F && M\n#include \"yes.h\"\n#endif\n//- f.h\n#ifdef M\n#define F 1\n#endif\n//- m.h\n#ifdef A\n#define M 1\n#endif\n//- s/yes.h\n//- s/f.h\n").exact();
    trap(BOTH, "-include sub/f.h -Ii a.c", "//- a.c\n//- sub/f.h\n#include \"yes.h\"\n#include \"g.h\"\n//- sub/yes.h\n//- i/g.h\n//- yes.h\n").exact();
    trap(
        BOTH,
        "-include f.h -Ii a.c",
        "//- a.c\n//- i/f.h\n#include \"yes.h\"\n//- i/yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "-include f.h -iquote q a.c",
        "//- a.c\n//- q/f.h\n#include \"yes.h\"\n//- q/yes.h\n",
    )
    .exact();
    trap(
        BOTH,
        "-include f.h -include f.h -include ./f.h a.c",
        "//- a.c\n//- f.h\n#ifndef F\n#define F\n#else\n#include \"yes.h\"\n#endif\n//- yes.h\n",
    )
    .exact();
}

#[test]
fn path_imacros_come_before_include() {
    trap(BOTH, "-include f.h -imacros m.h a.c", "//- a.c\n//- f.h\n#ifdef M\n#include \"yes.h\"\n#endif\n//- m.h\n#define M\n#ifdef F\n#error\n#endif\n//- yes.h\n").exact();
    trap(BOTH, "-imacros m.h a.c", "//- a.c\n#ifdef M\n#include \"yes.h\"\n#endif\n//- m.h\nthis is no C at all\n#define M\n#include \"n.h\"\n//- n.h\n//- yes.h\n").exact();
}

#[test]
fn path_macros_come_before_both() {
    trap(
        BOTH,
        "-include f.h -DX=1 -UX -DX=2 a.c",
        "//- a.c\n//- f.h\n#if X == 2\n#include \"yes.h\"\n#endif\n//- yes.h\n",
    )
    .exact();
}

#[test]
fn path_of_stdc_predef() {
    trap(
        GCC,
        "-Ii a.c",
        "//- a.c\n//- i/stdc-predef.h\n#include \"yes.h\"\n//- i/yes.h\n",
    )
    .exact();
    trap(
        GCC,
        "-iquote i a.c",
        "//- a.c\n//- i/stdc-predef.h\n#include \"no.h\"\n//- i/no.h\n",
    )
    .exact();
    trap(GCC, "-ffreestanding a.c", "//- a.c\n").exact();
    trap(GCC, "-nostdinc a.c", "//- a.c\n").exact();
    trap(
        GCC,
        "-nostdinc -Ii a.c",
        "//- a.c\n//- i/stdc-predef.h\n#include \"no.h\"\n//- i/no.h\n",
    )
    .exact();
    trap(CLANG, "-Ii a.c", "//- a.c\n//- i/stdc-predef.h\n").exact();
    trap(GCC, "a.S", "//- a.S\n").exact();
    trap(GCC, "-undef a.c", "//- a.c\n").exact();
    trap(CROSS, "a.c", "//- a.c\n#include <stdio.h>\n").exact();
}

#[test]
fn path_without_standard_directories() {
    source(BOTH, "-nostdinc -I. a.c", "#if __has_include(<stdio.h>) || __has_include(<stddef.h>)\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n").exact();
    source(BOTHXX, "-nostdinc++ a.cc", "#if __has_include(<vector>) || !__has_include(<stdio.h>)\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n").exact();
    source(CLANG, "-nostdlibinc a.c", "#include <stddef.h>\n#if __has_include(<stdio.h>)\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n").exact_or_declined();
    source(
        CLANG,
        "-nobuiltininc a.c",
        "#if __has_include(<stddef.h>)\n#include \"no.h\"\n#endif\n#include \"yes.h\"\n",
    )
    .exact_or_declined();
}

#[test]
fn path_reordered_by_the_driver() {
    let tree = "//- a.c\n#include <x.h>\n//- i/x.h\n//- p/j/x.h\n//- k/x.h\n";
    trap(GCC, "-iprefix p/ -iwithprefixbefore j -Ii a.c", tree).exact();
    trap(GCC, "-iprefix $ROOT/p/ -iwithprefix j a.c", tree).exact();
    trap(GCC, "-iwithprefixbefore j -Ik a.c", tree).exact();
    trap(CLANG, "-iprefix p/ -iwithprefixbefore j -Ii a.c", tree).exact_or_declined();
}

#[test]
fn path_under_a_sysroot() {
    // Its directories play the compiler's own, which a server has for itself.
    let tree = "//- a.c\n#include <x.h>\n//- s/usr/include/x.h\n//- s/j/x.h\n//- s/usr/local/include/y.h\n";
    for compilers in [GCC, CLANG] {
        trap(compilers, "--sysroot=$ROOT/s a.c", tree)
            .not_sent()
            .exact();
        trap(compilers, "--sysroot=s a.c", tree)
            .not_sent()
            .exact_or_declined();
        trap(compilers, "-isysroot $ROOT/s a.c", tree)
            .not_sent()
            .exact_or_declined();
        trap(compilers, "--sysroot=$ROOT/s -I=/j a.c", tree)
            .not_sent()
            .exact_or_declined();
        trap(compilers, "--sysroot=$ROOT/s -isystem =/j a.c", tree)
            .not_sent()
            .exact_or_declined();
    }
    trap(GCC, "--sysroot=$ROOT/s -I'$SYSROOT/j' a.c", tree)
        .not_sent()
        .exact_or_declined();
}

#[test]
fn path_by_other_options() {
    trap(
        GCC,
        "-B$ROOT/b/ a.c",
        "//- a.c\n#include <x.h>\n//- b/include/x.h\n",
    )
    .not_sent()
    .exact_or_declined();
    trap(GCC, "-specs=my.specs a.c", "//- a.c\n#ifdef FROM_SPECS\n#include \"yes.h\"\n#endif\n//- my.specs\n%rename cpp_options old\n*cpp_options:\n-DFROM_SPECS %(old)\n\n//- yes.h\n").exact_or_declined();
    trap(GCC, "-m32 a.c", "//- a.c\n#include <stdio.h>\n#include <limits.h>\n#ifdef __i386__\n#include \"yes.h\"\n#endif\n//- yes.h\n").exact();
    trap(
        GXX,
        "-m32 a.cc",
        "//- a.cc\n#include <vector>\n#include <cstdio>\n",
    )
    .exact();
    trap(CLANG, "-m32 a.c", "//- a.c\n#include <stdio.h>\n").exact();
    trap(
        CROSSXX,
        "a.cc",
        "//- a.cc\n#include <vector>\n#include <stdio.h>\n",
    )
    .exact();
    trap(
        CLANG,
        "-stdlib=libstdc++ a.cc",
        "//- a.cc\n#include <vector>\n",
    )
    .exact();
    trap(
        CLANG,
        "--target=aarch64-linux-gnu a.c",
        "//- a.c\n#include <stdio.h>\n#ifdef __aarch64__\n#include \"yes.h\"\n#endif\n//- yes.h\n",
    )
    .exact();
}

#[test]
fn path_from_the_environment() {
    let tree = "//- a.c\n#include <x.h>\n//- e/x.h\n//- x.h\n";
    for name in ["CPATH", "C_INCLUDE_PATH"] {
        trap(BOTH, "a.c", tree)
            .environment(name, "$ROOT/e")
            .declined(&[name]);
        // An empty element is the working directory.
        trap(BOTH, "a.c", tree)
            .environment(name, ":$ROOT/e")
            .declined(&[name]);
    }
    trap(BOTHXX, "a.cc", tree.replace("a.c\n", "a.cc\n"))
        .environment("CPLUS_INCLUDE_PATH", "$ROOT/e")
        .declined(&["CPLUS_INCLUDE_PATH"]);
    trap(BOTH, "-Ie a.c", tree)
        .environment("CPATH", "")
        .exact_or_declined();
}

#[test]
fn path_with_many_directories() {
    let many: String = (0..400).map(|n| format!("-Id{n} ")).collect();
    let mut tree =
        String::from("//- a.c\n#include <x.h>\n#include <y.h>\n//- d399/x.h\n//- d200/y.h\n");
    for n in 0..400 {
        tree += &format!("//- d{n}/z\n");
    }
    trap(BOTH, &format!("{many}a.c"), tree).exact();
}

#[test]
fn path_of_system_headers_is_the_shorter_one() {
    let fixture = "//- a.c\n#include <long/name/x.h>\n//- s/long/name/x.h -> ../../r.h\n//- s/r.h\n#include \"y.h\"\n//- s/y.h\n//- s/long/name/y.h\n";
    trap(GCC, "-isystem s a.c", fixture).exact();
    trap(GCC, "-isystem $ROOT/s a.c", fixture).exact();
    trap(GCC, "-Is a.c", fixture).exact();
    trap(GCC, "-isystem s -fno-canonical-system-headers a.c", fixture).exact();
    trap(
        GCC,
        "-isystem $ROOT/s -fno-canonical-system-headers a.c",
        fixture,
    )
    .exact();
    trap(CLANG, "-isystem s a.c", fixture).exact();
}
