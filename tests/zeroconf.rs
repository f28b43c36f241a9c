//! `--zeroconf` and `+zeroconf` on a network of the test's own, with Avahi, and with stock's server and client beside ours.

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use support::{ours, peer, run, run_ok, scratch, stock_installed};

/// Whether namespaces with interfaces of their own can be made here.
fn can_have_a_network() -> bool {
    let script = "ip link add v0 type veth peer name v1 && mount -t tmpfs none /run";
    let mut command = in_namespaces();
    let output = run(command.args(["sh", "-c", script]));
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            std::env::var_os("REQUIRE_PEERS").is_none_or(|value| value != "1"),
            "REQUIRE_PEERS=1, and no network of its own: {why}"
        );
        eprintln!("skipped: no network of its own: {why}");
    }
    output.status.success()
}

fn in_namespaces() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.arg("--mount-proc");
    command
}

/// The sections of what the script printed.
fn sections(text: &str) -> BTreeMap<&str, &str> {
    let parts = text.split("== ").skip(1);
    parts.map(|part| part.split_once('\n').unwrap()).collect()
}

#[test]
fn servers_are_found_on_the_local_network() {
    let avahi = [
        "/usr/sbin/avahi-daemon",
        "/usr/bin/python3",
        "/usr/bin/avahi-browse",
        "/usr/bin/dbus-daemon",
    ];
    let installed = avahi.into_iter().all(|path| peer(path).is_some());
    if !installed || !stock_installed() || !can_have_a_network() {
        return;
    }
    let dir = scratch();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zeroconf/inside.sh");
    let mut command = in_namespaces();
    command
        .arg(script)
        .arg(ours("distcc").parent().unwrap())
        .arg(dir.path())
        .env_remove("DISTCC_DIR");
    let output = run_ok(&mut command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = sections(&text);
    let lines = |section: &str| -> Vec<&str> { said[section].lines().collect() };

    // Avahi sees what our server says of itself, and nothing of one that only its own machine can reach.
    let ours: Vec<&str> = lines("avahi")
        .into_iter()
        .filter(|line| line.contains(";4001;"))
        .collect();
    assert_eq!(ours.len(), 1, "where it listens only: {text}");
    for word in [
        "IPv4",
        ";10.9.8.7;",
        "jobs=6",
        "features=lzo,cpp",
        "cc_machine=",
        "cc_version=",
    ] {
        assert!(ours[0].contains(word), "{word}: {}", ours[0]);
    }
    assert!(!said["avahi"].contains(";4003;"), "{text}");

    assert_eq!(lines("pipe"), ["the pipe is closed"], "{text}");
    // Ours with pump mode, stock's without, nobody with another compiler; numbers within limits.
    let found = [
        "10.9.8.7:4001/6,cpp,lzo",
        "10.9.8.7:4005/3",
        "10.9.8.7:4006/1024,cpp,lzo",
        "[fd00::7]:4002/5,cpp,lzo",
    ];
    assert_eq!(lines("ours"), found, "{text}");
    // Stock's client finds ours by the subtype of its compiler.
    assert!(lines("stock").contains(&"10.9.8.7:4001/6"), "{text}");
    assert_eq!(lines("pump"), ["pump\t10.9.8.7:4001"], "{text}");
    assert_eq!(lines("farewell"), found[1..], "{text}");
    assert_eq!(lines("again"), ["announced again"], "{text}");
    assert_eq!(lines("strangers"), ["the list is one"], "{text}");
    assert!(said.contains_key("end"), "{text}");
}
