//! One compiler is one, by whatever name; two are two.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toolchain::{Family, Identity, Language, Policy, Question, identify};

use crate::support::{LIMIT, ask, identity, installed, question, usual};

const COMPILERS: [&str; 14] = [
    "/usr/bin/gcc",
    "/usr/bin/cc",
    "/usr/bin/gcc-12",
    "/usr/bin/x86_64-linux-gnu-gcc",
    "/usr/bin/x86_64-linux-gnu-gcc-12",
    "/usr/bin/g++",
    "/usr/bin/c++",
    "/usr/bin/g++-12",
    "/usr/bin/clang-19",
    "/usr/lib/llvm-19/bin/clang",
    "/usr/bin/clang++-19",
    "/usr/bin/aarch64-linux-gnu-gcc",
    "/usr/bin/aarch64-linux-gnu-gcc-12",
    "/usr/bin/aarch64-linux-gnu-g++",
];

#[test]
fn names_of_one_compiler_share_an_identity_and_others_do_not() {
    let mut by_file: BTreeMap<PathBuf, Vec<(&str, Identity)>> = BTreeMap::new();
    for name in installed(&COMPILERS) {
        let file = PathBuf::from(name).canonicalize().unwrap();
        by_file
            .entry(file)
            .or_default()
            .push((name, identity(name)));
    }
    assert!(by_file.len() > 1);
    for group in by_file.values() {
        for (name, identity) in group {
            assert_eq!(*identity, group[0].1, "{name} and {}", group[0].0);
        }
    }
    let firsts: Vec<_> = by_file.values().map(|group| &group[0]).collect();
    for (index, (name, identity)) in firsts.iter().enumerate() {
        for (other_name, other) in &firsts[index + 1..] {
            assert!(
                !identity.agrees(other, Policy::Exact),
                "{name} {other_name}"
            );
        }
    }
}

#[test]
fn targets_and_families_are_told_apart_by_every_policy() {
    let names = [
        "/usr/bin/gcc",
        "/usr/bin/clang-19",
        "/usr/bin/aarch64-linux-gnu-gcc",
    ];
    let identities: Vec<Identity> = installed(&names).into_iter().map(identity).collect();
    for (index, one) in identities.iter().enumerate() {
        for other in &identities[index + 1..] {
            for policy in [Policy::Alike, Policy::Described, Policy::Exact] {
                assert!(!one.agrees(other, policy), "{one:?} {other:?}");
            }
        }
    }
    let gcc = &identities[0];
    assert_eq!(gcc.family, Family::Gcc);
    assert!(gcc.banner.starts_with("gcc ") && gcc.banner.contains(" for "));
}

#[test]
fn two_drivers_of_one_compiler_differ_in_their_files_only() {
    let [gcc, gxx] =
        ["/usr/bin/gcc", "/usr/bin/g++"].map(|name| ask(name.as_ref(), Language::Cxx).unwrap().0);
    assert!(gcc.agrees(&gxx, Policy::Alike));
    assert!(gcc.agrees(&gxx, Policy::Described));
    assert!(!gcc.agrees(&gxx, Policy::Exact));
}

#[test]
fn each_language_has_its_compiler() {
    for name in installed(&["/usr/bin/gcc", "/usr/bin/clang-19"]) {
        let languages = [
            Language::C,
            Language::Cxx,
            Language::Assembler,
            Language::AssemblerWithCpp,
        ];
        let found = languages.map(|language| {
            ask(name.as_ref(), language)
                .unwrap_or_else(|error| panic!("{name} {language:?}: {error}"))
                .0
        });
        for (index, one) in found.iter().enumerate() {
            for other in &found[index + 1..] {
                assert!(!one.agrees(other, Policy::Alike), "{name}");
            }
        }
    }
}

#[test]
fn clangs_assembler_counts_where_it_is_used() {
    for name in installed(&["/usr/bin/clang-19"]) {
        let environment = usual();
        let [within, without] = [false, true].map(|external_assembler| {
            let question = Question {
                external_assembler,
                ..question(name.as_ref(), &environment)
            };
            let found = identify(&question, LIMIT).unwrap();
            let again = identify(&question, LIMIT).unwrap();
            assert_eq!(found.0, again.0);
            found
        });
        assert!(!within.0.agrees(&without.0, Policy::Alike));
        let names_assembler =
            |evidence: &toolchain::Evidence| evidence.paths().any(|path| path.ends_with("as"));
        assert!(names_assembler(&without.1) && !names_assembler(&within.1));
    }
}
