//! Putting, getting, asking, claiming.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use distccd_cache::store::{Claim, MAX_BLOB, StoreError};

use crate::support::*;

#[test]
fn what_is_put_is_got() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    for size in [0, 1, 4095, 4096, 4097, 1 << 20] {
        let bytes = blob(size as u64, size);
        assert_eq!(get(&store, &digest(&bytes)), None);
        assert!(!store.contains(&digest(&bytes)));
        let digest = put(&store, &bytes);
        assert!(store.contains(&digest));
        assert_eq!(get(&store, &digest).as_deref(), Some(&bytes[..]));
    }
    let statistics = store.statistics();
    assert_eq!((statistics.blobs, statistics.puts), (6, 6));
    assert_eq!(statistics.bytes, (1 + 1 + 1 + 1 + 2 + 256) * 4096);
    assert_eq!(statistics.put_bytes, 1 + 4095 + 4096 + 4097 + (1 << 20));
    assert_totals(&store, &dir);
    assert_eq!(
        fs::read_dir(dir.join("incoming"))
            .expect("it is there")
            .count(),
        0
    );
}

#[test]
fn nobody_else_can_read_it() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digest = put(&store, b"secret");
    let file = file_of(&dir, &digest);
    for path in [
        dir.as_path(),
        &dir.join("blobs"),
        file.parent().expect("a shard"),
        &file,
    ] {
        let mode = fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn a_second_put_writes_nothing() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digest = put(&store, b"twice");
    let before = fs::metadata(file_of(&dir, &digest)).expect("it is there");
    put(&store, b"twice");
    let after = fs::metadata(file_of(&dir, &digest)).expect("it is there");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(before.ino(), after.ino());
    let statistics = store.statistics();
    assert_eq!(
        (statistics.puts, statistics.already_there, statistics.blobs),
        (1, 1, 1)
    );
}

#[test]
fn bytes_must_have_the_digest() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let announced = digest(b"announced");
    let error = store.put(announced, b"sent").expect_err("it is wrong");
    let text = error.to_string();
    assert!(matches!(error, StoreError::WrongDigest { .. }), "{text}");
    assert!(
        text.contains(&blake3::hash(b"announced").to_hex()[..]),
        "{text}"
    );
    assert!(text.contains(&blake3::hash(b"sent").to_hex()[..]), "{text}");
    assert!(!store.contains(&announced) && !store.contains(&digest(b"sent")));
    assert_eq!(walk(&dir), (0, 0));
}

#[test]
fn a_blob_has_an_end() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    // Never touched, so it costs address space only.
    let bytes = vec![0; usize::try_from(MAX_BLOB).expect("64 bits") + 1];
    let error = store.put([0; 32], &bytes).expect_err("too large");
    assert!(matches!(error, StoreError::TooLarge(_)), "{error}");
}

#[test]
fn use_is_written_down_once_an_hour() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digest = put(&store, b"used");
    let old = |hours| used_before(&dir, &digest, hours);
    old(5);
    assert!(store.contains(&digest));
    assert_eq!(hours_since_use(&dir, &digest), 5, "a look is no use");
    assert!(get(&store, &digest).is_some());
    assert_eq!(hours_since_use(&dir, &digest), 0, "a get is");
    old(5);
    put(&store, b"used");
    assert_eq!(hours_since_use(&dir, &digest), 0, "a put is");
    old(5);
    drop(store);
    let store = open(&dir, LARGE);
    let pins = store.pin([digest, [7; 32]]);
    assert_eq!(pins.missing(), [[7; 32]]);
    assert_eq!(hours_since_use(&dir, &digest), 0, "a pin that is asked is");
    // Half an hour is too short to be written down.
    let file = fs::File::open(file_of(&dir, &digest)).expect("it is there");
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(1800);
    file.set_modified(then).expect("it is ours");
    assert!(get(&store, &digest).is_some());
    let now = file
        .metadata()
        .expect("it is open")
        .modified()
        .expect("a time");
    assert_eq!(now, then);
}

#[test]
fn a_claim_sees_what_has_just_come() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digest = digest(b"wanted");
    let Some(Claim::Mine(ticket)) = store.claim(digest) else {
        panic!("nobody else wants it");
    };
    let Some(Claim::Theirs(waiter)) = store.claim(digest) else {
        panic!("it is claimed");
    };
    put(&store, b"wanted");
    ticket.done();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    assert!(runtime.block_on(waiter.wait()));
    assert!(store.claim(digest).is_none());
    assert_eq!(store.claims().under_way(), 0);
    assert_eq!(store.statistics().claims_shared, 1);
}

#[test]
fn directories_that_were_removed_under_the_store_are_made_again() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let first = put(&store, b"first");
    for entry in fs::read_dir(&dir).expect("it is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            fs::remove_dir_all(path).expect("it is ours");
        }
    }
    assert_eq!(get(&store, &first), None);
    let second = put(&store, b"second");
    assert_eq!(get(&store, &second).as_deref(), Some(&b"second"[..]));
    put(&store, b"first");
    assert_eq!(get(&store, &first).as_deref(), Some(&b"first"[..]));
}

/// What was there a moment ago is not looked up again, but whoever reads it finds out.
#[test]
fn a_blob_that_was_removed_by_hand_is_missing_after_the_first_get() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let digest = put(&store, b"blob");
    let pins = store.pin([digest]);
    fs::remove_file(file_of(&dir, &digest)).expect("it is ours");
    assert!(pins.missing().is_empty());
    assert_eq!(get(&store, &digest), None);
    assert_eq!(pins.missing(), [digest]);
    assert!(!store.contains(&digest));
    assert!(store.claim(digest).is_some());
}

#[test]
fn a_store_that_was_removed_says_so() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    fs::remove_dir_all(&dir).expect("it is ours");
    let error = store
        .put(digest(b"late"), b"late")
        .expect_err("nowhere to put it");
    assert!(error.to_string().contains("incoming"), "{error}");
    assert!(get(&store, &digest(b"late")).is_none());
}
