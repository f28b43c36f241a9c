//! The Debian package: built by `packaging/debian/build`, installed over stock's in a small Debian of its own, used, and purged.
//!
//! Needs root, for the Debian (debootstrap, once) and for the namespaces in which it becomes the root directory.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{ours, peer, run_ok, scratch};

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs `inside.sh` with a package or without, and returns what it said and the names of all files that were left.
fn inside(root: &str, package: Option<&Path>) -> (String, BTreeSet<String>) {
    let work = scratch();
    fs::create_dir(work.path().join("mnt")).unwrap();
    let project = work.path().join("project");
    run_ok(
        Command::new("cp")
            .arg("-r")
            .arg(here("fixtures/project"))
            .arg(&project),
    );
    let _ = fs::remove_dir_all(project.join("build"));
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
        .arg(here("tests/debian_package/inside.sh"))
        .arg(root)
        .arg(work.path())
        .arg(&project)
        .args(package);
    let output = run_ok(&mut command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let left = fs::read_to_string(work.path().join("left")).unwrap();
    (said, left.lines().map(str::to_owned).collect())
}

/// The number before some words.
fn number_before(text: &str, words: &str) -> usize {
    let before = text.split(words).next().unwrap();
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number before {words:?} in {text}"))
}

#[test]
fn it_replaces_stocks_and_leaves_nothing() {
    let tools = [
        "/usr/sbin/debootstrap",
        "/usr/bin/dh",
        "/usr/sbin/pivot_root",
    ];
    if tools.into_iter().any(|tool| peer(tool).is_none()) {
        return;
    }
    if !rustix::process::getuid().is_root() {
        assert!(
            std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
            "needs root"
        );
        eprintln!("skipped: only root can make a Debian of its own");
        return;
    }
    let root = run_ok(&mut Command::new(here("scripts/debian-root.sh"))).stdout;
    let root = String::from_utf8(root).unwrap();
    let root = root.trim();
    let out = scratch();
    let mut build = Command::new(here("packaging/debian/build"));
    build
        .arg(out.path())
        .env("PROGRAMS", ours("distcc").parent().unwrap());
    run_ok(&mut build);
    let package = fs::read_dir(out.path())
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();

    let (said, left) = inside(root, Some(&package));
    assert!(
        said.contains("== stock's packages: distcc:config-files distcc-pump:"),
        "{said}"
    );
    assert!(
        said.contains("allowed compilers: bin c++ ") && said.contains(" x86_64-linux-gnu-gcc-12 "),
        "{said}"
    );
    let by_hand = said
        .split("== by hand")
        .nth(1)
        .unwrap()
        .split("==")
        .next()
        .unwrap();
    assert!(number_before(by_hand, " in pump mode") > 60, "{said}");
    assert!(said.contains("STARTDISTCC is not \"true\""), "{said}");
    let log = said.split("== the service's log: ").nth(1).unwrap();
    assert!(number_before(log, " jobs") > 50, "{said}");
    let (_, expected) = inside(root, None);
    let differ: Vec<_> = left.symmetric_difference(&expected).collect();
    assert!(differ.is_empty(), "{differ:?}");
    assert!(
        !left
            .iter()
            .any(|name| name.contains("distcc") || name.contains("pumphouse")),
        "{left:?}"
    );
}
