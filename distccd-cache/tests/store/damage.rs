//! What is in a blob's place and is not the blob is found, removed, and not there.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use crate::support::*;

/// Does harm to a blob, and checks that it is gone, can come back, and is counted once.
fn check(harm: impl Fn(&Path)) {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    put(&store, b"another");
    let bytes = blob(1, 10_000);
    let digest = put(&store, &bytes);
    let file = file_of(&dir, &digest);
    harm(&file);
    assert_eq!(get(&store, &digest), None);
    assert!(fs::symlink_metadata(&file).is_err(), "it is removed");
    assert!(!store.contains(&digest));
    assert_eq!(store.statistics().damaged, 1);
    put(&store, &bytes);
    assert_eq!(get(&store, &digest).as_deref(), Some(&bytes[..]));
    drop(store);

    // The same before the store is opened without its totals.
    harm(&file);
    fs::remove_file(dir.join("state")).expect("a clean end wrote it");
    let store = open(&dir, LARGE);
    counted(&store);
    assert_eq!(get(&store, &digest), None);
    assert!(fs::symlink_metadata(&file).is_err(), "it is removed");
    assert_totals(&store, &dir);
    assert_eq!(store.statistics().blobs, 1);
}

fn replace(file: &Path, with: impl FnOnce(&Path)) {
    fs::remove_file(file).expect("it is ours");
    with(file);
}

#[test]
fn a_flipped_bit() {
    check(|file| {
        let mut bytes = fs::read(file).expect("it is ours");
        bytes[5000] ^= 1;
        fs::write(file, bytes).expect("it is ours");
    });
}

#[test]
fn a_torn_end() {
    check(|file| {
        let opened = fs::File::options()
            .write(true)
            .open(file)
            .expect("it is ours");
        opened.set_len(4096).expect("it is ours");
    });
}

#[test]
fn an_empty_file() {
    check(|file| fs::write(file, "").expect("it is ours"));
}

#[test]
fn a_file_that_grew() {
    check(|file| fs::write(file, blob(1, 10_001)).expect("it is ours"));
}

/// One that would fill the memory if its size were believed.
#[test]
fn a_huge_file() {
    check(|file| {
        let opened = fs::File::options()
            .write(true)
            .open(file)
            .expect("it is ours");
        opened.set_len(1 << 40).expect("it has no blocks");
    });
}

#[test]
fn a_directory() {
    check(|file| {
        replace(file, |file| {
            fs::create_dir_all(file.join("with/things")).expect("it is ours");
            fs::write(file.join("with/things/in"), "it").expect("it is ours");
        });
    });
}

#[test]
fn a_fifo() {
    check(|file| {
        replace(file, |file| {
            rustix::fs::mknodat(CWD, file, FileType::Fifo, Mode::RWXU, 0).expect("a fifo");
        });
    });
}

#[test]
fn a_socket() {
    check(|file| {
        replace(file, |file| {
            rustix::fs::mknodat(CWD, file, FileType::Socket, Mode::RWXU, 0).expect("a socket");
        });
    });
}

#[test]
fn a_link_to_the_right_bytes() {
    check(|file| {
        let outside = file
            .parent()
            .and_then(Path::parent)
            .expect("blobs")
            .join("../../right");
        fs::write(&outside, blob(1, 10_000)).expect("it is ours");
        replace(file, |file| {
            std::os::unix::fs::symlink(&outside, file).expect("a link")
        });
    });
}

#[test]
fn a_file_that_cannot_be_opened() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root can open every file");
        return;
    }
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digest = put(&store, b"blob");
    let file = file_of(&dir, &digest);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("it is ours");
    assert_eq!(get(&store, &digest), None);
    assert!(!file.exists());
}

/// A put repairs what is of the wrong size or kind without being told.
#[test]
fn a_put_repairs() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let bytes = blob(1, 10_000);
    let digest = put(&store, &bytes);
    let file = file_of(&dir, &digest);
    fs::write(&file, "short").expect("it is ours");
    put(&store, &bytes);
    assert_eq!(get(&store, &digest).as_deref(), Some(&bytes[..]));
    replace(&file, |file| {
        fs::create_dir_all(file.join("deep")).expect("it is ours")
    });
    put(&store, &bytes);
    assert_eq!(get(&store, &digest).as_deref(), Some(&bytes[..]));
    assert_eq!(
        fs::read_dir(dir.join("incoming"))
            .expect("it is there")
            .count(),
        0
    );
}

/// Things that no blob is named like are not left to fill the disk.
#[test]
fn strangers_in_a_shard() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digest = put(&store, b"blob");
    drop(store);
    let shard = file_of(&dir, &digest).parent().expect("a shard").to_owned();
    fs::write(shard.join("core"), "dumped").expect("it is ours");
    fs::create_dir_all(shard.join("deep/er")).expect("it is ours");
    let store = open(&dir, LARGE);
    assert_totals(&store, &dir);
    assert_eq!(store.statistics().blobs, 1);
    assert!(get(&store, &digest).is_some());
}
