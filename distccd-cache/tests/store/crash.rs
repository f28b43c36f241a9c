//! A daemon that is killed at any instant leaves whole blobs and nothing else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::*;

/// Where the process that is to be killed writes.
const VICTIM: &str = "STORE_TEST_VICTIM";
/// Where its numbers start.
const SEED: &str = "STORE_TEST_SEED";

const LIMIT: u64 = 500 * 4096;

fn size(number: u64) -> usize {
    usize::try_from(number * 7919 % 30_000).expect("small")
}

/// Puts blobs from three threads, evicting all the time.
fn write(dir: &Path, from: u64, rounds: u64) {
    let store = open(dir, LIMIT);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..rounds {
                    let number = from + number * 3 + thread;
                    put(store, &blob(number, size(number)));
                }
            });
        }
    });
}

/// By itself a test of writing and opening again; as a child of the next test, what is killed.
#[test]
fn writer() {
    if let Some(dir) = std::env::var_os(VICTIM) {
        let seed = std::env::var(SEED).expect("the parent set it");
        write(
            Path::new(&dir),
            seed.parse().expect("a number"),
            u64::MAX / 8,
        );
        return;
    }
    let (_temp, dir) = place();
    write(&dir, 0, 300);
    let store = open(&dir, LIMIT);
    shrunk(&store, LIMIT);
    assert_totals(&store, &dir);
}

#[test]
fn killed_at_any_instant() {
    let (_temp, dir) = place();
    let me = std::env::current_exe().expect("it runs");
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let mut dice = clock.as_nanos() as u64;
    let mut served = 0;
    for round in 0..40_u64 {
        let mut victim = Command::new(&me)
            .args(["--exact", "crash::writer", "--nocapture"])
            .env(VICTIM, &dir)
            .env(SEED, (round * 1_000_000).to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("it starts");
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_micros(2000 + (dice >> 33) % 60_000));
        victim.kill().expect("it is a child");
        let status = victim.wait().expect("it is a child");
        assert!(!status.success(), "it did not end by itself: {status}");
        if round % 4 == 3 {
            // The next victim finds what this one left.
            continue;
        }
        let store = open(&dir, LIMIT);
        assert_eq!(
            std::fs::read_dir(dir.join("incoming"))
                .expect("it is there")
                .count(),
            0
        );
        let pins = store.pin(files(&dir).iter().map(|file| digest_of(file)));
        for file in files(&dir) {
            let digest = digest_of(&file);
            let Some(bytes) = get(&store, &digest) else {
                // Evicted before it was pinned, by the count that found too much.
                assert!(!file.exists());
                continue;
            };
            assert_eq!(blake3::hash(&bytes), digest);
            served += 1;
        }
        drop(pins);
        assert_eq!(store.statistics().damaged, 0, "a kill tears no blob");
        put(&store, b"one more");
        drop(store);
        let store = open(&dir, LIMIT);
        shrunk(&store, LIMIT);
        assert_totals(&store, &dir);
    }
    assert!(served > 0, "no victim lived long enough to write");
}
