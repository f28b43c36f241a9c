//! One fault at each step of a life of the store: opened, filled beyond its limit, read, closed.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use distccd_cache::store::{Store, StoreError};

use crate::support::*;
use crate::tracer::{Fault, Outcome, Tracer};

/// Where the process that is traced has its store.
const VICTIM: &str = "STORE_FAULTS_VICTIM";

/// So many times as many steps, and each of them is tried; a few are, otherwise.
const THOROUGH: &str = "PUMPHOUSE_FAULTS";

/// Few enough for the life below to evict.
const LIMIT: u64 = 16 * 4096;

fn thorough() -> Option<u64> {
    std::env::var(THOROUGH).ok()?.parse().ok()
}

fn record_of(number: u64) -> Vec<u8> {
    blob(number + 1_000_000, 3000)
}

/// A name of a record.
fn name_of(number: u64) -> [u8; 32] {
    digest(format!("record {number}").as_bytes())
}

/// How an operation may end whose system calls may fail.
fn may_fail<T>(result: Result<T, StoreError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(StoreError::Full { .. } | StoreError::Io { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// All that can be got is right.
fn assert_right(store: &Store, numbers: std::ops::Range<u64>) -> usize {
    let mut there = 0;
    for number in numbers {
        let bytes = blob(number, 5000);
        if let Some(got) = may_fail(store.get(&digest(&bytes))).flatten() {
            assert!(got == bytes, "blob {number}");
            there += 1;
        }
        if let Some(got) = may_fail(store.record(&name_of(number))).flatten() {
            assert!(got == record_of(number), "record {number}");
            there += 1;
        }
    }
    there
}

/// A life of the store.
fn live(dir: &Path) {
    let rounds = 12 * thorough().unwrap_or(1);
    let Some(store) = may_fail(Store::open(dir, LIMIT)) else {
        return;
    };
    for number in 0..rounds {
        let bytes = blob(number, 5000);
        let pins = store.pin([digest(&bytes)]);
        let put = may_fail(store.put(digest(&bytes), &bytes));
        if put.is_some()
            && let Some(got) = may_fail(store.get(&digest(&bytes)))
        {
            assert!(got == Some(bytes), "what was put can be got");
        }
        drop(pins);
        let _ = may_fail(store.put_record(name_of(number), &record_of(number)));
        assert_right(&store, number.saturating_sub(3)..number + 1);
    }
    assert_right(&store, 0..rounds);
}

/// What is traced. By itself it is a life without a fault.
#[test]
fn victim() {
    match std::env::var_os(VICTIM) {
        Some(dir) => {
            let mut go = [0];
            // Until it is traced.
            std::io::stdin()
                .read_exact(&mut go)
                .expect("the parent writes");
            live(Path::new(&dir));
        }
        None => live(&place().1),
    }
}

/// Runs a life with a fault; nothing after saying that it is skipped.
fn with_fault(dir: &Path, fault: Fault) -> Option<Outcome> {
    let mut victim = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "steps::victim", "--nocapture"])
        .env(VICTIM, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut stdin = victim.stdin.take().expect("it is piped");
    match Tracer::seize(victim.id(), dir, fault) {
        Ok(tracer) => {
            stdin.write_all(b"g").expect("it waits");
            drop(stdin);
            Some(tracer.run())
        }
        Err(error) => {
            let _ = victim.kill();
            let _ = victim.wait();
            let required = std::env::var("REQUIRE_PEERS").as_deref() == Ok("1");
            assert!(!required, "processes cannot be traced: {error}");
            eprintln!("skipped: processes cannot be traced: {error}");
            None
        }
    }
}

/// A life with one fault at each step, each in a new store; then the store is as good as any.
fn at_each_step(fault: impl Fn(u64) -> Fault, check: impl Fn(&Outcome, u64)) {
    let (_temp, dir) = place();
    let Some(whole) = with_fault(&dir, Fault::None) else {
        return;
    };
    assert!(whole.is_success(), "{whole:?}");
    assert!(whole.changes > 60, "{whole:?}");
    // All of the first, where the store is made, then some.
    let every = if thorough().is_some() { 1 } else { 8 };
    let steps = (1..20).chain((20..=whole.changes).step_by(every));
    let mut there = 0;
    for step in steps {
        let (_temp, dir) = place();
        let Some(outcome) = with_fault(&dir, fault(step)) else {
            return;
        };
        // What is evicted depends on times, so that a life may be a step shorter than the first.
        match outcome.changes < step {
            true => assert!(outcome.is_success(), "{step}: {outcome:?}"),
            false => check(&outcome, step),
        }
        let store = Store::open(&dir, LIMIT).unwrap_or_else(|error| panic!("{step}: {error}"));
        let incoming = std::fs::read_dir(dir.join("incoming")).expect("it is there");
        assert_eq!(incoming.count(), 0, "{step}");
        counted(&store);
        there += assert_right(&store, 0..200);
        assert_eq!(store.statistics().damaged, 0, "{step}: nothing was torn");
        let digest = put(&store, b"one more");
        assert_eq!(get(&store, &digest).as_deref(), Some(&b"one more"[..]));
        store
            .put_record(name_of(0), &record_of(0))
            .expect("it takes a record");
        shrunk(&store, LIMIT);
        assert_totals(&store, &dir);
    }
    assert!(there > 0, "nothing survived anything");
}

fn is_killed(outcome: &Outcome, step: u64) {
    let status = outcome.status;
    assert!(
        libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL,
        "{step}: {outcome:?}"
    );
}

fn went_on(outcome: &Outcome, step: u64) {
    assert!(outcome.failed > 0, "{step}: {outcome:?}");
    assert!(outcome.is_success(), "{step}: {outcome:?}");
}

#[test]
fn killed_before_each_step() {
    at_each_step(Fault::KillBefore, is_killed);
}

#[test]
fn killed_after_each_step_or_in_the_middle_of_a_write() {
    at_each_step(Fault::KillAfter, is_killed);
}

#[test]
fn no_room_at_one_step() {
    at_each_step(|step| Fault::Fail(step, libc::ENOSPC), went_on);
}

#[test]
fn a_disk_that_fails_at_one_step() {
    at_each_step(|step| Fault::Fail(step, libc::EIO), went_on);
}

#[test]
fn no_room_from_one_step_on() {
    at_each_step(
        |step| Fault::FailFrom(step, libc::ENOSPC),
        |outcome, step| assert!(outcome.is_success(), "{step}: {outcome:?}"),
    );
}
