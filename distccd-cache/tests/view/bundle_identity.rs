//! Bundle jobs through real compilers: what comes back is what a compile at the client would have written, with system headers from the
//! manifest, in all views.

use std::fs;
use std::path::Path;

use distccd_cache::job::CompileOutcome;
use distccd_cache::workshop::ViewPolicy;
use protocol::bundle::entry::Name;

use crate::bundle_support::{BundleShop, Session, add_closure, words_of};
use crate::support::{assert_same, compilers};

const SOURCE: &str = r#"#include <stdio.h>
#include <stddef.h>
#include "inc/a.h"
#include "../project/inc/twin1.h"
#include "inc/twin2.h"
#warning a word
int main(void) { static int unused; puts(__FILE__ A B); return TWIN; }
"#;

fn project(dir: &Path) {
    let write = |name: &str, text: &str, time: u64| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, text).expect("a file");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time);
        let file = fs::File::options().write(true).open(&path).expect("opened");
        file.set_modified(time).expect("dated");
    };
    write("a.c", SOURCE, 900_000_000);
    let a = "#define A __FILE__ \" \" __TIMESTAMP__\n#include \"b.h\"\n";
    write("inc/a.h", a, 900_000_001);
    write("inc/b.h", "#pragma once\n#define B __FILE__\n", 900_000_002);
    // Equal in size and content: gcc tells them apart by their times, clang by their inodes.
    let twin =
        "#pragma once\n#ifndef TWIN\n#define TWIN 1\n#else\n#undef TWIN\n#define TWIN 2\n#endif\n";
    write("inc/twin1.h", twin, 900_000_003);
    write("inc/twin2.h", twin, 900_000_004);
    fs::create_dir(dir.join("obj")).expect("a directory");
}

/// Runs a command line at home and in each view, twice: with an empty grove and a full one.
fn check(compiler: &Path, line: &str, views: &[(ViewPolicy, bool)]) {
    let made = tempfile::Builder::new()
        .prefix("pumphouse-bundle-")
        .tempdir_in("/tmp")
        .expect("a directory");
    let dir = made.path().join("project");
    project(&dir);
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = std::process::Command::new(compiler)
        .args(&words[1..])
        .current_dir(&dir)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("the compiler runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let object = fs::read(dir.join("obj/a.o")).expect("an object");
    let rules = fs::read(dir.join("obj/a.d")).expect("rules");
    let mut side: Vec<(Vec<u8>, Vec<u8>)> = ["obj", "."]
        .iter()
        .flat_map(|sub| fs::read_dir(dir.join(sub)).expect("a directory"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file() && !path.ends_with("obj/a.o") && !path.ends_with("obj/a.d"))
        .filter(|path| !path.ends_with("a.c"))
        .map(|path| {
            let name = path.canonicalize().expect("it is there");
            let name = name.into_os_string().into_encoded_bytes();
            (name, fs::read(path).expect("a side output"))
        })
        .collect();
    side.sort_unstable();
    let mut session = Session::new();
    let mut used = {
        // What an option defines may decide what is read.
        let mut options = vec!["a.c"];
        options.extend(words.iter().filter(|word| word.starts_with("-O")));
        add_closure(&mut session, compiler, &options, &dir)
    };
    let source = dir.join("a.c").to_string_lossy().into_owned();
    let index = session.index(&source);
    used.retain(|other| *other != index);
    let mut own = session
        .table
        .entry(index)
        .expect("it is there")
        .as_ref()
        .clone();
    own.name = Name::Relative;
    let mut made = Some(made);
    for &(view, kept) in views {
        let shop = BundleShop::with(view, |settings| settings.keep_trees = kept);
        for round in 0..2 {
            // The client's files are not on the server.
            let _ = fs::remove_dir_all(&dir);
            let job = session.job(&dir.to_string_lossy(), &words, &used, vec![own.clone()]);
            let finished = shop.run(&session, job, compiler);
            let what = format!("{} {line}: {view:?}, {kept}, {round}", compiler.display());
            let finished = finished.unwrap_or_else(|error| panic!("{what}: {error}"));
            let words = words_of(&finished);
            assert_eq!(finished.outcome, CompileOutcome::Ok, "{what}: {words}");
            assert_eq!(words, String::from_utf8_lossy(&output.stderr), "{what}");
            assert_same(&what, &finished.reply.object, &object);
            let ours = finished.reply.dependencies.as_deref().unwrap_or_default();
            assert_eq!(
                String::from_utf8_lossy(ours),
                String::from_utf8_lossy(&rules),
                "{what}"
            );
            let names = |side: &[(Vec<u8>, Vec<u8>)]| {
                let text = |(name, _): &(Vec<u8>, _)| String::from_utf8_lossy(name).into_owned();
                side.iter().map(text).collect::<Vec<_>>()
            };
            assert_eq!(names(&finished.side), names(&side), "{what}");
            for ((name, ours), (_, theirs)) in finished.side.iter().zip(&side) {
                assert_same(
                    &format!("{what}: {}", String::from_utf8_lossy(name)),
                    ours,
                    theirs,
                );
            }
            assert_eq!(shop.left_over(), 0, "{what}");
        }
    }
    drop(made.take());
}

const NAMESPACE: [(ViewPolicy, bool); 2] = [
    (ViewPolicy::Namespace, true),
    (ViewPolicy::Namespace, false),
];

#[test]
fn objects_rules_and_words_are_the_clients() {
    for compiler in compilers(&["gcc-12", "clang-19"]) {
        for options in [
            "-O2 -g -gdwarf-4 -MD",
            "-g -gdwarf-5 -MMD -MP",
            "-O1 -MD -gsplit-dwarf -g",
            "-MD -fstack-usage",
            "-MD --coverage -frandom-seed=x -ftest-coverage",
            "-MD -save-temps=obj -g",
        ] {
            let line = format!("cc {options} -MF obj/a.d -c a.c -o obj/a.o");
            check(&compiler, &line, &NAMESPACE);
        }
    }
}

#[test]
fn the_rewriting_view_uses_the_servers_headers_where_they_are_the_clients() {
    for compiler in compilers(&["gcc-12", "clang-19"]) {
        let line = "cc -O2 -g -MD -MF obj/a.d -c a.c -o obj/a.o";
        // __FILE__ of headers that are found relatively needs no name of its own.
        check(&compiler, line, &[(ViewPolicy::Rewrite, true)]);
    }
}
