//! What the store has done since it was opened. Owns the counters; nobody decides anything by them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the store holds and has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Blobs that are there. While [`Statistics::counting`], those known of.
    pub blobs: u64,
    /// The room they take on disk, in bytes: sizes rounded up to blocks of 4 KiB.
    pub bytes: u64,
    /// The room they may take.
    pub limit: u64,
    /// Blobs written.
    pub puts: u64,
    /// Their bytes, not rounded.
    pub put_bytes: u64,
    /// Blobs that were put and were there already.
    pub already_there: u64,
    /// Blobs removed for lack of room.
    pub evicted: u64,
    /// Blobs (or what was in their place) removed because they were not what their name says.
    pub damaged: u64,
    /// Times that somebody waited for another's upload rather than ask for the same bytes.
    pub claims_shared: u64,
    /// Whether blobs of an earlier run are still being counted.
    pub counting: bool,
}

/// The counters behind [`Statistics`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) puts: Counter,
    pub(super) put_bytes: Counter,
    pub(super) already_there: Counter,
    pub(super) evicted: Counter,
    pub(super) damaged: Counter,
    pub(super) claims_shared: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
