//! Which blobs must not be evicted, because a job needs them. Owns how often each is pinned.
//!
//! The eviction holds a key's lock here while it removes the blob. So a blob is either gone before the pin is there, and
//! a look after the pin does not find it, or it stays as long as the pin.

use dashmap::{DashMap, Entry};
use foldhash::fast::RandomState;

use super::Digest;

/// The pinned keys, whether or not there are blobs for them.
#[derive(Debug, Default)]
pub(super) struct Pinned(DashMap<Digest, usize, RandomState>);

impl Pinned {
    /// Pins a key, once more if it is pinned.
    pub(super) fn pin(&self, key: Digest) {
        *self.0.entry(key).or_insert(0) += 1;
    }

    /// Undoes one [`Pinned::pin`].
    pub(super) fn unpin(&self, key: Digest) {
        if let Entry::Occupied(mut pins) = self.0.entry(key) {
            if *pins.get() > 1 {
                *pins.get_mut() -= 1;
            } else {
                pins.remove();
            }
        }
    }

    /// Does `remove` unless the key is pinned; nobody can pin it meanwhile.
    pub(super) fn unless_pinned<T>(&self, key: Digest, remove: impl FnOnce() -> T) -> Option<T> {
        match self.0.entry(key) {
            Entry::Occupied(_) => None,
            Entry::Vacant(_free) => Some(remove()),
        }
    }

    /// Keys that are pinned.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_free_after_its_last_pin() {
        let pinned = Pinned::default();
        pinned.pin([1; 32]);
        pinned.pin([1; 32]);
        assert_eq!(pinned.unless_pinned([1; 32], || ()), None);
        pinned.unpin([1; 32]);
        assert_eq!(pinned.unless_pinned([1; 32], || ()), None);
        assert_eq!(pinned.unless_pinned([2; 32], || ()), Some(()));
        pinned.unpin([1; 32]);
        assert_eq!(pinned.unless_pinned([1; 32], || ()), Some(()));
        pinned.unpin([1; 32]);
        assert_eq!(pinned.len(), 0);
    }
}
