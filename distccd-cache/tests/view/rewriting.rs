//! The rewriting view: equal code and data, equal dependency files after joining lines, no path of the server's.

use std::path::Path;
use std::process::Command;

use distccd_cache::job::{CompileOutcome, JobError};
use distccd_cache::workshop::{SandboxPolicy, ViewPolicy};

use crate::support::{Project, TestShop, assert_same, compilers, installed};

fn project() -> Project {
    Project::new(&[
        (
            "a.c",
            "#include <assert.h>\n#include <stdio.h>\n#include \"./sub/a.h\"\n#include \"b.h\"\nint f(int x) { assert(x); puts(B_FILE); puts(__BASE_FILE__); return A + a(x); }\n",
        ),
        (
            "sub/a.h",
            "#pragma once\n#include <assert.h>\n#define A 3\nstatic int a(int x) { assert(x > 1); return x; }\n",
        ),
        ("inc/b.h", "#define B_FILE __FILE__\n"),
    ])
}

/// Joins the lines of a make rule and its blanks.
fn joined(rules: &[u8]) -> String {
    String::from_utf8_lossy(rules)
        .replace("\\\n", " ")
        .split(' ')
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The bytes of all sections that are loaded into memory, by name.
fn code_and_data(object: &[u8]) -> Vec<(String, Vec<u8>)> {
    use object::{Object, ObjectSection, SectionFlags};
    let file = object::File::parse(object).expect("an object");
    file.sections()
        .filter(|s| matches!(s.flags(), SectionFlags::Elf { sh_flags, .. } if sh_flags.0 & 2 != 0))
        .map(|s| {
            (
                s.name().expect("a name").to_owned(),
                s.data().expect("data").to_vec(),
            )
        })
        .collect()
}

#[test]
fn equal_code_data_and_dependencies() {
    let shop = TestShop::new(ViewPolicy::Rewrite);
    let words = [
        "cc -O2 -Iinc -MD -c a.c -o a.o",
        "cc -O2 -I{}/inc -MMD -c {}/a.c -o a.o",
        "cc -O2 -g -I{}/inc -MD -MF {}/a.d -c a.c -o {}/a.o",
        "cc -g -gdwarf-4 -I{}/inc -MD -MP -c {}/a.c -o a.o",
        "cc -g -gz -gdwarf-5 -I {}/inc -MD -MT x -MT {}/y -c {}/a.c -o a.o",
        "cc -g3 -iquote {}/inc -MD -c a.c -o a.o",
        "cc -g -ffile-prefix-map={}=/built -I{}/inc -MD -c {}/a.c -o a.o",
    ];
    for compiler in compilers(&["gcc", "clang-19"]) {
        for words in words {
            let project = project();
            let what = format!("{} {words}", compiler.display());
            let here = project.compile_here(&compiler, words, "a.o", Some("a.d"));
            let finished = shop
                .run(project.request(words), &compiler)
                .unwrap_or_else(|e| panic!("{what}: {e}"));
            let reply = finished.reply;
            assert_eq!(finished.view, "rewrite");
            assert_eq!(
                finished.outcome,
                CompileOutcome::Ok,
                "{what}: {}",
                String::from_utf8_lossy(&reply.stderr)
            );
            assert_eq!(
                code_and_data(&reply.object),
                code_and_data(&here.object),
                "{what}"
            );
            let written = reply.dependencies.expect("dependencies");
            assert_eq!(
                joined(&written),
                joined(&here.dependencies.expect("dependencies")),
                "{what}"
            );
            let temp = shop.temp.path().to_string_lossy().into_owned();
            let dump = readelf(&reply.object);
            assert!(!dump.contains(&temp), "{what}: {dump}");
            if !words.contains("-g") {
                assert_same(&what, &reply.object, &here.object);
            }
        }
    }
}

/// All strings of the debug information, decompressed.
fn readelf(object: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), object).expect("written");
    let output = Command::new("readelf")
        .args(["-z", "--debug-dump=info,line,str"])
        .arg(file.path())
        .output()
        .expect("readelf");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn diagnostics_do_not_show_the_server() {
    let shop = TestShop::new(ViewPolicy::Rewrite);
    for compiler in compilers(&["gcc", "clang-19"]) {
        let project = Project::new(&[("a.c", "int f(void) { return x; }\n")]);
        let finished = shop
            .run(project.request("cc -c {}/a.c -o a.o"), &compiler)
            .expect("a reply");
        let stderr = String::from_utf8_lossy(&finished.reply.stderr).into_owned();
        assert_eq!(finished.outcome, CompileOutcome::Error);
        assert!(
            stderr.starts_with(&format!("{}/a.c:", project.dir().display()))
                || stderr.contains(&format!("\n{}/a.c:", project.dir().display())),
            "{stderr}"
        );
        assert!(!stderr.contains("distccd_"), "{stderr}");
    }
}

#[test]
fn a_file_of_the_servers_discards_the_result() {
    // Below a temporary root an absolute include names the server's own file.
    let server = tempfile::NamedTempFile::new().expect("a file of the server's");
    std::fs::write(server.path(), "int leaked;\n").expect("written");
    let source = format!("#include \"{}\"\n", server.path().display());
    let project = Project::new(&[("a.c", &source)]);
    let shop = TestShop::with(ViewPolicy::Rewrite, |settings| {
        settings.sandbox.policy = SandboxPolicy::Off;
    });
    let result = shop.run(
        project.request("gcc -c a.c -o a.o"),
        Path::new("/usr/bin/gcc"),
    );
    assert!(
        matches!(result, Err(JobError::UnexpectedFile(_))),
        "{result:?}"
    );
    // In a namespace there is no such file, and the sandbox lets nobody read it.
    for view in [ViewPolicy::Namespace, ViewPolicy::Rewrite] {
        let shop = TestShop::new(view);
        let finished = shop
            .run(
                project.request("gcc -c a.c -o a.o"),
                Path::new("/usr/bin/gcc"),
            )
            .expect("a reply");
        assert_eq!(finished.outcome, CompileOutcome::Error, "{view:?}");
    }
}

#[test]
fn an_object_that_mentions_the_server_is_refused() {
    // The command line, with the root in it, goes into the object.
    let Some(clang) = installed("clang-19") else {
        return;
    };
    let project = project();
    let shop = TestShop::new(ViewPolicy::Rewrite);
    let words = "gcc -frecord-gcc-switches -O2 -c {}/a.c -I{}/inc -o a.o -DPATH=1";
    let result = shop.run(project.request(words), &clang);
    assert!(matches!(result, Err(JobError::ServerPath)), "{result:?}");
}
