//! The limit is kept, the least recently used blobs go, and what is pinned stays.

use std::collections::HashSet;
use std::fs;

use distccd_cache::store::Digest;

use crate::support::*;

const BLOCK: u64 = 4096;

/// Puts blobs that were last used 1, 2, 3… hours ago, and closes the store in a way that has them counted anew.
fn aged(dir: &std::path::Path, number: u64) -> Vec<Digest> {
    let store = open(dir, LARGE);
    let digests: Vec<_> = (0..number)
        .map(|number| put(&store, &blob(number, 100)))
        .collect();
    for (hours, digest) in (1..).zip(&digests) {
        used_before(dir, digest, hours);
    }
    drop(store);
    fs::remove_file(dir.join("state")).expect("a clean end wrote it");
    digests
}

#[test]
fn the_oldest_go_first() {
    let (_temp, dir) = place();
    let digests = aged(&dir, 200);
    let store = open(&dir, 200 * BLOCK);
    counted(&store);
    for new in 1..=50_u64 {
        put(&store, &blob(1000 + new, 100));
        assert_totals(&store, &dir);
        let statistics = store.statistics();
        assert_eq!(statistics.blobs, 200);
        assert_eq!(
            statistics.evicted, new,
            "few blobs to a shard: one goes for one that comes"
        );
        let there: Vec<bool> = digests
            .iter()
            .map(|digest| store.contains(digest))
            .collect();
        let left = usize::try_from(200 - new).expect("small");
        assert!(
            there[..left].iter().all(|there| *there),
            "those used last are there"
        );
        assert!(
            !there[left..].iter().any(|there| *there),
            "those used first went"
        );
    }
}

/// The store's record of a shard's age is older than its blobs: they were used since.
#[test]
fn what_was_used_since_stays() {
    let (_temp, dir) = place();
    let digests = aged(&dir, 100);
    let store = open(&dir, 100 * BLOCK);
    counted(&store);
    for digest in &digests[50..] {
        assert!(get(&store, digest).is_some());
    }
    for new in 0..50 {
        put(&store, &blob(1000 + new, 100));
    }
    assert!(digests[50..].iter().all(|digest| store.contains(digest)));
    assert!(!digests[..50].iter().any(|digest| store.contains(digest)));
}

#[test]
fn a_store_that_is_opened_with_a_smaller_limit_shrinks() {
    let (_temp, dir) = place();
    let digests = aged(&dir, 200);
    // Once after a count, once with totals that are known.
    for limit in [150, 100] {
        let store = open(&dir, limit * BLOCK);
        shrunk(&store, limit * BLOCK);
        assert_totals(&store, &dir);
        assert_eq!(store.statistics().blobs, limit);
        let kept = usize::try_from(limit).expect("small");
        assert!(digests[..kept].iter().all(|digest| store.contains(digest)));
        drop(store);
    }
}

#[test]
fn many_blobs_stay_below_the_limit() {
    let (_temp, dir) = place();
    let limit = 1500 * BLOCK;
    let store = open(&dir, limit);
    for number in 0..2000 {
        let size = 3000 + 3 * usize::try_from(number).expect("small");
        put(&store, &blob(number, size));
        assert!(store.statistics().bytes <= limit);
    }
    assert_totals(&store, &dir);
    assert!(
        store.statistics().bytes > limit / 2,
        "not more goes than need be"
    );
}

#[test]
fn what_is_pinned_stays() {
    let (_temp, dir) = place();
    let store = open(&dir, 20 * BLOCK);
    let pinned: HashSet<Digest> = (0..10).map(|number| digest(&blob(number, 100))).collect();
    let early = store.pin(pinned.iter().copied().take(5));
    // Before they come, and some of them twice.
    let pins = store.pin(pinned.iter().copied());
    drop(early);
    assert_eq!(pins.missing().len(), 10);
    for number in 0..300 {
        put(&store, &blob(number, 100));
        assert!(store.statistics().bytes <= 20 * BLOCK);
    }
    assert_eq!(pins.missing(), <[Digest; 0]>::default());
    drop(pins);
    for number in 300..400 {
        put(&store, &blob(number, 100));
    }
    assert!(
        !pinned.iter().any(|digest| store.contains(digest)),
        "after the pin they go"
    );
    assert_totals(&store, &dir);
}

#[test]
fn pins_beyond_the_limit_lose_nothing() {
    let (_temp, dir) = place();
    for limit in [0, 20 * BLOCK] {
        let store = open(&dir, limit);
        let digests: Vec<Digest> = (0..100).map(|number| digest(&blob(number, 100))).collect();
        let pins = store.pin(digests.iter().copied());
        for number in 0..100 {
            put(&store, &blob(number, 100));
        }
        assert_eq!(pins.missing(), <[Digest; 0]>::default());
        assert_eq!(store.statistics().bytes, 100 * BLOCK);
        drop(pins);
        put(&store, b"one more");
        assert!(store.statistics().bytes <= limit);
        assert_totals(&store, &dir);
    }
}

#[test]
fn a_limit_of_nothing_keeps_nothing() {
    let (_temp, dir) = place();
    let store = open(&dir, 0);
    for number in 0..50 {
        let digest = put(&store, &blob(number, 100));
        assert_eq!(get(&store, &digest), None);
    }
    assert_eq!(walk(&dir), (0, 0));
    assert_eq!(store.statistics().evicted, 50);
}

/// Totals that are too high (somebody removed blobs while the daemon ran) come right when room is needed.
#[test]
fn listings_correct_the_totals() {
    let (_temp, dir) = place();
    let store = open(&dir, 100 * BLOCK);
    for number in 0..100 {
        put(&store, &blob(number, 100));
    }
    for file in files(&dir) {
        fs::remove_file(file).expect("it is ours");
    }
    assert_eq!(store.statistics().blobs, 100);
    // Files' times have the kernel's ticks: those that come are to be younger than those that went.
    std::thread::sleep(std::time::Duration::from_millis(50));
    for number in 0..100 {
        put(&store, &blob(1000 + number, 100));
    }
    assert_totals(&store, &dir);
    assert_eq!(
        store.statistics().blobs,
        100,
        "nothing that came was evicted"
    );
}
