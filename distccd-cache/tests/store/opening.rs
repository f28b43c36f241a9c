//! Opening: whose directory, which format, how many blobs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use distccd_cache::store::{Store, StoreError};

use crate::support::*;

fn refused(dir: &Path) -> StoreError {
    match Store::open(dir, LARGE) {
        Ok(_) => panic!("the store opens"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(&*dir.to_string_lossy()), "{text}");
            assert!(!text.contains('\n'), "{text}");
            error
        }
    }
}

#[test]
fn blobs_and_totals_outlive_the_process() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digests: Vec<_> = (0..300)
        .map(|number| put(&store, &blob(number, 5000)))
        .collect();
    let before = store.statistics();
    drop(store);
    assert!(dir.join("state").exists());
    let store = open(&dir, LARGE);
    let after = store.statistics();
    assert!(!after.counting, "a clean end needs no count");
    assert_eq!((after.blobs, after.bytes), (before.blobs, before.bytes));
    assert!(!dir.join("state").exists());
    for (number, digest) in digests.iter().enumerate() {
        assert_eq!(get(&store, digest), Some(blob(number as u64, 5000)));
    }
}

#[test]
fn without_totals_the_blobs_are_counted() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    for number in 0..300 {
        put(&store, &blob(number, 5000));
    }
    drop(store);
    for damage in [
        None,
        Some(""),
        Some("pumphouse-store state 1\n00 1 1"),
        Some("\u{1}"),
    ] {
        match damage {
            None => fs::remove_file(dir.join("state")).expect("a clean end wrote it"),
            Some(text) => fs::write(dir.join("state"), text).expect("it is ours"),
        }
        let store = open(&dir, LARGE);
        assert!(
            store.contains(&digest(&blob(7, 5000))),
            "it serves meanwhile"
        );
        put(&store, &blob(1000, 1));
        assert_totals(&store, &dir);
        assert_eq!(store.statistics().blobs, 301);
    }
}

/// Somebody tidied up while no daemon ran: the directories' times tell.
#[test]
fn shards_that_changed_meanwhile_are_counted() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    for number in 0..300 {
        put(&store, &blob(number, 5000));
    }
    drop(store);
    let victims = files(&dir);
    fs::remove_file(&victims[0]).expect("it is ours");
    fs::remove_dir_all(victims[299].parent().expect("a shard")).expect("it is ours");
    let store = open(&dir, LARGE);
    assert_totals(&store, &dir);
    assert!(store.statistics().blobs < 300);
}

#[test]
fn changes_after_close_are_noticed() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    put(&store, b"before");
    store.close();
    let state = fs::read(dir.join("state")).expect("close wrote it");
    put(&store, b"after");
    drop(store);
    fs::write(dir.join("state"), state).expect("it is ours");
    let store = open(&dir, LARGE);
    assert_totals(&store, &dir);
    assert_eq!(store.statistics().blobs, 2);
}

#[test]
fn what_was_under_way_is_removed() {
    let (_temp, dir) = place();
    drop(open(&dir, LARGE));
    fs::write(dir.join("incoming/0"), "half").expect("it is ours");
    fs::create_dir(dir.join("incoming/1")).expect("it is ours");
    fs::write(dir.join("incoming/1/deep"), "half").expect("it is ours");
    drop(open(&dir, LARGE));
    assert_eq!(
        fs::read_dir(dir.join("incoming"))
            .expect("it is there")
            .count(),
        0
    );
    fs::remove_dir(dir.join("incoming")).expect("it is empty");
    fs::write(dir.join("incoming"), "a file").expect("it is ours");
    put(&open(&dir, LARGE), b"blob");
}

#[test]
fn a_second_daemon_is_told_who_has_it() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    match refused(&dir) {
        StoreError::InUse { pid, .. } => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other}"),
    }
    // Whatever is left of the first keeps the store.
    let pins = store.pin([[1; 32]]);
    drop(store);
    assert!(matches!(refused(&dir), StoreError::InUse { .. }));
    drop(pins);
    drop(open(&dir, LARGE));
}

/// A child that was started meanwhile has the lock's file open, too, until its exec.
#[test]
fn a_closed_store_can_be_opened_though_children_start() {
    let (_temp, dir) = place();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // What has something to do before its exec is forked in the plain way.
                use std::os::unix::process::CommandExt;
                let mut child = std::process::Command::new("true");
                // SAFETY: sleeping is all that the child does before its exec.
                unsafe {
                    child.pre_exec(|| {
                        std::thread::sleep(std::time::Duration::from_millis(2));
                        Ok(())
                    });
                }
                assert!(child.status().expect("it starts").success());
            }
        });
        let opened = (0..100).try_for_each(|_| Store::open(&dir, LARGE).map(drop));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        opened.expect("it was closed");
    });
}

#[test]
fn another_format_is_left_alone() {
    let (_temp, dir) = place();
    drop(open(&dir, LARGE));
    for mark in [
        "pumphouse store, format 2\n",
        "",
        "pumphouse store, format 1",
        "\u{1b}[2J\nx",
    ] {
        fs::write(dir.join("pumphouse-store"), mark).expect("it is ours");
        let error = refused(&dir);
        assert!(matches!(error, StoreError::OtherFormat { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    fs::remove_file(dir.join("pumphouse-store")).expect("it is ours");
    fs::create_dir(dir.join("pumphouse-store")).expect("it is ours");
    assert!(matches!(refused(&dir), StoreError::NotAStore { .. }));
}

#[test]
fn other_directories_are_left_alone() {
    let (_temp, dir) = place();
    fs::create_dir(&dir).expect("it is ours");
    fs::write(dir.join("thesis.tex"), "").expect("it is ours");
    let error = refused(&dir);
    assert!(matches!(error, StoreError::NotAStore { .. }));
    assert!(error.to_string().contains("thesis.tex"), "{error}");
    assert_eq!(fs::read_dir(&dir).expect("it is there").count(), 1);
}

#[test]
fn a_start_that_was_killed_is_taken_up() {
    let (_temp, dir) = place();
    fs::create_dir(&dir).expect("it is ours");
    for (name, text) in [("lock", "99999999\n"), ("pumphouse-store.new", "pumph")] {
        fs::write(dir.join(name), text).expect("it is ours");
    }
    fs::create_dir(dir.join("lost+found")).expect("it is ours");
    put(&open(&dir, LARGE), b"blob");
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let (_temp, dir) = place();
    drop(open(&dir, LARGE));
    for mode in [0o777, 0o770, 0o1777] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("it is ours");
        let error = refused(&dir);
        assert!(matches!(error, StoreError::Untrusted { .. }), "{error}");
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("it is ours");
    drop(open(&dir, LARGE));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&dir, Some(65534), None).expect("root may");
        let error = refused(&dir);
        assert!(matches!(error, StoreError::Untrusted { .. }), "{error}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let (temp, _) = place();
    fs::write(temp.path().join("file"), "").expect("it is ours");
    let error = refused(&temp.path().join("file/store"));
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn shards_and_links_that_are_no_directories() {
    let (temp, dir) = place();
    drop(open(&dir, LARGE));
    fs::create_dir(temp.path().join("elsewhere")).expect("it is ours");
    for shard in 0..256 {
        let name = dir.join(format!("blobs/{shard:02x}"));
        if shard % 2 == 0 {
            fs::write(name, "a file").expect("it is ours");
        } else {
            std::os::unix::fs::symlink(temp.path().join("elsewhere"), name).expect("it is ours");
        }
    }
    let store = open(&dir, LARGE);
    let digest = put(&store, b"blob");
    assert_eq!(get(&store, &digest).as_deref(), Some(&b"blob"[..]));
    assert_eq!(
        fs::read_dir(temp.path().join("elsewhere"))
            .expect("it is there")
            .count(),
        0
    );
    drop(store);
    fs::rename(dir.join("blobs"), temp.path().join("moved")).expect("it is ours");
    std::os::unix::fs::symlink(temp.path().join("moved"), dir.join("blobs")).expect("it is ours");
    assert!(matches!(refused(&dir), StoreError::NotAStore { .. }));
}
