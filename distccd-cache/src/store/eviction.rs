//! Making room: which blobs go when there are more than the limit allows. Owns whose turn it is to evict.
//!
//! Blobs go in the order of their last use, as nearly as listing one shard at a time allows: the shard whose least
//! recently used blob is the oldest of all loses the oldest tenth of its bytes, at least one blob, and so on until the
//! rest fits. When a shard's oldest blob turns out to have been used since the last listing, the choice is made again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::layout::SHARDS;
use super::shelf::{self, Shelf, lock, try_lock};
use super::survey::Survey;

/// The limit, and what is known of the last attempt to keep it.
#[derive(Debug)]
pub(super) struct Eviction {
    limit: u64,
    /// Held by the thread that evicts.
    turn: Mutex<()>,
    /// The store's bytes when nothing more could be evicted; zero when that is not so. Listing everything again at each
    /// put would cost much and free nothing.
    stuck_at: AtomicU64,
    /// Whether the log has it that the store cannot be kept to its limit.
    told: AtomicBool,
}

/// What became of a shard's turn.
enum Turn {
    /// Blobs went.
    Freed,
    /// Its oldest blob was used since the last listing.
    Younger,
    /// Nothing can go.
    Nothing,
}

impl Eviction {
    /// An eviction to `limit` bytes of room on disk.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            turn: Mutex::new(()),
            stuck_at: AtomicU64::new(0),
            told: AtomicBool::new(false),
        }
    }

    /// The limit.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Evicts what is beyond the limit, unless another thread is at it.
    pub(super) fn keep_to_limit(&self, shelf: &Shelf) {
        // Once more after each turn: who put meanwhile did not wait for it.
        while shelf.total() > self.limit && !self.is_stuck(shelf) {
            let Some(_turn) = try_lock(&self.turn) else {
                return;
            };
            self.evict(shelf, self.limit);
        }
    }

    /// Evicts so that there are `bytes` more on a full disk. Says whether anything went.
    pub(super) fn make_room(&self, shelf: &Shelf, bytes: u64) -> bool {
        if self.is_stuck(shelf) {
            return false;
        }
        let _turn = lock(&self.turn);
        let before = shelf.counters.evicted.get();
        self.evict(shelf, shelf.total().saturating_sub(bytes));
        shelf.counters.evicted.get() > before
    }

    /// A blob's last pin is gone: what could not be evicted may go now.
    pub(super) fn unstick(&self) {
        self.stuck_at.store(0, Ordering::Relaxed);
    }

    fn is_stuck(&self, shelf: &Shelf) -> bool {
        let stuck_at = self.stuck_at.load(Ordering::Relaxed);
        stuck_at > 0 && shelf.total() <= stuck_at.saturating_add(self.limit / 8)
    }

    fn evict(&self, shelf: &Shelf, target: u64) {
        let mut exhausted = [false; SHARDS];
        let mut corrected = [false; SHARDS];
        while shelf.total() > target {
            let Some(shard) = choose(shelf, &exhausted) else {
                self.stuck_at.store(shelf.total(), Ordering::Relaxed);
                self.tell(shelf);
                return;
            };
            match evict_from(shelf, target, shard, corrected[shard]) {
                Turn::Freed => {}
                Turn::Younger => corrected[shard] = true,
                Turn::Nothing => exhausted[shard] = true,
            }
        }
        self.stuck_at.store(0, Ordering::Relaxed);
        self.told.store(false, Ordering::Relaxed);
    }

    fn tell(&self, shelf: &Shelf) {
        let over = shelf.total().saturating_sub(self.limit);
        let all_counted = (0..SHARDS).all(|shard| shelf.shard(shard).counted);
        if over > 0 && all_counted && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the store is {over} bytes larger than --cache-size allows: running jobs need all that is in it"
            );
        }
    }
}

/// The shard to evict from, if one is left. Nobody has listed those that are not counted.
fn choose(shelf: &Shelf, exhausted: &[bool; SHARDS]) -> Option<usize> {
    let candidates = (0..SHARDS).filter(|shard| !exhausted[*shard]);
    // What was used in the future, by a clock that was set back since, is found out by a listing.
    let now = shelf::now();
    let oldest = candidates.filter_map(|index| {
        let shard = shelf.shard(index);
        (shard.counted && shard.blobs > 0).then_some((shard.oldest.min(now), index))
    });
    oldest.min().map(|(_, index)| index)
}

fn evict_from(shelf: &Shelf, target: u64, index: usize, corrected: bool) -> Turn {
    let start = shelf::now();
    let recorded = shelf.shard(index).oldest;
    let mut survey = match Survey::of(shelf, index) {
        Ok(survey) => survey,
        Err(error) => {
            tracing::warn!("cannot list shard {index:02x} of the store to make room: {error}");
            return Turn::Nothing;
        }
    };
    survey.settle(shelf);
    if shelf.total() <= target {
        // There was less in it than the totals said.
        return Turn::Freed;
    }
    if !corrected && survey.oldest() > recorded {
        shelf.shard(index).oldest = survey.oldest();
        return Turn::Younger;
    }
    survey.entries.sort_unstable_by_key(|entry| entry.used);
    let bytes = survey.bytes();
    let keep = bytes / 10 * 9;
    let mut left = bytes;
    // What comes during this is not older; and what is pinned is in use now, whatever its file says.
    let mut oldest_left = start;
    for entry in &survey.entries {
        if left <= keep {
            oldest_left = oldest_left.min(entry.used);
            break;
        }
        match shelf.evict(&entry.key, entry.used) {
            Ok(true) => left -= entry.bytes,
            Ok(false) => {}
            Err(error) => tracing::warn!("cannot evict a blob of shard {index:02x}: {error}"),
        }
    }
    shelf.shard(index).oldest = oldest_left;
    if left < bytes {
        Turn::Freed
    } else {
        Turn::Nothing
    }
}
