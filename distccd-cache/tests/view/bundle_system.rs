//! Bundle jobs and the server's own files: its headers are not seen, its toolchains are, and hostile manifests change nothing of that.

use std::path::Path;
use std::process::Command;

use distccd_cache::job::{BundleJob, CompileOutcome, Finished, JobError};
use distccd_cache::workshop::ViewPolicy;
use protocol::bundle::entry::{Content, Entry, Name};

use crate::bundle_support::{BundleShop, SYSTEM, Session, words_of};
use crate::support::path;

const GCC: &str = "/usr/bin/gcc";

fn link(at: &str, target: &str) -> Entry {
    Entry {
        path: path(at),
        content: Content::Link(target.as_bytes().to_vec()),
        late: false,
        system: false,
        name: Name::Relative,
    }
}

fn job(session: &Session, used: &[u32], mut own: Vec<Entry>, text: &str) -> BundleJob {
    own.push(session.file("/home/u/p/a.c", text.as_bytes(), 1_000));
    session.job(
        "/home/u/p",
        &["gcc", "-MD", "-c", "a.c", "-o", "a.o"],
        used,
        own,
    )
}

#[track_caller]
fn compiles(result: Result<Finished, JobError>, what: &str) -> Finished {
    let finished = result.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(
        finished.outcome,
        CompileOutcome::Ok,
        "{what}: {}",
        words_of(&finished)
    );
    assert_eq!(finished.view, "namespace", "{what}");
    finished
}

/// With trees that are kept, and without.
fn shops() -> [BundleShop; 2] {
    [true, false].map(|kept| BundleShop::with(ViewPolicy::Namespace, |s| s.keep_trees = kept))
}

#[test]
fn the_servers_headers_are_not_there() {
    for shop in shops() {
        let mut session = Session::new();
        let stdio = session.add_file(
            "/usr/include/stdio.h",
            b"#define CLIENTS 1\n#include <only.h>\n",
        );
        let only = session.add_file("/usr/include/only.h", b"");
        let text = "#include <stdio.h>\n#ifndef CLIENTS\n#error of the server\n#endif\n\
            #if __has_include(<stdlib.h>) || __has_include(<stddef.h>) || __has_include(<bits/types.h>)\n\
            #error of the server\n#endif\n\
            #if __has_include(\"/usr/include/stdlib.h\") || __has_include(\"/usr/include/linux/types.h\")\n\
            #error of the server by its path\n#endif\n";
        let finished = compiles(
            shop.run(
                &session,
                job(&session, &[stdio, only], vec![], text),
                Path::new(GCC),
            ),
            "replaced",
        );
        let rules = finished.reply.dependencies.expect("rules");
        assert!(String::from_utf8_lossy(&rules).contains(" /usr/include/stdio.h"));
        // Nothing there at all.
        let text = "#if __has_include(<stdio.h>) || __has_include(<stddef.h>)\n#error of the server\n#endif\n";
        let empty = Session::new();
        compiles(
            shop.run(&empty, job(&empty, &[], vec![], text), Path::new(GCC)),
            "empty",
        );
    }
}

#[test]
fn directories_of_a_compiler_that_the_server_does_not_have() {
    for shop in shops() {
        let mut session = Session::new();
        let dirs = [
            "/usr/lib/gcc/x86_64-linux-gnu/99/include",
            "/usr/include/c++/99",
        ];
        let used = [
            session.add_file(&format!("{}/x.h", dirs[0]), b"#include <y>\n"),
            session.add_file(&format!("{}/y", dirs[1]), b"int y;\n"),
        ];
        let text = "#include <x.h>\n#if !__has_include(<x.h>) || __has_include(<stdlib.h>)\n#error\n#endif\n";
        let mut job = job(&session, &used, vec![], text);
        for dir in dirs {
            job.system_directories.push(dir.as_bytes().to_vec());
            job.argv
                .extend([b"-isystem".to_vec(), dir.as_bytes().to_vec()]);
        }
        compiles(shop.run(&session, job, Path::new(GCC)), "another version");
    }
}

#[test]
fn projects_below_directories_of_the_system() {
    let dirs = [
        "/usr/src/project",
        "/usr/local/src/a/b",
        "/usr/local/include/gen",
        "/usr/project",
        "/usr/share/project/include",
        "/opt/project/main",
        "/usr/include/client-project",
        "/etc/project",
        "/dev/shm/project",
        "/tmp/project",
        "/run/project",
        "/root/project",
        "/project",
    ];
    for shop in shops() {
        for dir in dirs {
            let mut session = Session::new();
            let used = [session.add_file(
                &format!("{dir}/inc/x.h"),
                b"static const char *const x = __FILE__;\n",
            )];
            let source = session.file(
                &format!("{dir}/a.c"),
                b"#include <x.h>\nconst char *f(void) { return x; }\n",
                5,
            );
            let include = format!("-I{dir}/inc");
            let words = ["gcc", "-g", "-MD", &include, "-c", "a.c", "-o", "obj/a.o"];
            for round in 0..2 {
                let what = format!("{dir}, {round}");
                let job = session.job(dir, &words, &used, vec![source.clone()]);
                let finished = compiles(shop.run(&session, job, Path::new(GCC)), &what);
                let needle = format!("{dir}/inc/x.h\0").into_bytes();
                let object = finished.reply.object;
                assert!(
                    object.windows(needle.len()).any(|part| part == needle),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn headers_that_both_have_outside_system_directories() {
    // As packages with directories of their own have them: the client's counts, though the server has one of that name.
    let own = [
        "/usr/share/doc/gcc/README.Debian",
        "/usr/share/common-licenses/GPL-2",
        "/usr/lib/os-release",
    ];
    let Some(both) = own.into_iter().find(|path| {
        let meta = Path::new(path).canonicalize();
        meta.is_ok_and(|real| real == Path::new(path))
    }) else {
        eprintln!("skipped: this machine has none of {own:?}");
        return;
    };
    for shop in shops() {
        let mut session = Session::new();
        let used = [session.add_file(both, b"int clients;\n")];
        let text = format!("#include \"{both}\"\nint *p = &clients;\n");
        compiles(
            shop.run(
                &session,
                job(&session, &used, vec![], &text),
                Path::new(GCC),
            ),
            both,
        );
    }
}

#[test]
fn a_file_that_the_manifest_does_not_name_discards_the_result() {
    let shop = BundleShop::new(ViewPolicy::Namespace);
    let mut session = Session::new();
    let header = session.add_file("/home/u/p/v.h", b"");
    let text = "#include \"v.h\"\n";
    compiles(
        shop.run(
            &session,
            job(&session, &[header], vec![], text),
            Path::new(GCC),
        ),
        "named",
    );
    for words in [&["-MD"][..], &[]] {
        // It is still there.
        let mut unnamed = job(&session, &[], vec![], text);
        unnamed.argv = ["gcc", "-c", "a.c"]
            .iter()
            .chain(words)
            .map(|w| w.as_bytes().to_vec())
            .collect();
        let result = shop.run(&session, unnamed, Path::new(GCC));
        assert!(
            matches!(&result, Err(JobError::UnexpectedFile(path)) if path == "/home/u/p/v.h"),
            "{result:?}"
        );
    }
}

#[test]
fn links_and_names_through_them() {
    for shop in shops() {
        let mut session = Session::new();
        let used = [
            session.add(link("/home/u/l", "w/x")),
            session.add_file("/home/u/w/x/inc/v.h", b"#include \"../../y/w.h\"\n"),
            session.add_file("/home/u/w/y/w.h", b"#define FILE __FILE__\n"),
            session.add(link("/home/u/w/x/inc/also.h", "/home/u/l/inc/v.h")),
        ];
        let source = session.file(
            "/home/u/w/x/a.c",
            b"#include \"v.h\"\n#include \"also.h\"\nchar *f(void) { return FILE; }\n",
            3,
        );
        // The working directory is named through a link, and so are outputs and search path.
        let words = [
            "gcc",
            "-g",
            "-MD",
            "-I/home/u/l/inc",
            "-I../l/../x/inc",
            "-c",
            "a.c",
            "-o",
            "/home/u/l/out/a.o",
        ];
        let job = session.job("/home/u/l", &words, &used, vec![source]);
        let finished = compiles(shop.run(&session, job, Path::new(GCC)), "links");
        let rules = String::from_utf8(finished.reply.dependencies.expect("rules")).expect("plain");
        assert!(
            rules.contains("/home/u/l/inc/v.h") && rules.contains("/home/u/l/inc/also.h"),
            "{rules}"
        );
    }
}

/// A manifest that is refused as the client's fault.
#[track_caller]
fn refused(session: &Session, job: &BundleJob, what: &str) {
    for shop in shops() {
        let result = shop.run(session, job.clone(), Path::new(GCC));
        assert!(
            matches!(&result, Err(error) if error.is_bad_request()),
            "{what}: {result:?}"
        );
        assert_eq!(shop.left_over(), 0, "{what}");
        // And the grove is none the worse for it.
        let fine = self::job(session, &[], vec![], "int x;\n");
        compiles(shop.run(session, fine, Path::new(GCC)), what);
    }
}

#[test]
fn manifests_that_contradict_themselves() {
    let mut session = Session::new();
    let one = session.add_file("/home/u/p/x", b"int a;\n");
    let two = session.add_file("/home/u/p/x", b"int b;\n");
    let below = session.add_file("/home/u/p/x/y.h", b"");
    let to = session.add(link("/home/u/l", "p"));
    let behind = session.add_file("/home/u/l/z.h", b"");
    let out = session.add(link("/home/u/out", "../../../../etc"));
    let nothing = session.add(link("/home/u/nothing", ""));
    let mut small = session.file("/home/u/p/small.h", b"int small;\n", 3);
    if let Content::File { size, .. } = &mut small.content {
        *size = 3;
    }
    let small = session.add(small);
    let text = "int x;\n";
    for (used, what) in [
        (&[one, two][..], "one path twice"),
        (&[one, below], "a file below a file"),
        (&[to, behind], "a file behind a link"),
        (&[out], "a link that leads out"),
        (&[nothing], "a link to nowhere"),
        (&[small], "another size than was said"),
    ] {
        refused(&session, &job(&session, used, vec![], text), what);
    }
    let own = || session.file("/home/u/l/z.h", b"", 1);
    refused(
        &session,
        &job(&session, &[], vec![own(), own()], text),
        "an own path twice",
    );
    let behind = job(&session, &[to], vec![own()], text);
    let result = BundleShop::new(ViewPolicy::Namespace).run(&session, behind, Path::new(GCC));
    assert!(
        matches!(result, Err(JobError::Tree(_))),
        "an own file behind a link: {result:?}"
    );
    let mut output = job(&session, &[one], vec![], "#include \"x\"\n");
    output.argv = ["gcc", "-c", "a.c", "-o", "x"]
        .map(|word| word.as_bytes().to_vec())
        .to_vec();
    refused(&session, &output, "an output in the place of an input");
    let mut beyond = job(&session, &[], vec![], text);
    beyond.manifest.length = 1000;
    for shop in shops() {
        let result = shop.run(&session, beyond.clone(), Path::new(GCC));
        assert!(matches!(result, Err(JobError::Unsuited(_))), "{result:?}");
    }
}

#[test]
fn paths_of_many_components_count_as_many_entries() {
    let few = |settings: &mut distccd_cache::workshop::WorkshopSettings| {
        settings.limits.tree_entries = 500;
    };
    for keep_trees in [true, false] {
        let shop = BundleShop::with(ViewPolicy::Namespace, |settings| {
            few(settings);
            settings.keep_trees = keep_trees;
        });
        let mut session = Session::new();
        let fine = session.add_file("/home/u/p/x.h", b"");
        let deep: Vec<u32> = (0..3)
            .map(|number| {
                let dirs = "/d".repeat(200);
                session.add_file(&format!("/deep{number}{dirs}/x.h"), b"")
            })
            .collect();
        let result = shop.run(
            &session,
            job(&session, &deep, vec![], "int x;\n"),
            Path::new(GCC),
        );
        assert!(
            matches!(&result, Err(error) if error.is_bad_request()),
            "{result:?}"
        );
        let text = "#include \"x.h\"\n";
        compiles(
            shop.run(
                &session,
                job(&session, &[fine], vec![], text),
                Path::new(GCC),
            ),
            "fine",
        );
    }
}

#[test]
fn too_many_mounts_are_refused() {
    let session = Session::new();
    let own = (0..1100).map(|n| session.file(&format!("/usr/share/pumphouse-{n}/x.h"), b"", 1));
    let own: Vec<Entry> = own.collect();
    for shop in shops() {
        let result = shop.run(
            &session,
            job(&session, &[], own.clone(), "int x;\n"),
            Path::new(GCC),
        );
        assert!(matches!(result, Err(JobError::NoView(_))), "{result:?}");
    }
}

#[test]
fn what_is_in_the_place_of_the_servers_system_gets_no_namespace_view() {
    let secret =
        tempfile::NamedTempFile::new_in("/root").or_else(|_| tempfile::NamedTempFile::new());
    let secret = secret.expect("a file");
    std::fs::write(secret.path(), "#define SECRET 1\n").expect("written");
    let dir = secret
        .path()
        .parent()
        .expect("a parent")
        .to_string_lossy()
        .into_owned();
    let name = secret
        .path()
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let session = Session::new();
    let probe = format!("#if __has_include(<{name}>)\n#error a secret file\n#endif\n");
    let file = |at: &str| session.file(at, b"", 1);
    for (own, what) in [
        (link("/usr", "/root"), "a link for /usr"),
        (link("/usr/include", &dir), "a link for a system directory"),
        (link("/usr/local", &dir), "a link above a system directory"),
        (link("/tmp", &dir), "a link for /tmp"),
        (link("/proc", &dir), "a link for /proc"),
        (link("/dev", &dir), "a link for /dev"),
        (link("/etc", &dir), "a link for /etc"),
        (file("/usr"), "a file for /usr"),
        (file("/bin"), "a file for /bin"),
        (file("/bin/x.h"), "a file in a link of the server's"),
        (file("/proc/self/x.h"), "a file in /proc"),
        (file("/dev/null"), "a file for a device"),
        (file("/dev/null/x.h"), "a file in a device"),
        (file("/tmp"), "a file for /tmp"),
        (file("/etc/ld.so.cache"), "a file for a mount point"),
        (file("/usr/include"), "a file for a system directory"),
    ] {
        for in_table in [false, true] {
            for shop in shops() {
                let mut session = Session::new();
                session.blobs.add(b"");
                let job = match in_table {
                    true => {
                        let used = [session.add(own.clone())];
                        job(&session, &used, vec![], &probe)
                    }
                    false => job(&session, &[], vec![own.clone()], &probe),
                };
                // Either nothing of it is done, or it is harmless.
                match shop.run(&session, job, Path::new(GCC)) {
                    Ok(finished) => {
                        let words = words_of(&finished);
                        assert!(!words.contains("secret file"), "{what}: {words}");
                        assert_eq!(finished.outcome, CompileOutcome::Ok, "{what}: {words}");
                    }
                    Err(error) => assert!(
                        matches!(error, JobError::NoView(_)) || error.is_bad_request(),
                        "{what}: {error:?}"
                    ),
                }
            }
        }
    }
}

#[test]
fn system_directories_that_are_none() {
    let session = Session::new();
    for shop in shops() {
        for dir in [
            "/usr/include/../../etc",
            "/usr//include",
            "/usr/include/\0",
            "/usr",
            "/usr/bin",
            "/usr/bin/gcc",
        ] {
            let mut job = job(&session, &[], vec![], "int x;\n");
            job.system_directories.push(dir.as_bytes().to_vec());
            let result = shop.run(&session, job, Path::new(GCC));
            assert!(
                matches!(result, Err(JobError::NoView(_))),
                "{dir:?}: {result:?}"
            );
        }
        for dir in ["", "relative", "/", "/home/u", "/etc", "/nowhere/at/all"] {
            let mut job = job(&session, &[], vec![], "int x;\n");
            job.system_directories.push(dir.as_bytes().to_vec());
            compiles(shop.run(&session, job, Path::new(GCC)), dir);
        }
    }
}

#[test]
fn programs_and_libraries_of_a_client_are_not_run() {
    let Ok(program) = std::fs::read("/bin/true") else {
        return;
    };
    for shop in shops() {
        let session = Session::new();
        let own = vec![
            session.file("/home/u/p/bin/cc1", &program, 1),
            session.file("/home/u/p/evil.so", &program, 1),
        ];
        for option in ["-B/home/u/p/bin/", "-fplugin=/home/u/p/evil.so"] {
            let mut job = job(&session, &[], own.clone(), "int x;\n");
            job.argv.push(option.as_bytes().to_vec());
            let finished = shop.run(&session, job, Path::new(GCC)).expect("a reply");
            // An option that is ignored is as good as one that fails.
            let words = words_of(&finished);
            let failed = words.contains("ermission denied") || words.contains("cannot");
            assert!(
                failed || finished.outcome == CompileOutcome::Ok,
                "{option}: {words}"
            );
        }
    }
}

#[test]
fn without_namespaces_other_headers_are_refused_and_the_same_are_used() {
    let shop = BundleShop::new(ViewPolicy::Rewrite);
    let own =
        std::fs::read("/usr/include/stdint.h").or_else(|_| std::fs::read("/usr/include/stdio.h"));
    let Ok(own) = own else {
        eprintln!("skipped: this machine has no headers");
        return;
    };
    let mut session = Session::new();
    let at = if Path::new("/usr/include/stdint.h").exists() {
        "/usr/include/stdint.h"
    } else {
        "/usr/include/stdio.h"
    };
    let same = session.add_file(at, &own);
    let mut same = vec![same];
    // Both compilers read it before all else, where it is.
    if let Ok(own) = std::fs::read("/usr/include/stdc-predef.h") {
        same.push(session.add_file("/usr/include/stdc-predef.h", &own));
    }
    let other = session.add_file(at, b"int other;\n");
    let absent = session.add_file("/usr/include/not-on-the-server.h", b"");
    for used in [other, absent] {
        let job = job(&session, &[used], vec![], "int x;\n");
        let result = shop.run(&session, job, Path::new(GCC));
        let path = session
            .table
            .entry(used)
            .expect("it is there")
            .path
            .to_string();
        assert!(
            matches!(&result, Err(JobError::Unsuited(why)) if why.contains(&path) && why.contains("differs")),
            "{result:?}"
        );
    }
    let fine = shop.run(
        &session,
        job(&session, &same, vec![], "int x;\n"),
        Path::new(GCC),
    );
    assert_eq!(fine.expect("a reply").view, "rewrite");
    let unnamed = job(&session, &[], vec![], "#include <stddef.h>\n");
    let result = shop.run(&session, unnamed, Path::new(GCC));
    assert!(
        matches!(result, Err(JobError::UnexpectedFile(_))),
        "{result:?}"
    );
}

#[test]
fn a_full_disk_fails_the_job_and_leaves_the_grove_whole() {
    let Some(dir) = std::env::var_os("PUMPHOUSE_TEST_FULL") else {
        return run_on_small_disk();
    };
    let shop = BundleShop::with(ViewPolicy::Auto, |settings| settings.temp_dir = dir.into());
    let described = shop.shop.describe();
    assert!(described.contains("trees kept between jobs"), "{described}");
    let mut session = Session::new();
    let small = session.add_file("/home/u/p/small.h", b"int small;\n");
    let large = session.add_file("/home/u/p/large.h", &[b' '; 1 << 20]);
    let after = session.add_file("/home/u/p/after.h", b"int after;\n");
    let text = "#include \"small.h\"\n#include \"after.h\"\n";
    let full = job(&session, &[small, large, after], vec![], text);
    for _ in 0..2 {
        let result = shop.run(&session, full.clone(), Path::new(GCC));
        assert!(
            matches!(&result, Err(error @ JobError::Tree(_)) if !error.is_bad_request()),
            "{result:?}"
        );
    }
    let fits = job(&session, &[small, after], vec![], text);
    let finished = shop.run(&session, fits, Path::new(GCC)).expect("a reply");
    assert_eq!(
        finished.outcome,
        CompileOutcome::Ok,
        "{}",
        words_of(&finished)
    );
}

/// Runs the test above in namespaces where a small file system can be mounted.
fn run_on_small_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "mount -t tmpfs -o size=512k none \"$PUMPHOUSE_TEST_FULL\" && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-c", script])
        .arg(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "bundle_system::a_full_disk_fails_the_job_and_leaves_the_grove_whole",
        ])
        .env("PUMPHOUSE_TEST_FULL", dir.path())
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn all_system_directories_are_looked_at_as_they_are() {
    // The list of this file is that of the compilers that are installed; otherwise these tests would show little.
    let there = SYSTEM.iter().filter(|dir| Path::new(dir).is_dir()).count();
    assert!(there >= 2, "{SYSTEM:?}");
}

#[test]
fn what_is_hidden_from_a_job_is_not_there() {
    for shop in shops() {
        let mut session = Session::new();
        let used = session.add_file("/home/u/p/used.h", b"#define USED 1\n");
        let hidden = ["/home/u/p/seen.h", "/usr/include/deep/seen.h"];
        let first = session.add_file(hidden[0], b"#define SEEN 1\n");
        let second = session.add_file(hidden[1], b"#define SEEN 2\n");
        // Another job brings both into the tree that is kept.
        let both = "#include \"seen.h\"\n#include \"deep/seen.h\"\n";
        let all = job(&session, &[used, first, second], vec![], both);
        compiles(shop.run(&session, all, Path::new(GCC)), "with both");
        let text = "#include \"used.h\"\n\
            #if __has_include(\"seen.h\") || __has_include(<deep/seen.h>)\n#error it is seen\n#endif\n\
            int f = USED;\n";
        let mut lonely = job(&session, &[used], vec![], text);
        lonely.hidden = hidden.iter().map(|path| path.as_bytes().to_vec()).collect();
        let finished = compiles(shop.run(&session, lonely, Path::new(GCC)), "hidden");
        assert!(finished.side.is_empty(), "{:?}", finished.side);
        // And it is there for the next one.
        let all = job(&session, &[used, first, second], vec![], both);
        compiles(shop.run(&session, all, Path::new(GCC)), "with both again");
    }
}
