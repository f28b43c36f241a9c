//! A full disk: old blobs give way, and where none can, the caller hears of it and the store goes on.

use std::path::Path;
use std::process::Command;

use distccd_cache::store::StoreError;

use crate::support::*;

/// Where this test finds a disk of 1 MB when it runs in its own mount namespace.
const DISK: &str = "STORE_TEST_DISK";

#[test]
fn a_full_disk() {
    if let Some(disk) = std::env::var_os(DISK) {
        on_disk(Path::new(&disk));
        return;
    }
    let (temp, _) = place();
    let allowed = Command::new("unshare").args(["-Urm", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var("REQUIRE_PEERS").as_deref() != Ok("1"),
            "unshare cannot make a mount namespace"
        );
        eprintln!("skipped: unshare cannot make a mount namespace");
        return;
    }
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-c"])
        .arg("mount -t tmpfs -o size=1m,mode=0700 tmpfs \"$0\" && exec \"$@\"")
        .arg(temp.path())
        .arg(std::env::current_exe().expect("it runs"))
        .args(["--exact", "full::a_full_disk", "--nocapture"])
        .env(DISK, temp.path())
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("the disk was full"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn on_disk(disk: &Path) {
    // The mount point itself, as an owner would give it.
    let store = open(disk, LARGE);
    let pins = store.pin((0..100).map(|number| digest(&blob(number, 10_000))));
    let mut taken = Vec::new();
    let error = loop {
        let number = taken.len() as u64;
        let bytes = blob(number, 10_000);
        match store.put(digest(&bytes), &bytes) {
            Ok(()) => taken.push(number),
            Err(error) => break error,
        }
    };
    println!("the disk was full: {error}");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(taken.len() > 20 && taken.len() < 100);
    assert_eq!(
        std::fs::read_dir(disk.join("incoming"))
            .expect("it is there")
            .count(),
        0
    );
    for number in &taken {
        let bytes = blob(*number, 10_000);
        assert_eq!(get(&store, &digest(&bytes)), Some(bytes));
    }
    assert_totals(&store, disk);

    // With nobody who needs the old ones, they give way.
    drop(pins);
    for number in 1000..1200 {
        let bytes = blob(number, 10_000);
        let digest = put(&store, &bytes);
        assert_eq!(get(&store, &digest), Some(bytes));
    }
    assert_totals(&store, disk);
    assert!(store.statistics().evicted > 100);

    // What is larger than the disk cannot come.
    let bytes = blob(1, 2 << 20);
    let error = store.put(digest(&bytes), &bytes).expect_err("too large");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(!store.contains(&digest(&bytes)));
    put(&store, b"but others can");
    assert_totals(&store, disk);
    drop(store);
    let store = open(disk, LARGE);
    assert!(!store.statistics().counting);
    assert_totals(&store, disk);
}
