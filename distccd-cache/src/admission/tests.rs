//! The order of slots, the end of waiting, and memory that runs short, without a daemon.

use super::*;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

const MIB: u64 = 1 << 20;

fn machine(number: u8) -> Option<IpAddr> {
    Some(Ipv4Addr::new(192, 0, 2, number).into())
}

/// Slots without a rule on memory.
fn slots(slots: usize, queue: usize) -> Arc<Admission> {
    let rules = Rules {
        slots,
        queue,
        reserve: 0,
    };
    Admission::with(rules, Box::new(Reading::default), Duration::ZERO)
}

/// Somebody who waits.
struct Waiting(std::pin::Pin<Box<dyn Future<Output = Turn> + Send>>);

impl Waiting {
    /// Lines up.
    fn new(admission: &Arc<Admission>, machine: Option<IpAddr>) -> Self {
        let admission = Arc::clone(admission);
        let mut waiting = Self(Box::pin(async move { admission.enter(machine).await }));
        if let Poll::Ready(turn) = waiting.poll() {
            waiting.0 = Box::pin(async { turn });
        }
        waiting
    }

    fn poll(&mut self) -> Poll<Turn> {
        let mut context = Context::from_waker(Waker::noop());
        self.0.as_mut().poll(&mut context)
    }

    fn slot(&mut self) -> Option<Slot> {
        match self.poll() {
            Poll::Ready(turn) => Some(turn.expect("it is not turned back")),
            Poll::Pending => None,
        }
    }

    fn turned_back(&mut self) -> TurnedBack {
        match self.poll() {
            Poll::Ready(Err(turned)) => turned,
            other => panic!("not turned back: {other:?}"),
        }
    }
}

#[test]
fn as_many_as_there_are_slots_and_machines_in_turn() {
    let admission = slots(2, 10);
    let mut greedy: Vec<Waiting> = (0..5)
        .map(|_| Waiting::new(&admission, machine(1)))
        .collect();
    let mut modest = Waiting::new(&admission, machine(2));
    let mut running: Vec<Slot> = greedy[..2].iter_mut().filter_map(Waiting::slot).collect();
    assert_eq!(running.len(), 2);
    let tally = admission.tally();
    assert_eq!((tally.running, tally.waiting), (2, 4));
    assert!(greedy[2].slot().is_none() && modest.slot().is_none());

    running.pop();
    running.extend(greedy[2].slot());
    running.pop();
    running.push(modest.slot().expect("the other machine is next"));
    assert!(greedy[3].slot().is_none());
    drop(running);
    assert!(greedy[3].slot().is_some() && greedy[4].slot().is_some());
    let tally = admission.tally();
    assert_eq!((tally.running, tally.waiting, tally.started), (0, 0, 6));
}

#[test]
fn whoever_leaves_frees_its_place_and_its_slot() {
    let admission = slots(1, 10);
    let first = Waiting::new(&admission, machine(1));
    let second = Waiting::new(&admission, machine(1));
    let third = Waiting::new(&admission, machine(2));
    drop(second);
    assert_eq!(admission.tally().waiting, 1);
    // The first has been given its slot, and leaves without having heard of it; so does the third.
    drop(first);
    assert_eq!(admission.tally().running, 1);
    drop(third);
    let tally = admission.tally();
    assert_eq!((tally.running, tally.waiting), (0, 0));
    assert!(Waiting::new(&admission, machine(3)).slot().is_some());
}

#[test]
fn a_full_queue_turns_back_whoever_has_most_in_it() {
    let admission = slots(1, 3);
    let _running = Waiting::new(&admission, machine(1)).slot().expect("free");
    let mut greedy: Vec<Waiting> = (0..3)
        .map(|_| Waiting::new(&admission, machine(1)))
        .collect();
    assert_eq!(
        Waiting::new(&admission, machine(1)).turned_back(),
        TurnedBack::Full
    );
    let check = |number| admission.check(machine(number), Duration::MAX);
    assert_eq!(check(1), Err(TurnedBack::Full));
    assert_eq!(check(2), Ok(()));
    let mut modest = Waiting::new(&admission, machine(2));
    assert_eq!(greedy[2].turned_back(), TurnedBack::Full);
    assert!(modest.slot().is_none() && greedy[1].slot().is_none());
    // One more of it would have as many as the first.
    assert_eq!(check(2), Err(TurnedBack::Full));
    let tally = admission.tally();
    assert_eq!((tally.waiting, tally.turned_back), (3, 4));
}

#[test]
fn without_a_queue_nobody_waits() {
    let admission = slots(1, 0);
    let running = Waiting::new(&admission, machine(1)).slot();
    assert!(running.is_some());
    assert_eq!(
        Waiting::new(&admission, machine(2)).turned_back(),
        TurnedBack::Full
    );
    drop(running);
    assert!(Waiting::new(&admission, machine(2)).slot().is_some());
}

#[test]
fn a_wait_that_is_too_long_is_foreseen() {
    let admission = slots(2, 1000);
    admission.lock().usual_time = Duration::from_secs(10);
    let check = |number| admission.check(machine(number), Duration::from_secs(60));
    assert_eq!(check(1), Ok(()));
    let waiting: Vec<Waiting> = (0..22)
        .map(|_| Waiting::new(&admission, machine(1)))
        .collect();
    assert_eq!(admission.tally().waiting, 20);
    assert_eq!(check(1), Err(TurnedBack::TooLong));
    // Another machine has its turn after one of the first's.
    assert_eq!(check(2), Ok(()));
    drop(waiting);
    assert_eq!(check(1), Ok(()));
}

#[test]
fn closing_turns_back_all_that_wait_and_nobody_else() {
    let admission = slots(1, 10);
    let running = Waiting::new(&admission, machine(1)).slot();
    let mut waiting = Waiting::new(&admission, machine(1));
    admission.close();
    assert_eq!(waiting.turned_back(), TurnedBack::Closing);
    assert_eq!(
        Waiting::new(&admission, machine(1)).turned_back(),
        TurnedBack::Closing
    );
    assert_eq!(
        admission.check(machine(1), Duration::MAX),
        Err(TurnedBack::Closing)
    );
    assert_eq!(admission.tally().running, 1);
    drop(running);
    let tally = admission.tally();
    assert_eq!((tally.running, tally.turned_back), (0, 0));
}

/// Slots of a machine that has so much memory.
fn with_memory(available: &Arc<AtomicU64>, stalled: &Arc<AtomicBool>) -> Arc<Admission> {
    let rules = Rules {
        slots: 4,
        queue: 10,
        reserve: 100 * MIB,
    };
    let (available, stalled) = (Arc::clone(available), Arc::clone(stalled));
    let look = move || Reading {
        available: Some(available.load(Ordering::Relaxed)),
        stalled: match stalled.load(Ordering::Relaxed) {
            true => 50.0,
            false => 0.0,
        },
    };
    Admission::with(rules, Box::new(look), Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn without_memory_one_compile_runs_and_more_when_there_is_some_again() {
    let available = Arc::new(AtomicU64::new(99 * MIB));
    let stalled = Arc::default();
    let admission = with_memory(&available, &stalled);
    let mut waiting: Vec<Waiting> = (0..4)
        .map(|_| Waiting::new(&admission, machine(1)))
        .collect();
    let first = waiting[0].slot();
    assert!(first.is_some());
    assert!(waiting[1].slot().is_none());
    assert!(admission.tally().is_holding);
    drop(first);
    let second = waiting[1].slot();
    assert!(second.is_some());
    assert!(waiting[2].slot().is_none());

    // A little more is wanted before the end is said.
    available.store(110 * MIB, Ordering::Relaxed);
    tokio::time::sleep(4 * LOOK_AGAIN).await;
    assert!(waiting[2].slot().is_none());
    available.store(200 * MIB, Ordering::Relaxed);
    tokio::time::sleep(4 * LOOK_AGAIN).await;
    assert!(waiting[2].slot().is_some() && waiting[3].slot().is_some());
    assert!(!admission.tally().is_holding);
    assert!(!admission.lock().is_watched);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_stalls_gets_no_further_compile() {
    let available = Arc::new(AtomicU64::new(u64::MAX));
    let stalled = Arc::new(AtomicBool::new(true));
    let admission = with_memory(&available, &stalled);
    let _first = Waiting::new(&admission, machine(1)).slot();
    let mut second = Waiting::new(&admission, machine(1));
    assert!(second.slot().is_none());
    stalled.store(false, Ordering::Relaxed);
    tokio::time::sleep(4 * LOOK_AGAIN).await;
    assert!(second.slot().is_some());
}

#[tokio::test(start_paused = true)]
async fn compiles_that_have_just_started_count_with_what_others_used() {
    let available = Arc::new(AtomicU64::new(350 * MIB));
    let admission = with_memory(&available, &Arc::default());
    let mut first = Waiting::new(&admission, machine(1)).slot().expect("free");
    first.used(200 * MIB);
    drop(first);
    admission.lock().young.clear();
    // 350 MiB are enough for 100 that are to stay and 200 of one compile, not of two.
    let mut waiting: Vec<Waiting> = (0..3)
        .map(|_| Waiting::new(&admission, machine(1)))
        .collect();
    let started = waiting.iter_mut().filter_map(Waiting::slot);
    assert_eq!(started.collect::<Vec<_>>().len(), 2);
}

/// A look was taken for new by each job that used it: a stream of jobs without a pause looked once, and never again.
#[test]
fn a_steady_stream_of_jobs_looks_at_the_memory_again() {
    let looks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&looks);
    let look = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Reading {
            available: Some(2 * MIB),
            stalled: 0.0,
        }
    };
    let rules = Rules {
        slots: 1,
        queue: 1,
        reserve: MIB,
    };
    let lasts = Duration::from_millis(40);
    let admission = Admission::with(rules, Box::new(look), lasts);
    let until = Instant::now() + 5 * lasts;
    while Instant::now() < until {
        assert!(Waiting::new(&admission, machine(1)).slot().is_some());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(looks.load(Ordering::Relaxed) > 1);
}

#[test]
fn the_reserve_suits_the_machine() {
    for (total, reserve) in [(256, 64), (1024, 128), (16 * 1024, 819), (256 * 1024, 2048)] {
        assert_eq!(reserve_of(total * MIB) / MIB, reserve);
    }
}
