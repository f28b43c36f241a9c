//! Sources that change while the include server lives: stock's gives a silently wrong object in 15 of these 18
//! scenarios (facts/distcc-baseline.md 4f), which is why Gentoo dropped pump mode (bug 702146). Here the second
//! compile must always be what the local compiler makes of the tree as it is by then.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use support::{Client, Daemon, IncludeServer, Maker, run, scratch, write_tree};

/// One pump session over a tree of its own.
struct Session {
    dir: tempfile::TempDir,
    client: Client,
    _include_server: IncludeServer,
    _daemon: Daemon,
}

impl Session {
    fn start(files: &[(&str, &str)]) -> Self {
        Self::start_with(files, &[])
    }

    /// Starts it with more options for the include server.
    fn start_with(files: &[(&str, &str)], options: &[&str]) -> Self {
        let dir = scratch();
        write_tree(dir.path(), files);
        let daemon = Daemon::start(Maker::Ours, dir.path(), &[]);
        let include_server = IncludeServer::start_with(dir.path(), options);
        let client = Client::new(
            Maker::Ours,
            dir.path(),
            &format!("127.0.0.1:{}/4,cpp,lzo", daemon.port),
        )
        .with_include_server(&include_server.socket);
        Self {
            dir,
            client,
            _include_server: include_server,
            _daemon: daemon,
        }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) {
        write_tree(self.root(), &[(name, text)]);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.root().join(name)).unwrap();
    }

    /// Compiles `args` here and through pump; both must agree about success and about every byte.
    fn check(&self, args: &str) {
        self.check_in(self.root(), args);
    }

    /// The same in another directory.
    fn check_in(&self, cwd: &Path, args: &str) {
        let words: Vec<&str> = args.split_whitespace().collect();
        let object = cwd.join("out.o");
        let build = |command: &mut Command| {
            let _ = fs::remove_file(&object);
            let output = run(command.args(["-o", "out.o"]));
            (
                output.status.success(),
                fs::read(&object).ok(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        let local = build(Command::new(words[0]).args(&words[1..]).current_dir(cwd));
        let remote = build(&mut self.client.command(cwd, &words));
        assert_eq!(
            remote.0, local.0,
            "local: {}\nremote: {}",
            local.2, remote.2
        );
        assert!(remote.1 == local.1, "the objects differ\n{}", remote.2);
    }

    /// Checks, changes the tree, and checks again.
    fn around(&self, args: &str, change: impl FnOnce(&Self)) {
        self.check(args);
        change(self);
        self.check(args);
    }
}

const PLAIN: &str = "gcc -O1 -Ia -Ib -c t.c";

#[test]
fn s01_header_edited() {
    let s = Session::start(&[
        ("t.c", "#include \"h.h\"\nint x = H;\n"),
        ("h.h", "#define H 1\n"),
    ]);
    s.around(PLAIN, |s| s.write("h.h", "#define H 23456\n"));
}

#[test]
fn s02_header_edited_at_once_with_the_same_size() {
    let s = Session::start(&[
        ("t.c", "#include \"h.h\"\nint x = H;\n"),
        ("h.h", "#define H 1\n"),
    ]);
    for digit in ["2", "3", "4", "5"] {
        s.around(PLAIN, |s| s.write("h.h", &format!("#define H {digit}\n")));
    }
}

#[test]
fn s03_header_edited_with_the_same_size_and_time() {
    let s = Session::start(&[
        ("t.c", "#include \"h.h\"\nint x = H;\n"),
        ("h.h", "#define H 1\n"),
    ]);
    s.around(PLAIN, |s| {
        let path = s.root().join("h.h");
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "#define H 7\n").unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    });
}

#[test]
fn s04_source_rewritten_under_one_name() {
    let s = Session::start(&[("t.c", "int probe0;\n")]);
    for i in 1..9 {
        s.around(PLAIN, |s| s.write("t.c", &format!("int probe{i};\n")));
    }
}

#[test]
fn s05_probes_of_which_some_fail() {
    let s = Session::start(&[("t.c", "int a;\n")]);
    s.around(PLAIN, |s| {
        s.write("t.c", "#include <no_such_header_anywhere.h>\n")
    });
    s.around(PLAIN, |s| s.write("t.c", "int b = ;\n"));
    s.around(PLAIN, |s| s.write("t.c", "int c;\n"));
}

#[test]
fn s06_header_appears_earlier_on_the_path() {
    let s = Session::start(&[
        ("t.c", "#include <h.h>\nint x = H;\n"),
        ("b/h.h", "#define H 1\n"),
        ("a/other.h", ""),
    ]);
    s.around(PLAIN, |s| s.write("a/h.h", "#define H 2\n"));
}

#[test]
fn s07_missing_header_appears() {
    let s = Session::start(&[("t.c", "#include <h.h>\nint x = H;\n")]);
    s.around(PLAIN, |s| s.write("a/h.h", "#define H 2\n"));
}

#[test]
fn s08_header_replaced_by_a_link() {
    let s = Session::start(&[
        ("t.c", "#include \"h.h\"\nint x = H;\n"),
        ("h.h", "#define H 1\n"),
        ("other.h", "#define H 2\n"),
    ]);
    s.around(PLAIN, |s| {
        s.remove("h.h");
        symlink("other.h", s.root().join("h.h")).unwrap();
    });
}

#[test]
fn s09_directory_link_retargeted() {
    let s = Session::start(&[
        ("t.c", "#include \"asm/h.h\"\nint x = H;\n"),
        ("asm-arm/h.h", "#define H 1\n"),
        ("asm-x86/h.h", "#define H 2\n"),
    ]);
    symlink("asm-arm", s.root().join("asm")).unwrap();
    s.around(PLAIN, |s| {
        s.remove("asm");
        symlink("asm-x86", s.root().join("asm")).unwrap();
    });
}

#[test]
fn s10_header_removed() {
    let s = Session::start(&[
        ("t.c", "#include <h.h>\nint x = H;\n"),
        ("a/h.h", "#define H 1\n"),
        ("b/h.h", "#define H 2\n"),
    ]);
    s.around(PLAIN, |s| s.remove("a/h.h"));
    s.around(PLAIN, |s| s.remove("b/h.h"));
}

#[test]
fn s11_directory_removed_and_recreated() {
    let s = Session::start(&[
        ("t.c", "#include <h.h>\nint x = H;\n"),
        ("a/h.h", "#define H 1\n"),
    ]);
    s.around(PLAIN, |s| fs::remove_dir_all(s.root().join("a")).unwrap());
    s.around(PLAIN, |s| s.write("a/h.h", "#define H 3\n"));
}

#[test]
fn s12_rename_over_a_header() {
    let s = Session::start(&[
        ("t.c", "#include \"config.h\"\nint x = H;\n"),
        ("config.h", "#define H 1\n"),
    ]);
    s.around(PLAIN, |s| {
        s.write("config.h.new", "#define H 2\n");
        fs::rename(s.root().join("config.h.new"), s.root().join("config.h")).unwrap();
    });
}

#[test]
fn s13_header_gains_an_include() {
    let s = Session::start(&[
        ("t.c", "#include \"h.h\"\nint x = H;\n"),
        ("h.h", "#define H 1\n"),
        ("g.h", "#define H 9\n"),
    ]);
    s.around(PLAIN, |s| s.write("h.h", "#include \"g.h\"\n"));
}

#[test]
fn s14_directory_moved_over_another() {
    let s = Session::start(&[
        ("t.c", "#include <h.h>\nint x = H;\n"),
        ("a/h.h", "#define H 1\n"),
        ("new/h.h", "#define H 2\n"),
    ]);
    s.around(PLAIN, |s| {
        fs::rename(s.root().join("a"), s.root().join("old")).unwrap();
        fs::rename(s.root().join("new"), s.root().join("a")).unwrap();
    });
}

#[test]
fn s15_computed_include_changes() {
    let s = Session::start(&[
        ("t.c", "#include \"which.h\"\n#include WHICH\nint x = H;\n"),
        ("which.h", "#define WHICH \"one.h\"\n"),
        ("one.h", "#define H 1\n"),
        ("two.h", "#define H 2\n"),
    ]);
    s.around(PLAIN, |s| s.write("which.h", "#define WHICH \"two.h\"\n"));
}

#[test]
fn s16_has_include_becomes_true() {
    let s = Session::start(&[(
        "t.c",
        "#if __has_include(\"maybe.h\")\nint yes;\n#else\nint no;\n#endif\n",
    )]);
    s.around(PLAIN, |s| s.write("maybe.h", "#error never read\n"));
}

#[test]
fn s17_dangling_link_becomes_valid() {
    let s = Session::start(&[
        ("t.c", "#include <h.h>\nint x = H;\n"),
        ("b/h.h", "#define H 1\n"),
        ("a/other.h", ""),
    ]);
    symlink("target.h", s.root().join("a/h.h")).unwrap();
    s.around(PLAIN, |s| s.write("a/target.h", "#define H 2\n"));
}

#[test]
fn s18_system_directory_header_changes() {
    let s = Session::start(&[
        ("t.c", "#include <h.h>\nint x = H;\n"),
        ("sys/h.h", "#define H 1\n"),
    ]);
    s.around("gcc -O1 -isystem sys -c t.c", |s| {
        s.write("sys/h.h", "#define H 2\n")
    });
}

#[test]
fn directories_change_places() {
    for freshness in ["stat", "watch"] {
        let files = [("one/sub/a.c", "int a1;\n"), ("two/sub/a.c", "int a2;\n")];
        let session = Session::start_with(&files, &["--freshness", freshness]);
        let (one, two) = (session.root().join("one"), session.root().join("two"));
        // Twice: the second answer is remembered, and its directories are kept open.
        for _ in 0..2 {
            std::thread::sleep(std::time::Duration::from_millis(50));
            session.check_in(&one.join("sub"), "gcc -c a.c");
        }
        let aside = session.root().join("aside");
        fs::rename(&one, &aside).unwrap();
        fs::rename(&two, &one).unwrap();
        fs::rename(&aside, &two).unwrap();
        session.check_in(&one.join("sub"), "gcc -c a.c");
        session.check_in(&two.join("sub"), "gcc -c a.c");
    }
}
