//! Which file a name in a directive stands for, and how often it is read: the same sets as the compilers' `-M`.

use super::peers::{BOTH, CLANG, GCC, check, check_condition, check_source};
use crate::support::{compiler, names, plant, reference, scan_in, words};

#[test]
fn computed_includes() {
    check_source(BOTH, "a.c", "#define H \"yes.h\"\n#include H");
    check_source(BOTH, "-I. a.c", "#define H <yes.h>\n#include H extra");
    check_source(BOTH, "-I. a.c", "#define LT <\n#define GT >\n#define NAME yes.h\n#define J(a,b,c) a b c\n#include LT yes.h>".replace("LT yes", "LT/**/yes").replace("/**/", "").replace("LTyes", "<yes").as_str());
    check_source(
        BOTH,
        "a.c",
        "#define S(x) #x\n#define X(x) S(x)\n#define n yes\n#include X(n.h)",
    );
    check_source(
        BOTH,
        "a.c",
        "#define S(x) #x\n#define X(x) S(x)\n#define P ye\n#define CAT(a, b) a ## b\n#define XCAT(a, b) CAT(a, b)\n#include X(XCAT(P, s).h)",
    );
    check(
        BOTH,
        "-I. a.c",
        "//- a.c\n#define H <arch/linux/x.h>\n#include H\n//- arch/1/x.h\n//- arch/linux/no.h\n",
    );
    check(
        BOTH,
        "-std=c17 -I. a.c",
        "//- a.c\n#define H <arch/linux/yes.h>\n#include H\n//- arch/1/no.h\n//- arch/linux/yes.h\n",
    );
    check(
        GCC,
        "-I. a.c",
        "//- a.c\n#define LT <\n#define GT >\n#include LT y3.h GT\n//-  y3.h\n//- y3.h\n"
            .replace("//-  y3.h", "//- ./ y3.h")
            .as_str(),
    );
    check(
        BOTH,
        "-Id a.c",
        "//- a.c\n#define DIR sub\n#define STR(x) STR_(x)\n#define STR_(x) #x\n#include STR(DIR/yes.h)\n//- d/sub/yes.h\n",
    );
    check(
        BOTH,
        "-Id a.c",
        "//- a.c\n#define I <sub/yes.h>\n#define INC(x) I\n#include INC(4)\n//- d/sub/yes.h\n",
    );
    check(
        GCC,
        "a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n#ifndef ONCE\n#define ONCE\n#include __FILE__\n#include \"yes.h\"\n#endif\n//- yes.h\n",
    );
    check(
        GCC,
        "a.c",
        "//- a.c\n#define S(x) #x\n#define E(x) S(d/ x)\n#define D e\n#include E(D/b.h)\n//- d/ e/b.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#line 3 \"yes.h\"\n#include __FILE__\n//- yes.h\n",
    );
}

#[test]
fn command_line_macros() {
    check_condition(
        BOTH,
        "-DX -DY=2 -D'F(a)=a' -DZ -UZ a.c",
        "",
        "X == 1 && Y == 2 && F(3) == 3 && !defined Z",
    );
    check_condition(BOTH, "-UX -DX -D X=5 a.c", "", "X == 5");
    check_condition(BOTH, "-U__linux__ a.c", "", "!defined __linux__");
    check_condition(BOTH, "-DE= a.c", "", "E + 1 && defined E");
}

#[test]
fn forced_includes() {
    check(
        BOTH,
        "-include f.h -imacros m.h -DA s/a.c",
        "//- s/a.c\n#if F && M\n#include \"yes.h\"\n#endif\n//- f.h\n#ifdef M\n#define F 1\n#endif\n//- m.h\n#ifdef A\n#define M 1\n#endif\n//- s/yes.h\n//- s/f.h\n",
    );
    check(
        BOTH,
        "-include sub/f.h -Ii a.c",
        "//- a.c\n//- sub/f.h\n#include \"yes.h\"\n#include \"g.h\"\n//- sub/yes.h\n//- i/g.h\n//- yes.h\n",
    );
    check(
        BOTH,
        "-include f.h -Ii a.c",
        "//- a.c\n//- i/f.h\n#include \"yes.h\"\n//- i/yes.h\n",
    );
    check(
        BOTH,
        "-nostdinc -include pre.c a.c",
        "//- a.c\n#ifdef PRE\n#include \"yes.h\"\n#endif\n//- pre.c\n#define PRE\n//- yes.h\n",
    );
}

#[test]
fn once_and_guards() {
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"b.h\"\n#include \"c.h\"\n//- b.h\n#pragma once\n#ifdef SECOND\n#include \"no.h\"\n#endif\n#define SECOND\n//- c.h\n#undef SECOND\n#include \"b.h\"\n//- no.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#undef B_H\n#define AGAIN\n#include \"b.h\"\n//- b.h\n#ifndef B_H\n#define B_H\n#ifdef AGAIN\n#include \"yes.h\"\n#endif\n#endif\n//- yes.h\n",
    );
    check(
        BOTH,
        "-DB_H a.c",
        "//- a.c\n#include \"b.h\"\n//- b.h\n#if !defined(B_H)\n#include \"no.h\"\n#endif\n//- no.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"b.h\"\n//- b.h\n#ifndef B_H\n#define B_H\n#else\n#include \"yes.h\"\n#endif\n//- yes.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"b.h\"\n//- b.h\n#ifndef B_H\n#define B_H\n#endif\n#ifdef TWICE\n#include \"yes.h\"\n#endif\n#define TWICE\n//- yes.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n//- b.h\n#ifndef B_H\n#define B_H\n#endif\n//- l -> .\n",
    );
    check(
        GCC,
        "a.c",
        "//- a.c\n#include \"b.h\"\n#include \"l/b.h\"\n//- b.h\n#pragma once\n//- l -> .\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#if 1\n#include \"b.h\"\n#define LATE\n#include \"b.h\"\n#include \"b.h\"\n#endif\n//- b.h\n#ifdef LATE\n#pragma once\n#ifdef THIRD\n#include \"no.h\"\n#endif\n#define THIRD\n#endif\n//- no.h\n",
    );
    check(
        BOTH,
        "-Wno-deprecated a.c",
        "//- a.c\n#import \"b.h\"\n#include \"b.h\"\n//- b.h\n#ifdef T\n#include \"no.h\"\n#endif\n#define T\n//- no.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#define N 3\n#include \"r.h\"\n//- r.h\n#if __INCLUDE_LEVEL__ < 5\n#include \"r.h\"\n#elif __INCLUDE_LEVEL__ == 5\n#include \"yes.h\"\n#endif\n//- yes.h\n",
    );
}

#[test]
fn search_order() {
    let tree = "//- a.c\n#include \"q.h\"\n#include <b.h>\n#include <s.h>\n#include <t.h>\n//- q/q.h\n//- i/q.h\n//- i/b.h\n//- q/b.h\n//- s/s.h\n//- s/b.h\n//- t/t.h\n//- t/s.h\n";
    check(BOTH, "-idirafter t -isystem s -Ii -iquote q a.c", tree);
    check(BOTH, "-It -isystem s -I i -iquote q a.c", tree);
    check(
        BOTH,
        "-Ii a.c",
        "//- a.c\n#include <d/x.h>\n//- i/d/x.h\n#include \"y.h\"\n#include \"d/y.h\"\n//- i/d/y.h\n//- i/d/d/y.h\n//- d/y.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"nd/../yes.h\"\n//- nd/x\n//- yes.h\n",
    );
    check(
        BOTH,
        "-Ii a.c",
        "//- a.c\n#include \"nd/../yes.h\"\n//- yes.h\n//- i/nd/x\n//- i/yes.h\n",
    );
    check(
        BOTH,
        "a.c",
        "//- a.c\n#include \"l/../yes.h\"\n//- l -> d/e\n//- d/e/x\n//- d/yes.h\n//- yes.h\n",
    );
    check(
        BOTH,
        "-Ii -Ij -Ik a.c",
        "//- a.c\n#include <x.h>\n//- i/x.h/\n//- j/x.h -> nowhere\n//- k/x.h\n#include \"yes.h\"\n//- k/yes.h\n",
    );
    check(
        BOTH,
        "-Ifile -Ij a.c",
        "//- a.c\n#include <yes.h>\n//- file\n//- j/yes.h\n",
    );
    check(
        BOTH,
        "-Ii -Ij a.c",
        "//- a.c\n#include <f/yes.h>\n//- i/f\n//- j/f/yes.h\n",
    );
    check(
        BOTH,
        "-Ij/ -I./k// -I. a.c",
        "//- a.c\n#include <yes.h>\n#include <z.h>\n#include <w.h>\n//- j/yes.h\n//- k/z.h\n//- w.h\n",
    );
    check(
        BOTH,
        "-Ij a.c",
        "//- a.c\n#include \"l.h\"\n//- l.h -> d/real.h\n//- d/real.h\n#include \"yes.h\"\n//- yes.h\n//- d/no.h\n",
    );
    check(
        BOTH,
        "../sub/a.c",
        "//- ../sub/a.c\n#include \"yes.h\"\n//- ../sub/yes.h\n",
    );
}

#[test]
fn include_next() {
    let chain =
        "//- i/x.h\n#include_next <x.h>\n//- j/x.h\n#include_next \"x.h\"\n//- k/x.h\n//- x.h\n";
    check(
        BOTH,
        "-Ii -Ij -Ik a.c",
        &format!("//- a.c\n#include <x.h>\n{chain}"),
    );
    check(
        BOTH,
        "-Ii -Ij -Ik -w a.c",
        &format!("//- a.c\n#include_next <x.h>\n{chain}"),
    );
    check(
        GCC,
        "-Ii -Ij -Ik a.c",
        "//- a.c\n#include \"x.h\"\n//- x.h\n#include_next <x.h>\n//- i/x.h\n",
    );
    check(
        GCC,
        "-iquote q -Ii a.c",
        "//- a.c\n#include \"x.h\"\n//- x.h\n#include_next \"x.h\"\n//- q/x.h\n#include_next <x.h>\n//- i/x.h\n",
    );
    check(
        BOTH,
        "-Ii a.c",
        "//- a.c\n#include <limits.h>\n//- i/limits.h\n#include_next <limits.h>\n#include \"yes.h\"\n//- i/yes.h\n",
    );
}

#[test]
fn duplicate_directories() {
    let chain = "//- i/x.h\n#include_next <x.h>\n//- j/x.h\n//- l -> i\n";
    check(
        BOTH,
        "-Ii -Il -Ij a.c",
        &format!("//- a.c\n#include <x.h>\n{chain}"),
    );
    check(
        BOTH,
        "-Ii -Ii/../i -Ij a.c",
        &format!("//- a.c\n#include <x.h>\n{chain}"),
    );
    check(
        BOTH,
        "-Ij -Ii -isystem j a.c",
        &format!("//- a.c\n#include <x.h>\n{chain}"),
    );
    check(
        BOTH,
        "-Ii -Ij -isystem i -Ik a.c",
        "//- a.c\n#include <x.h>\n//- i/x.h\n//- j/x.h\n#include_next <x.h>\n",
    );
    check(
        BOTH,
        "-iquote i -Ij -Ii a.c",
        "//- a.c\n#include \"x.h\"\n//- i/x.h\n//- j/x.h\n",
    );
    check(
        BOTH,
        "-I/usr/include -Ii a.c",
        "//- a.c\n#include <limits.h>\n//- i/limits.h\n#include_next <limits.h>\n",
    );
    check(
        GCC,
        "-Inowhere -Ii a.c",
        "//- a.c\n#include <stdc-predef.h>\n//- i/stdc-predef.h\n#include \"yes.h\"\n//- i/yes.h\n",
    );
}

#[test]
fn cross_and_objective() {
    check_source(
        &["gcc"],
        "-x c++ a.c",
        "#ifdef __cplusplus\n#include \"yes.h\"\n#endif",
    );
    check_source(
        &["aarch64-linux-gnu-gcc"],
        "a.c",
        "#include <stdio.h>\n#if '\\377' > 0 && __aarch64__\n#include \"yes.h\"\n#endif",
    );
    check_source(
        CLANG,
        "a.m",
        "#import \"yes.h\"\n#ifndef __OBJC__\n#include \"no.h\"\n#endif",
    );
}

#[test]
fn intrinsics() {
    check_source(BOTH, "a.c", "#include <immintrin.h>\n#include \"yes.h\"");
    check_source(
        &["g++"],
        "a.cc",
        "#include <immintrin.h>\n#include <string>\n#include \"yes.h\"",
    );
}

#[test]
fn system_headers_by_their_shorter_names() {
    let fixture = "//- a.c\n#include <long/name/x.h>\n//- s/long/name/x.h -> ../../r.h\n//- s/r.h\n#include \"y.h\"\n//- s/y.h\n//- s/long/name/y.h\n";
    check(GCC, "-isystem s a.c", fixture);
    check(GCC, "-Is a.c", fixture);
    check(GCC, "-isystem s -fno-canonical-system-headers a.c", fixture);
    check(CLANG, "-isystem s a.c", fixture);
    let tree = plant(fixture);
    if let Some(compiler) = compiler("gcc") {
        let long = tree.path().join("s");
        let arguments = words(&format!("-isystem {} a.c", long.display()));
        let closure = scan_in(&compiler, tree.path(), &arguments).expect("a closure");
        assert_eq!(
            Some(names(&closure)),
            reference(&compiler, tree.path(), &arguments)
        );
        let hits = &closure.has_include_hits;
        assert!(
            hits.iter()
                .any(|hit| hit.name == long.join("long/name/x.h")),
            "{hits:?}"
        );
    }
}
