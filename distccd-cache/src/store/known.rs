//! Which blobs were there when somebody last looked. Owns that memory: a job asks for a thousand headers, and a thousand
//! looks at the disk cost as much as all the rest of it.
//!
//! What vouches for an entry is that nobody but this process removes blobs: whoever does takes the entry away, too, with
//! the shard's lock held. An owner who removes files by hand is found out when the blob is read, and the entry goes then.
//! An entry lasts as long as a use need not be written down again.

use std::time::{Duration, Instant};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::Digest;

/// More than a busy server's jobs need in an hour; 48 bytes each. Then everything is looked up once more.
const MOST: usize = 1 << 18;

/// Blobs that are there.
#[derive(Debug)]
pub(super) struct Known {
    /// When each was looked up, in seconds after `start`.
    seen: DashMap<Digest, u32, RandomState>,
    start: Instant,
    lasts: u32,
}

impl Known {
    /// Nothing is known yet; what will be is believed for the time that it `lasts`.
    pub(super) fn new(lasts: Duration) -> Self {
        Self {
            seen: DashMap::default(),
            start: Instant::now(),
            lasts: seconds(lasts),
        }
    }

    /// The time, for [`Known::has`].
    pub(super) fn now(&self) -> u32 {
        seconds(self.start.elapsed())
    }

    /// Whether a blob is known to be there.
    pub(super) fn has(&self, key: &Digest, now: u32) -> bool {
        let seen = self.seen.get(key);
        seen.is_some_and(|seen| now.saturating_sub(*seen) < self.lasts)
    }

    /// A blob is there; the shard's lock is held.
    pub(super) fn add(&self, key: Digest) {
        if self.seen.len() >= MOST {
            self.seen.clear();
        }
        self.seen.insert(key, self.now());
    }

    /// A blob is going, with the shard's lock held; or was not where it should be.
    pub(super) fn remove(&self, key: &Digest) {
        self.seen.remove(key);
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_forgotten_after_its_time() {
        let known = Known::new(Duration::from_secs(100));
        assert!(!known.has(&[1; 32], 0));
        known.add([1; 32]);
        assert!(known.has(&[1; 32], 99));
        assert!(!known.has(&[1; 32], 100 + known.now()));
        known.remove(&[1; 32]);
        assert!(!known.has(&[1; 32], 0));
    }

    #[test]
    fn memory_has_an_end() {
        let known = Known::new(Duration::from_secs(100));
        let key = |number: usize| {
            let mut key = Digest::default();
            key[..8].copy_from_slice(&number.to_le_bytes());
            key
        };
        for number in 0..=MOST {
            known.add(key(number));
        }
        assert!(known.has(&key(MOST), 0));
        assert!(!known.has(&key(0), 0));
    }
}
