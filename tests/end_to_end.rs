//! `pump make` on the fixture project: the whole house at once.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{ours, run, run_ok, scratch, wait_until};

/// Copies the fixture project, so that tests build it in a directory of their own.
fn copy_project(to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/project");
    let project = to.join("project");
    // The README's command may have been run there.
    let is_source = |entry: &walkdir::DirEntry| entry.file_name() != "build";
    for entry in walkdir::WalkDir::new(&from)
        .into_iter()
        .filter_entry(is_source)
    {
        let entry = entry.unwrap();
        let target = project.join(entry.path().strip_prefix(&from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).unwrap();
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
    project
}

/// All objects and dependency files below a directory.
fn products(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let wanted = |path: &Path| path.extension().is_some_and(|e| e == "o" || e == "d");
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && wanted(entry.path()))
        .map(|entry| {
            (
                entry.path().strip_prefix(root).unwrap().to_owned(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// A `pump` command with a home and a temporary directory of the test's own, and no hosts.
fn pump(dir: &Path) -> Command {
    let mut command = Command::new(ours("pump"));
    let home = dir.join("home");
    let temp = dir.join("tmp");
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&temp).unwrap();
    for name in [
        "DISTCC_HOSTS",
        "DISTCC_POTENTIAL_HOSTS",
        "INCLUDE_SERVER_PORT",
        "INCLUDE_SERVER_PID",
        "MAKEFLAGS",
    ] {
        command.env_remove(name);
    }
    command
        .env("HOME", &home)
        .env("DISTCC_DIR", home.join(".distcc"))
        .env("TMPDIR", &temp)
        .stdin(Stdio::null());
    command
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn pump_make_builds_the_fixture_project_as_make_does() {
    let dir = scratch();
    let project = copy_project(dir.path());
    let make = |command: &mut Command, flags: &str| {
        run_ok(
            command
                .arg("-C")
                .arg(&project)
                .args(["-j4", flags])
                .env_remove("MAKEFLAGS"),
        )
    };
    for flags in ["OPTFLAGS=-O2", "OPTFLAGS=-O2 -g"] {
        make(&mut Command::new("make"), flags);
        let local = products(&project);
        assert!(
            local.len() > 60,
            "the fixture project has become small: {} products",
            local.len()
        );
        make(Command::new("make").arg("clean"), flags);
        assert!(products(&project).is_empty());
        let journal = dir.path().join("journal");
        let _ = fs::remove_file(&journal);
        let output = make(
            pump(dir.path())
                .env("PUMPHOUSE_JOURNAL", &journal)
                .arg("make"),
            flags,
        );
        let remote = products(&project);
        assert_eq!(
            remote.keys().collect::<Vec<_>>(),
            local.keys().collect::<Vec<_>>()
        );
        for (path, bytes) in &local {
            assert!(
                remote[path] == *bytes,
                "{} differs with {flags}",
                path.display()
            );
        }
        let summary = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(summary.contains("__________Summary: "), "{summary}");
        let journal = fs::read_to_string(&journal).unwrap();
        let jobs: Vec<Vec<&str>> = journal.lines().map(|l| l.split('\t').collect()).collect();
        let pumped = jobs.iter().filter(|job| job[1] == "pump").count();
        assert!(pumped > 40, "{pumped} in pump mode:\n{journal}");
        for job in jobs.iter().filter(|job| job[1] == "plain") {
            // configure's probes that are meant to fail.
            assert_eq!(job[5], "probe.c", "{journal}");
        }
        for job in jobs.iter().filter(|job| job[1] == "local") {
            assert!(!job[4].is_empty(), "local without a reason:\n{journal}");
        }
        make(Command::new("make").arg("clean"), flags);
    }
    wait_until("the session's files are gone", || {
        is_empty(&dir.path().join("tmp"))
    });
}

#[test]
fn pump_passes_on_the_commands_exit_status() {
    let dir = scratch();
    let status = |script: &str| {
        run(pump(dir.path()).args(["sh", "-c", script]))
            .status
            .code()
    };
    assert_eq!(status("exit 0"), Some(0));
    assert_eq!(status("exit 3"), Some(3));
    assert_eq!(status("kill -9 $$"), Some(137));
    wait_until("the session's files are gone", || {
        is_empty(&dir.path().join("tmp"))
    });
}

#[test]
fn an_include_server_killed_in_mid_build_costs_no_object() {
    let dir = scratch();
    support::write_tree(
        dir.path(),
        &[
            ("a.c", "#include \"h.h\"\nint a = H;\n"),
            ("h.h", "#define H 1\n"),
        ],
    );
    let script = "distcc gcc -c a.c -o one.o && kill -9 $INCLUDE_SERVER_PID && distcc gcc -c a.c -o two.o && cmp one.o two.o";
    let distcc_dir = ours("distcc").parent().unwrap().to_owned();
    let path = format!(
        "{}:{}",
        distcc_dir.display(),
        std::env::var("PATH").unwrap()
    );
    run_ok(
        pump(dir.path())
            .current_dir(dir.path())
            .env("PATH", path)
            .args(["sh", "-c", script]),
    );
}

#[test]
fn startup_and_shutdown_leave_nothing() {
    let dir = scratch();
    let pump_path = ours("pump").display().to_string();
    let script = format!(
        "eval \"$('{pump_path}' --startup)\" && test -S \"$INCLUDE_SERVER_PORT\" && gcc -c a.c -o a.o && test -s a.o; \
         status=$?; '{pump_path}' --shutdown; exit $status"
    );
    support::write_tree(dir.path(), &[("a.c", "int a;\n")]);
    let mut command = Command::new("sh");
    let template = pump(dir.path());
    for (name, value) in template.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    run_ok(
        command
            .current_dir(dir.path())
            .args(["-c", &script])
            .stdin(Stdio::null()),
    );
    wait_until("the session's files are gone", || {
        is_empty(&dir.path().join("tmp"))
    });
}
