//! A memory for what is found out again when it is not there. Owns the bound on its bytes: with more, all is forgotten.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

/// What takes a number of bytes of memory, about, where it is remembered.
pub(super) trait Remembered {
    fn bytes(&self) -> usize;
}

impl<T: Remembered> Remembered for Arc<T> {
    fn bytes(&self) -> usize {
        T::bytes(self)
    }
}

/// Values by key, which together take up to `MOST` bytes, or are one value.
#[derive(Debug)]
pub(super) struct Memory<K: Eq + Hash, V, const MOST: usize> {
    held: DashMap<K, V, foldhash::fast::RandomState>,
    bytes: AtomicUsize,
}

impl<K: Eq + Hash, V, const MOST: usize> Default for Memory<K, V, MOST> {
    fn default() -> Self {
        Self {
            held: DashMap::default(),
            bytes: AtomicUsize::new(0),
        }
    }
}

impl<K: Eq + Hash, V: Remembered, const MOST: usize> Memory<K, V, MOST> {
    /// Remembers a value; returns the one that was in its place.
    pub(super) fn insert(&self, key: K, value: V) -> Option<V> {
        let bytes = value.bytes();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST {
            self.held.clear();
            self.bytes.store(bytes, Ordering::Relaxed);
        }
        let last = self.held.insert(key, value)?;
        // It may have been counted before all was forgotten.
        let gone = last.bytes();
        let without = |bytes: usize| Some(bytes.saturating_sub(gone));
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, without);
        Some(last)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        self.held.get(key).map(|held| V::clone(&held))
    }

    /// The bytes of each value.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> Vec<usize> {
        self.held.iter().map(|held| held.bytes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Taking(usize);

    impl Remembered for Taking {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn with_too_much_all_is_forgotten() {
        let memory = Memory::<&str, Arc<Taking>, 10>::default();
        let insert = |key, bytes| memory.insert(key, Arc::new(Taking(bytes)));
        assert_eq!(insert("a", 4), None);
        assert_eq!(insert("b", 6), None);
        assert_eq!(memory.get(&"a").as_deref(), Some(&Taking(4)));
        // One more byte, and the new one alone is kept, as large as it may be.
        assert_eq!(insert("c", 70), None);
        assert_eq!(memory.sizes(), [70]);
        assert_eq!(memory.get(&"a"), None);
        assert_eq!(insert("a", 10), None);
        assert_eq!(memory.sizes(), [10]);
    }

    #[test]
    fn what_is_replaced_takes_nothing_any_more() {
        let memory = Memory::<u8, Taking, 10>::default();
        assert_eq!(memory.insert(1, Taking(2)), None);
        for _ in 0..100 {
            memory.insert(2, Taking(4));
        }
        assert_eq!(memory.insert(2, Taking(3)), Some(Taking(4)));
        assert_eq!(memory.get(&1), Some(Taking(2)));
        assert_eq!(memory.bytes.load(Ordering::Relaxed), 5);
    }
}
