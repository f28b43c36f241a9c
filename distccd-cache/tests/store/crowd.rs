//! Many threads at once, with a limit that keeps them evicting each other's blobs.

use std::sync::atomic::{AtomicU64, Ordering};

use distccd_cache::store::{Claim, Store};

use crate::support::*;

/// Numbers that look random, the same at each run of a thread.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number * 37 % 9000).expect("small")
}

#[test]
fn whatever_is_got_is_right() {
    let (_temp, dir) = place();
    let limit = 100 * 4096;
    let store = open(&dir, limit);
    let got = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, got) = (&store, &got);
            scope.spawn(move || {
                let mut dice = Dice(thread);
                for _ in 0..1500 {
                    let number = dice.roll(300);
                    let bytes = blob(number, size(number));
                    match dice.roll(3) {
                        0 => {
                            put(store, &bytes);
                        }
                        1 => {
                            if let Some(found) = get(store, &digest(&bytes)) {
                                assert_eq!(found, bytes);
                                got.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        _ => {
                            let digest = digest(&bytes);
                            let pins = store.pin([digest]);
                            put(store, &bytes);
                            assert!(pins.missing().is_empty());
                            assert_eq!(get(store, &digest), Some(bytes), "pinned, so it is there");
                        }
                    }
                }
            });
        }
    });
    put(&store, b"with nobody else evicting");
    let statistics = store.statistics();
    assert!(statistics.bytes <= limit);
    assert!(statistics.evicted > 100 && got.load(Ordering::Relaxed) > 100);
    assert_eq!(statistics.damaged, 0);
    assert_totals(&store, &dir);
}

/// A blob that many put at once is one blob.
#[test]
fn the_same_blob_from_everybody_is_written_once() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..200 {
                    put(store, &blob(number, 20_000));
                }
            });
        }
    });
    let statistics = store.statistics();
    assert_eq!((statistics.puts, statistics.already_there), (200, 1400));
    assert_totals(&store, &dir);
}

/// A damaged blob that is got by some and put by others ends up whole, and counted once.
#[test]
fn damage_and_repair_at_once() {
    let (_temp, dir) = place();
    let store = open(&dir, LARGE);
    let bytes = blob(1, 10_000);
    let digest = put(&store, &bytes);
    for _ in 0..50 {
        let mut wrong = bytes.clone();
        wrong[17] ^= 0x40;
        std::fs::write(file_of(&dir, &digest), wrong).expect("it is ours");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (store, bytes, digest) = (&store, &bytes, &digest);
                scope.spawn(move || {
                    if thread % 2 == 0 {
                        assert!(get(store, digest).is_none_or(|found| found == *bytes));
                    } else {
                        put(store, bytes);
                    }
                });
            }
        });
        put(&store, &bytes);
        assert_eq!(get(&store, &digest).as_deref(), Some(&bytes[..]));
        assert_totals(&store, &dir);
    }
}

/// One job of 21 that need the same headers: it sends what it has tickets for, then waits for the others.
async fn job(store: Store, number: u64) {
    let digests: Vec<_> = (0..300)
        .map(|blob_number| digest(&blob(blob_number, 3000)))
        .collect();
    let pins = store.pin(digests.iter().copied());
    let mut lost = number.is_multiple_of(3);
    loop {
        let mut waiters = Vec::new();
        for digest in pins.missing() {
            match store.claim(digest) {
                None => {}
                // A client that goes away in the middle.
                Some(Claim::Mine(ticket)) if lost => {
                    lost = false;
                    tokio::task::yield_now().await;
                    drop(ticket);
                }
                Some(Claim::Mine(ticket)) => {
                    let index = digests.iter().position(|other| *other == digest);
                    let bytes = blob(index.expect("it is ours") as u64, 3000);
                    let store = store.clone();
                    let upload = move || store.put(digest, &bytes);
                    let upload = tokio::task::spawn_blocking(upload).await;
                    upload.expect("no panic").expect("the store takes it");
                    ticket.done();
                }
                Some(Claim::Theirs(waiter)) => waiters.push(waiter),
            }
        }
        for waiter in waiters {
            let _ = waiter.wait().await;
        }
        if pins.missing().is_empty() {
            break;
        }
    }
    for digest in &digests {
        assert!(get(&store, digest).is_some());
    }
}

#[test]
fn each_blob_is_uploaded_once() {
    let (_temp, dir) = place();
    // Pins are all that keeps them, and the first job may be gone before the last one comes.
    let store = open(&dir, 100 * 4096);
    let pins = store.pin((0..300).map(|number| digest(&blob(number, 3000))));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let jobs: Vec<_> = (0..21)
            .map(|number| tokio::spawn(job(store.clone(), number)))
            .collect();
        for job in jobs {
            job.await.expect("no panic");
        }
    });
    let statistics = store.statistics();
    assert_eq!((statistics.puts, statistics.already_there), (300, 0));
    assert_eq!(store.claims().under_way(), 0);
    assert!(pins.missing().is_empty());
    assert_totals(&store, &dir);
}
