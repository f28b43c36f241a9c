//! What packages are made of: the scripts for users and administrators, the manuals and completions that are made from the
//! programs' own help, and what `packaging/scripts/install` puts where.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{ours, peer, run, run_ok, scratch, write_tree};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(name)
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A root directory with these programs in `/usr/bin`.
fn root_with(programs: &[&str]) -> tempfile::TempDir {
    let root = scratch();
    for name in programs {
        let file = root.path().join("usr/bin").join(name);
        write_tree(root.path(), &[(&format!("usr/bin/{name}"), "")]);
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

fn script(name: &str, root: &Path) -> Command {
    let mut command = Command::new(packaging("scripts").join(name));
    let own = packaging("scripts");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", own.display());
    command.env("DISTCC_ROOT", root).env("PATH", path);
    command
}

#[test]
fn links_are_made_for_compilers_and_removed_with_them() {
    let compilers = [
        "gcc",
        "g++-12",
        "c99-gcc",
        "x86_64-pc-linux-gnu-gcc",
        "aarch64-linux-gnu-g++-12",
        "clang-19",
        "clang++",
        "cc",
        "nvcc",
    ];
    let others = [
        "gcc-ar",
        "gcc-nm-12",
        "x86_64-linux-gnu-gcc-ranlib",
        "clang-format",
        "clang-format-19",
        "ccache",
        "distcc",
        "icecc",
        "gccgo-12",
        "bzip2",
    ];
    let root = root_with(&[&compilers[..], &others].concat());
    symlink("ccache", root.path().join("usr/bin/i686-gcc")).unwrap();
    let links = root.path().join("usr/lib/distcc");
    run_ok(&mut script("update-distcc-symlinks", root.path()));
    let expected: BTreeSet<String> = compilers.map(str::to_owned).into();
    assert_eq!(names(&links), expected);
    for name in compilers {
        let target = fs::read_link(links.join(name)).unwrap();
        assert_eq!(target, Path::new("../../bin/distcc"));
    }
    // What somebody else put there stays; a compiler that goes takes its link with it; doing it again changes nothing.
    symlink("/opt/other", links.join("armv7-gcc")).unwrap();
    symlink(".", links.join("bin")).unwrap();
    fs::remove_file(root.path().join("usr/bin/g++-12")).unwrap();
    for _ in 0..2 {
        run_ok(&mut script("update-distcc-symlinks", root.path()));
        let mut now = expected.clone();
        now.remove("g++-12");
        now.extend(["armv7-gcc".to_owned(), "bin".to_owned()]);
        assert_eq!(names(&links), now);
    }
    let wrong = run(script("update-distcc-symlinks", root.path()).arg("--bogus"));
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn settings_are_read_and_written() {
    let root = root_with(&["gcc", "g++", "cc", "c++"]);
    let config = |words: &[&str]| {
        let mut command = script("distcc-config", root.path());
        run(command
            .args(words)
            .env("DISTCC_CONFIG_USER", "0")
            .env("CHOST", "x86_64-pc-linux-gnu"))
    };
    let get = |words: &[&str]| stdout(&config(words)).trim_end().to_owned();
    let set = |words: &[&str]| {
        let output = config(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    assert!(get(&["--get-hosts"]).starts_with("(no hosts"));
    set(&["--set-hosts", "a/4,cpp,lzo localhost/2 --localslots_cpp=8"]);
    assert_eq!(
        get(&["--get-hosts"]),
        "a/4,cpp,lzo localhost/2 --localslots_cpp=8"
    );
    let file = root.path().join("etc/distcc/hosts");
    assert_eq!(
        fs::read_to_string(file).unwrap(),
        "a/4,cpp,lzo localhost/2 --localslots_cpp=8\n"
    );
    assert_eq!(get(&["--get-verbose"]), "0");
    set(&["--set-verbose", "1"]);
    assert_eq!(get(&["--get-verbose"]), "1");
    set(&["--set-log", "/var/log/distcc.log"]);
    assert_eq!(get(&["--get-log"]), "/var/log/distcc.log");
    set(&["--set-env", "DISTCC_SSH", "ssh -p 22"]);
    set(&["--set-env", "DISTCC_SSH", "ssh -p 23"]);
    assert_eq!(get(&["--get-env", "DISTCC_SSH"]), "ssh -p 23");
    let env = fs::read_to_string(root.path().join("etc/env.d/02distcc")).unwrap();
    assert_eq!(
        env,
        "DISTCC_VERBOSE=\"1\"\nDISTCC_LOG=\"/var/log/distcc.log\"\nDISTCC_SSH=\"ssh -p 23\"\n"
    );
    set(&["--update-masquerade"]);
    let links = root.path().join("usr/lib/distcc");
    assert_eq!(names(&links).len(), 4);
    set(&["--update-masquerade-with-crossdev"]);
    let wrapper = fs::read_to_string(links.join("c++")).unwrap();
    assert!(
        wrapper.contains("/usr/lib/distcc/x86_64-pc-linux-gnu-g++ "),
        "{wrapper}"
    );
    assert!(
        links
            .join("x86_64-pc-linux-gnu-gcc")
            .symlink_metadata()
            .is_ok()
    );
    assert_eq!(stdout(&config(&["--help"])).matches("\n    --").count(), 11);
    // Nothing that a shell would make something else of gets into the file.
    for bad in [
        &["--set-env", "PATH", "/x"][..],
        &["--set-env", "DISTCC_X", "$(rm -rf /)"],
        &["--set-env", "DISTCC_X;", "1"],
        &["--set-env", "DISTCC_X", "a\nb"],
        &["--set-verbose", "2"],
        &["--set-hosts"],
        &["--bogus"],
        &[],
    ] {
        assert_eq!(config(bad).status.code(), Some(1), "{bad:?}");
    }
    // A user's own settings are in the user's own directory.
    let mut own = script("distcc-config", root.path());
    own.args(["--set-hosts", "b"])
        .env("DISTCC_CONFIG_USER", "1000")
        .env_remove("DISTCC_DIR");
    run_ok(own.env("HOME", root.path()));
    assert_eq!(
        fs::read_to_string(root.path().join(".distcc/hosts")).unwrap(),
        "b\n"
    );
}

/// The long options, and short ones of `lsdistcc`, that a program's help names at the beginning of a line.
fn options_of(help: &str) -> BTreeSet<String> {
    let lines = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| {
        let term = line.split("  ").next().unwrap_or(line);
        term.split([' ', ',', '='])
            .filter(|word| word.starts_with('-'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    words
        .filter(|word| word.len() > 2 && word.starts_with("--"))
        .collect()
}

#[test]
fn manuals_and_completions_have_every_option() {
    let out = scratch();
    let programs = ours("distcc").parent().unwrap().to_owned();
    run_ok(
        Command::new(packaging("scripts/manuals"))
            .arg(&programs)
            .arg(out.path()),
    );
    let pages = [
        "distcc.1",
        "distccd.1",
        "pump.1",
        "include_server.1",
        "lsdistcc.1",
        "distccmon-text.1",
        "update-distcc-symlinks.8",
        "distcc-config.1",
    ];
    assert_eq!(
        names(&out.path().join("man")),
        pages.map(str::to_owned).into()
    );
    for page in pages {
        let name = page.rsplit_once('.').unwrap().0;
        let program = match name {
            "include_server" => programs.join("include-server"),
            "distcc-config" | "update-distcc-symlinks" => packaging("scripts").join(name),
            _ => programs.join(name),
        };
        let help = run(Command::new(program).arg("--help"));
        let help = stdout(&help) + &String::from_utf8_lossy(&help.stderr);
        let manual = fs::read_to_string(out.path().join("man").join(page))
            .unwrap()
            .replace("\\-", "-");
        let bash = fs::read_to_string(out.path().join("bash").join(name)).unwrap();
        let zsh = fs::read_to_string(out.path().join(format!("zsh/_{name}"))).unwrap();
        let fish = fs::read_to_string(out.path().join(format!("fish/{name}.fish"))).unwrap();
        for option in options_of(&help) {
            let bare = option.trim_start_matches('-');
            assert!(manual.contains(&option), "{page} lacks {option}");
            assert!(
                bash.contains(&option) && zsh.contains(&option),
                "{name}: {option}"
            );
            assert!(
                fish.contains(&format!(" -l {bare} ")),
                "{name}: {option}\n{fish}"
            );
        }
        assert!(manual.contains("\n.SH SYNOPSIS\n"), "{page}");
    }
    // Their readers understand them.
    for (reader, words, folder) in [
        ("/usr/bin/mandoc", &["-T", "lint", "-W", "error"][..], "man"),
        ("/usr/bin/bash", &["-n"], "bash"),
        ("/usr/bin/zsh", &["-n"], "zsh"),
        ("/usr/bin/fish", &["--no-execute"], "fish"),
    ] {
        let Some(reader) = peer(reader) else { continue };
        for file in names(&out.path().join(folder)) {
            run_ok(
                Command::new(&reader)
                    .args(words)
                    .arg(out.path().join(folder).join(file)),
            );
        }
    }
    // And a completion completes.
    let mut ask = Command::new("bash");
    ask.arg("-c").arg(
        "source \"$0\"; COMP_WORDS=(distccd --same-compiler e); COMP_CWORD=2; _distccd; echo \"${COMPREPLY[@]}\"; \
         COMP_WORDS=(distccd --no-d); COMP_CWORD=1; _distccd; echo \"${COMPREPLY[@]}\"",
    );
    let said = run_ok(ask.arg(out.path().join("bash/distccd")));
    assert_eq!(stdout(&said), "exact\n--no-detach\n");
}

#[test]
fn each_layout_has_what_its_users_look_for() {
    let common = [
        "usr/bin/distcc",
        "usr/bin/distccd",
        "usr/bin/pump",
        "usr/bin/distcc-pump",
        "usr/bin/include_server",
        "usr/bin/lsdistcc",
        "usr/bin/distccmon-text",
        "usr/bin/distcc-config",
        "usr/lib/distcc/bin",
        "usr/share/man/man1/distcc.1",
        "etc/logrotate.d/distcc",
    ];
    let layouts: [(&str, &[&str]); 3] = [
        (
            "gentoo",
            &[
                "etc/init.d/distccd",
                "etc/conf.d/distccd",
                "etc/env.d/02distcc",
                "usr/share/shadowman/tools/distcc",
                "etc/systemd/system/distccd.service.d/00gentoo.conf",
                "usr/lib/systemd/system/distccd.service",
                "usr/lib/sysusers.d/distccd.conf",
                "usr/lib/tmpfiles.d/distccd.conf",
                "usr/share/distcc/pump.bashrc",
                "usr/sbin/update-distcc-symlinks",
                "etc/xinetd.d/distcc",
            ],
        ),
        (
            "arch",
            &[
                "etc/conf.d/distccd",
                "usr/lib/systemd/system/distccd.service",
                "usr/bin/update-distcc-symlinks",
            ],
        ),
        (
            "debian",
            &[
                "etc/init.d/distcc",
                "lib/systemd/system/distcc.service",
                "usr/libexec/distcc/start-distccd",
            ],
        ),
    ];
    for (layout, own) in layouts {
        let root = scratch();
        let mut install = Command::new(packaging("scripts/install"));
        run_ok(
            install
                .arg(layout)
                .arg(root.path())
                .arg(ours("distcc").parent().unwrap()),
        );
        for file in common.iter().chain(own) {
            assert!(root.path().join(file).exists(), "{layout} lacks {file}");
        }
    }
    for file in [
        "gentoo/pumphouse-0.1.0.ebuild",
        "arch/PKGBUILD",
        "arch/pumphouse.install",
        "openrc/distccd.init",
        "openrc/distccd.confd",
        "portage/pump.bashrc",
        "debian/start-distccd",
        "debian/distcc.init",
        "debian/pumphouse.postinst",
        "debian/pumphouse.prerm",
        "debian/pumphouse.postrm",
        "etc/distcc.default",
    ] {
        run_ok(Command::new("bash").arg("-n").arg(packaging(file)));
    }
}

/// The unit's command line, as a shell makes it of each distribution's settings.
#[test]
fn the_unit_heeds_every_distributions_settings() {
    let unit = fs::read_to_string(packaging("systemd/distccd.service")).unwrap();
    let start = unit
        .split("ExecStart=/bin/sh -c '")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    let start = start
        .replace("\\\n", " ")
        .replace("$$", "$")
        .replace("exec /usr/bin/distccd", "echo");
    let line = |name: &str, value: &str| {
        let mut shell = Command::new("/bin/sh");
        shell
            .arg("-c")
            .arg(&start)
            .env_clear()
            .env("DISTCCD_OPTS", "")
            .env("DISTCC_ARGS", "")
            .env("ALLOWED_SERVERS", "");
        let words = stdout(&run_ok(shell.env(name, value)));
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let base = "--daemon --no-detach --log-stderr --cache-dir /var/cache/distcc";
    assert_eq!(line("DISTCCD_OPTS", ""), base);
    assert_eq!(line("DISTCCD_OPTS", "--jobs 3"), format!("{base} --jobs 3"));
    assert_eq!(
        line("DISTCC_ARGS", "--allow-private"),
        format!("{base} --allow-private")
    );
    assert_eq!(
        line("ALLOWED_SERVERS", "10.0.0.0/8"),
        format!("{base} --allow 10.0.0.0/8")
    );
}
