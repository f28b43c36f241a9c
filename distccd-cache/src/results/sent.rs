//! Digests of the files of requests, by the request's own: a client of stock's protocols that asks for the same again sends the same bytes, and hashing those in one
//! go takes a fraction of the time that some hundred small files take. Owns that memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use protocol::bundle::digest::Digest;
use protocol::request::{Input as Sent, Request};
use protocol::tree::EntryContent;

/// Digests that are remembered together, 32 bytes each; with more, all are forgotten.
const KEPT: usize = 1 << 19;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct SentBefore {
    known: DashMap<Digest, Arc<[Digest]>, foldhash::fast::RandomState>,
    count: AtomicUsize,
}

impl SentBefore {
    /// Those of a request, of which `whole` is the digest.
    pub(crate) fn digests(&self, whole: &Digest, request: &Request) -> Arc<[Digest]> {
        if let Some(known) = self.known.get(whole) {
            return Arc::clone(&known);
        }
        let digests: Arc<[Digest]> = digests_of(request).into();
        let count = digests.len() + 1;
        if self.count.fetch_add(count, Ordering::Relaxed) + count > KEPT {
            self.known.clear();
            self.count.store(count, Ordering::Relaxed);
        }
        self.known.insert(*whole, Arc::clone(&digests));
        digests
    }
}

/// Digests of all files that were sent, as they are on the wire. Links, which have no bytes of their own, have that of nothing.
fn digests_of(request: &Request) -> Vec<Digest> {
    match &request.input {
        Sent::Preprocessed(source) => vec![Digest::of(source)],
        Sent::Tree(entries) => entries
            .iter()
            .map(|entry| match &entry.content {
                EntryContent::File(bytes) => Digest::of(bytes),
                EntryContent::Link(_) => Digest::of(b""),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::version::Version;

    #[test]
    fn the_same_request_is_hashed_once() {
        let before = SentBefore::default();
        let request = |source: &[u8]| Request {
            version: Version::Lzo2,
            cwd: None,
            argv: Vec::new(),
            input: Sent::Preprocessed(source.to_vec()),
        };
        let (one, other) = (Digest([1; 32]), Digest([2; 32]));
        assert_eq!(*before.digests(&one, &request(b"x")), [Digest::of(b"x")]);
        // Whoever says that it is the same is believed.
        assert_eq!(*before.digests(&one, &request(b"y")), [Digest::of(b"x")]);
        assert_eq!(*before.digests(&other, &request(b"y")), [Digest::of(b"y")]);
    }
}
