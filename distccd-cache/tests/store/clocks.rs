//! Clocks that were elsewhere when blobs were used.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use distccd_cache::store::Digest;

use crate::support::*;

const BLOCK: u64 = 4096;

fn set_used(dir: &Path, digest: &Digest, time: SystemTime) {
    let file = File::open(file_of(dir, digest)).expect("it is there");
    file.set_modified(time).expect("it is ours");
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

#[test]
fn what_was_used_in_the_future_is_evicted_in_its_turn() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let old: Vec<Digest> = (0..300)
        .map(|number| put(&store, &blob(number, 100)))
        .collect();
    for digest in &old {
        set_used(&dir, digest, SystemTime::now() + days(400));
    }
    drop(store);
    // By its totals it was last used in the future, too.
    let store = open(&dir, 400 * BLOCK);
    let mut new = Vec::new();
    for number in 1000..2600 {
        new.push(put(&store, &blob(number, 100)));
    }
    let there = |digests: &[Digest]| {
        digests
            .iter()
            .filter(|digest| store.contains(digest))
            .count()
    };
    assert_eq!(there(&old), 0);
    assert!(
        there(&new) > 300 && there(&new[1500..]) == 100,
        "the last ones are there"
    );
    assert_totals(&store, &dir);
}

#[test]
fn a_use_of_any_time_does_no_harm() {
    let (_temp, dir) = place();
    let far = Duration::from_secs(1 << 33);
    let times = [
        UNIX_EPOCH,
        UNIX_EPOCH - days(20_000),
        UNIX_EPOCH + far,
        SystemTime::now() + days(1),
        SystemTime::now() - days(10_000),
    ];
    for counted_anew in [true, false] {
        let store = open(&dir, LARGE);
        let digests: Vec<Digest> = (0..times.len() as u64)
            .map(|number| put(&store, &blob(number, 100)))
            .collect();
        for (digest, time) in digests.iter().zip(times) {
            set_used(&dir, digest, time);
            assert!(get(&store, digest).is_some());
            set_used(&dir, digest, time);
        }
        drop(store);
        if counted_anew {
            std::fs::remove_file(dir.join("state")).expect("a clean end wrote it");
        }
        let store = open(&dir, LARGE);
        counted(&store);
        let pins = store.pin(digests.clone());
        assert_eq!(pins.missing(), [] as [Digest; 0]);
        for digest in &digests {
            assert!(get(&store, digest).is_some());
            assert_eq!(hours_since_use(&dir, digest), 0);
        }
        assert_totals(&store, &dir);
    }
}
