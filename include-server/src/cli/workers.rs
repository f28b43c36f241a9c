//! The same work on many items at once, results in the items' order. Owns no state.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// How long a worker keeps results: to hand over each by itself would cost more than many of them do.
const HAND_OVER: Duration = Duration::from_millis(5);

/// Runs `work` on every item, `jobs` at once (0: as many as there are cores), and hands each result to `take` in the
/// items' order, soon after it and all before it are there.
pub(super) fn in_order<I: Sync, R: Send>(
    items: &[I],
    jobs: usize,
    work: impl Fn(&I) -> R + Sync,
    mut take: impl FnMut(&I, R),
) -> std::io::Result<()> {
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let jobs = if jobs == 0 { cores() } else { jobs }.clamp(1, items.len().max(1));
    let next = AtomicUsize::new(0);
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let sender = sender.clone();
            let worker = std::thread::Builder::new().stack_size(16 << 20);
            let (next, work) = (&next, &work);
            worker.spawn_scoped(scope, move || {
                let mut done = Vec::new();
                let mut handed = Instant::now();
                while let Some((number, item)) = take_next(items, next) {
                    done.push((number, work(item)));
                    if handed.elapsed() < HAND_OVER {
                        continue;
                    }
                    handed = Instant::now();
                    if sender.send(std::mem::take(&mut done)).is_err() {
                        return;
                    }
                }
                // Nobody is left to take it if that fails.
                let _ = sender.send(done);
            })?;
        }
        drop(sender);
        let mut waiting = std::collections::BTreeMap::new();
        let mut turn = 0;
        for (number, result) in receiver.into_iter().flatten() {
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&turn) {
                take(&items[turn], result);
                turn += 1;
            }
        }
        Ok(())
    })
}

fn take_next<'a, I>(items: &'a [I], next: &AtomicUsize) -> Option<(usize, &'a I)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, items.get(number)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        for jobs in [0, 1, 7] {
            let mut sum = Vec::new();
            super::in_order(
                &items,
                jobs,
                |item| item * 2,
                |item, result| sum.push((*item, result)),
            )
            .unwrap();
            assert!(sum.iter().enumerate().all(|(n, pair)| *pair == (n, n * 2)));
            assert_eq!(sum.len(), 1000);
        }
    }
}
