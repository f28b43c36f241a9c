//! Requests that try to get out of their directory, or that cannot be.

use std::path::Path;

use distccd_cache::job::{CompileOutcome, JobError};
use distccd_cache::tree::TreeError;
use distccd_cache::workshop::{JobLimits, ViewPolicy};
use protocol::request::{Input, Request};
use protocol::tree::{EntryContent, TreeEntry};
use protocol::version::Version;

use crate::support::{TestShop, file, link, path};

const GCC: &str = "/usr/bin/gcc";

fn request(entries: Vec<TreeEntry>, words: &str) -> Request {
    let argv = words.split(' ').map(|w| w.as_bytes().to_vec()).collect();
    Request {
        version: Version::Pump3,
        cwd: Some(b"/home/u".to_vec()),
        argv,
        input: Input::Tree(entries),
    }
}

fn source() -> TreeEntry {
    file(path("/home/u/a.c"), b"int x;\n")
}

/// Runs a request in both views; both must refuse it.
#[track_caller]
fn refused(entries: Vec<TreeEntry>, words: &str, expected: impl Fn(&JobError) -> bool) {
    for view in [ViewPolicy::Namespace, ViewPolicy::Rewrite] {
        let shop = TestShop::new(view);
        match shop.run(request(entries.clone(), words), Path::new(GCC)) {
            Ok(finished) => panic!("{view:?}: accepted, {:?}", finished.outcome),
            Err(error) => {
                assert!(expected(&error), "{view:?}: {error:?}");
                assert!(error.is_bad_request(), "{view:?}: {error:?}");
            }
        }
    }
}

#[test]
fn links_that_lead_out() {
    for target in [
        "../../../etc",
        "../../../../../../../../tmp",
        "../../../../../home/u/a.c/../../../..",
        "",
    ] {
        refused(
            vec![source(), link("/home/u/out", target)],
            "gcc -c a.c",
            |e| matches!(e, JobError::Tree(TreeError::EscapingLink { .. })),
        );
    }
}

#[test]
fn files_written_through_links() {
    let outside = tempfile::tempdir().expect("a directory");
    let target = outside.path().to_string_lossy().into_owned();
    for way in [target.as_str(), "/home/u/real", "real"] {
        let entries = vec![
            source(),
            link("/home/u/out", way),
            file(path("/home/u/out/x.h"), b"x"),
        ];
        refused(entries, "gcc -c a.c", |e| {
            matches!(e, JobError::Tree(TreeError::ThroughLink(_)))
        });
    }
    assert_eq!(
        std::fs::read_dir(outside.path()).expect("listed").count(),
        0
    );
}

#[test]
fn outputs_through_links_stay_inside() {
    let outside = tempfile::tempdir().expect("a directory");
    let target = outside.path().to_string_lossy().into_owned();
    for view in [ViewPolicy::Namespace, ViewPolicy::Rewrite] {
        let shop = TestShop::new(view);
        let entries = vec![source(), link("/home/u/out", &target)];
        let finished = shop
            .run(request(entries, "gcc -c a.c -o out/a.o"), Path::new(GCC))
            .expect("compiled");
        assert_eq!(finished.outcome, CompileOutcome::Ok);
        assert!(!finished.reply.object.is_empty());
        assert_eq!(
            std::fs::read_dir(outside.path()).expect("listed").count(),
            0,
            "{view:?}"
        );
    }
}

#[test]
fn outputs_and_directories_above_the_root() {
    let climbs = |e: &JobError| matches!(e, JobError::Tree(TreeError::ClimbsOut(_)));
    refused(vec![source()], "gcc -c a.c -o ../../../../x.o", climbs);
    refused(
        vec![source(), link("/home/u/up", "/")],
        "gcc -c a.c -o up/../x.o",
        climbs,
    );
    refused(
        vec![source()],
        "gcc -MD -MF ../../../x.d -c a.c -o a.o",
        climbs,
    );
}

#[test]
fn outputs_in_the_place_of_inputs() {
    let inputs = |e: &JobError| matches!(e, JobError::OverwritesInput(_));
    refused(vec![source()], "gcc -c a.c -o a.c", inputs);
    refused(
        vec![source(), link("/home/u/l", "a.c")],
        "gcc -c a.c -o l",
        inputs,
    );
    refused(vec![source()], "gcc -MD -MF ../u/./a.c -c a.c", inputs);
}

#[test]
fn two_things_at_one_path() {
    let conflict = |e: &JobError| matches!(e, JobError::Tree(TreeError::Conflict(_)));
    refused(vec![source(), source()], "gcc -c a.c", conflict);
    refused(
        vec![source(), file(path("/home/u/a.c/b.h"), b"")],
        "gcc -c a.c",
        conflict,
    );
    refused(
        vec![
            file(path("/home/u/d/b.h"), b""),
            file(path("/home/u/d"), b""),
        ],
        "gcc -c a.c",
        conflict,
    );
    refused(
        vec![source(), link("/home/u/a.c", "b.c")],
        "gcc -c a.c",
        conflict,
    );
    refused(
        vec![source(), file(path("/home/u"), b"")],
        "gcc -c a.c",
        conflict,
    );
}

#[test]
fn links_in_circles() {
    let entries = vec![source(), link("/home/u/p", "q"), link("/home/u/q", "p")];
    refused(entries, "gcc -c a.c -o p/a.o", |e| {
        matches!(e, JobError::Tree(TreeError::TooManyLinks(_)))
    });
}

#[test]
fn corrupt_and_oversized_files() {
    let corrupt = TreeEntry {
        path: path("/home/u/a.h"),
        content: EntryContent::File(vec![0xff; 40]),
    };
    refused(vec![source(), corrupt], "gcc -c a.c", |e| {
        matches!(e, JobError::Tree(TreeError::Unpack { .. }))
    });
    let limits = JobLimits {
        tree_bytes: 1000,
        tree_entries: 6,
        ..JobLimits::DEFAULT
    };
    let shop = TestShop::with(ViewPolicy::Rewrite, |settings| settings.limits = limits);
    let big = vec![source(), file(path("/home/u/a.h"), &[b'\n'; 2000])];
    let result = shop.run(request(big, "gcc -c a.c"), Path::new(GCC));
    assert!(
        matches!(result, Err(JobError::Tree(TreeError::Unpack { .. }))),
        "{result:?}"
    );
    let many = vec![source(), file(path("/1/2/3/4/5/6/7.h"), b"")];
    let result = shop.run(request(many, "gcc -c a.c"), Path::new(GCC));
    assert!(
        matches!(result, Err(JobError::Tree(TreeError::TooManyEntries(6)))),
        "{result:?}"
    );
}

#[test]
fn command_lines_that_are_no_compile() {
    let command = |e: &JobError| matches!(e, JobError::Command(_));
    refused(vec![source()], "gcc a.c", command);
    refused(vec![source()], "gcc -E a.c", command);
    refused(vec![source()], "gcc -c", command);
    refused(vec![source()], "gcc -c a.c b.c", command);
    refused(vec![source()], "gcc -c a\0.c", command);
}

#[test]
fn devices_and_kernel_files() {
    // In the place of a device the view needs the server's own; below a temporary root it is a file like any other.
    let entries = vec![source(), file(path("/dev/null"), b"int y;\n")];
    let shop = TestShop::new(ViewPolicy::Namespace);
    let result = shop.run(request(entries.clone(), "gcc -c a.c"), Path::new(GCC));
    assert!(matches!(result, Err(JobError::NoView(_))), "{result:?}");
    let shop = TestShop::new(ViewPolicy::Auto);
    let finished = shop
        .run(request(entries, "gcc -c a.c"), Path::new(GCC))
        .expect("compiled");
    assert_eq!(
        (finished.view, finished.outcome),
        ("rewrite", CompileOutcome::Ok)
    );
    for name in ["/proc/self/environ", "/usr", "/lib", "/etc/alternatives"] {
        let entries = vec![source(), file(path(name), b"int y;\n")];
        let finished = shop
            .run(request(entries, "gcc -c a.c"), Path::new(GCC))
            .expect("compiled");
        assert_eq!(
            (finished.view, finished.outcome),
            ("rewrite", CompileOutcome::Ok),
            "{name}"
        );
    }
    let entries = vec![source(), link("/usr", "/home/u"), link("/proc", "/home/u")];
    let finished = shop
        .run(request(entries, "gcc -c a.c"), Path::new(GCC))
        .expect("compiled");
    assert_eq!(
        (finished.view, finished.outcome),
        ("rewrite", CompileOutcome::Ok)
    );
}

#[test]
fn the_view_shows_no_file_of_the_servers_user() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "int secret;\n").expect("written");
    let shop = TestShop::new(ViewPolicy::Namespace);
    for name in [
        &secret.path().to_string_lossy(),
        "/etc/passwd",
        "/etc/hostname",
        "/proc/1/root/etc/passwd",
    ] {
        let text = format!("#if __has_include(\"{name}\")\n#error seen\n#endif\nint x;\n");
        let entries = vec![file(path("/home/u/a.c"), text.as_bytes())];
        let finished = shop
            .run(request(entries, "gcc -c a.c"), Path::new(GCC))
            .expect("compiled");
        assert_eq!(finished.outcome, CompileOutcome::Ok, "{name}");
    }
}

#[test]
fn a_compiler_obeys_no_specs_or_configuration_of_a_clients() {
    // gcc reads the file from where it thinks that it is installed, clang from beside its own program.
    let version = run("gcc", &["-dumpversion"]);
    let machine = run("gcc", &["-dumpmachine"]);
    let specs = b"*cc1:\n+ -DOBEYED\n";
    let clang = std::fs::canonicalize("/usr/bin/clang-19").ok();
    let clang_dir = clang.as_deref().and_then(Path::parent);
    let beside = clang_dir.map(|dir| format!("{}/clang.cfg", dir.display()));
    let cases = [
        (
            GCC,
            "gcc",
            Some(format!("/usr/lib/gcc/{machine}/{version}/specs")),
        ),
        (
            GCC,
            "/home/u/bin/gcc",
            Some(format!("/home/u/lib/gcc/{machine}/{version}/specs")),
        ),
        ("/usr/bin/clang-19", "clang", beside),
    ];
    for (compiler, name, place) in cases {
        let Some(place) = place else { continue };
        let content: &[u8] = if compiler == GCC {
            specs
        } else {
            b"-DOBEYED\n"
        };
        let entries = vec![
            file(
                path("/home/u/a.c"),
                b"#ifdef OBEYED\n#error obeyed\n#endif\nint x;\n",
            ),
            file(path(&place), content),
        ];
        for view in [ViewPolicy::Auto, ViewPolicy::Rewrite] {
            let shop = TestShop::new(view);
            let words = format!("{name} -c a.c");
            let finished = shop
                .run(request(entries.clone(), &words), Path::new(compiler))
                .expect("a reply");
            let said = String::from_utf8_lossy(&finished.reply.stderr).into_owned();
            assert_eq!(
                finished.outcome,
                CompileOutcome::Ok,
                "{view:?} {name} {place}: {said}"
            );
        }
    }
}

/// What a program prints, in one line.
fn run(program: &str, words: &[&str]) -> String {
    let output = std::process::Command::new(program).args(words).output();
    let output = output.expect("it runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn no_library_of_a_clients_comes_before_the_servers() {
    // The compiler links this one when it starts. A client's would run inside of it.
    for name in ["libmpfr.so.6", "libz.so.1", "libc.so.6"] {
        let machine = run("gcc", &["-print-multiarch"]);
        let entries = vec![
            source(),
            file(
                path(&format!("/usr/lib/{machine}/{name}")),
                b"not a library",
            ),
        ];
        let shop = TestShop::new(ViewPolicy::Auto);
        let finished = shop
            .run(request(entries, "gcc -c a.c"), Path::new(GCC))
            .expect("a reply");
        let said = String::from_utf8_lossy(&finished.reply.stderr).into_owned();
        assert_eq!(finished.outcome, CompileOutcome::Ok, "{name}: {said}");
    }
}
