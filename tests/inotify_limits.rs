//! An include server on a machine that has run out of inotify: every file is checked by `stat`, and nothing else changes.

use std::path::Path;
use std::process::{Command, Output};

/// Scans one source twice in a user namespace where `limit` (of `/proc/sys/user`) is so low. `None`: no such namespace
/// may be made.
fn scan(limit: &str, value: u32, freshness: &str, tree: &Path) -> Option<Output> {
    let program = env!("CARGO_BIN_EXE_include-server");
    let allowed = Command::new("unshare").args(["-Ur", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        assert_ne!(
            std::env::var("REQUIRE_PEERS").as_deref(),
            Ok("1"),
            "unshare cannot make a user namespace"
        );
        eprintln!("skipped: unshare cannot make a user namespace");
        return None;
    }
    let script = format!("echo {value} > /proc/sys/user/{limit} && exec \"$@\"");
    let output = Command::new("unshare")
        .args(["-Ur", "sh", "-c", &script, "sh", program, "scan"])
        .arg(format!("--freshness={freshness}"))
        .args(["--repeat=2", "--compile-commands=commands.json"])
        .current_dir(tree)
        .output()
        .unwrap();
    Some(output)
}

fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let path = tree.path();
    std::fs::write(path.join("a.c"), "#include \"b.h\"\n").unwrap();
    std::fs::write(path.join("b.h"), "\n").unwrap();
    let commands = format!(
        r#"[{{"directory":"{}","file":"a.c","arguments":["gcc","-c","a.c"]}}]"#,
        path.display()
    );
    std::fs::write(path.join("commands.json"), commands).unwrap();
    tree
}

#[track_caller]
fn finds_the_header(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("\"b.h\""),
        "{output:?}"
    );
}

#[test]
fn no_watches_are_left() {
    let tree = tree();
    for freshness in ["auto", "watch"] {
        let Some(output) = scan("max_inotify_watches", 3, freshness, tree.path()) else {
            return;
        };
        finds_the_header(&output);
    }
}

#[test]
fn no_instance_is_left() {
    let tree = tree();
    let Some(output) = scan("max_inotify_instances", 0, "auto", tree.path()) else {
        return;
    };
    finds_the_header(&output);
    // Who demands inotify is told.
    let Some(output) = scan("max_inotify_instances", 0, "watch", tree.path()) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("inotify cannot be had"),
        "{text}"
    );
}
