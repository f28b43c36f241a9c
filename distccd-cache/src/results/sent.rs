//! What a result's name says of a request's files, by the digest of the whole request: a client of stock's protocols that asks for the same again sends the same
//! bytes. Hashing those in one go takes a fraction of the time that some hundred small files take, and they need not even be told apart. Owns that memory.

use std::sync::Arc;

use protocol::bundle::digest::Digest;
use protocol::request::{Input, Request};
use protocol::tree::EntryContent;

use super::memory::{Memory, Remembered};
use super::plan::Placed;

/// Bytes of memory for what is remembered, some 300 for each request; with more, all is forgotten.
const KEPT: usize = 16 << 20;

/// What is known of a request's files. Nothing else than the request and this server's way to show files makes it, so it holds as long as the server runs.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) placed: Placed,
    /// Absolute paths at which a job may come to something of this server's.
    pub(crate) meetings: Vec<Vec<u8>>,
}

impl Remembered for Known {
    fn bytes(&self) -> usize {
        let meetings = self.meetings.iter();
        let meetings: usize = meetings.map(|path| size_of_val(path) + path.len()).sum();
        size_of::<(Digest, Arc<Self>)>() + self.placed.bytes() + meetings
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct SentBefore {
    known: Memory<Digest, Arc<Known>, KEPT>,
}

impl SentBefore {
    /// What is known of the request of which `whole` is the digest; `look` says it when nobody did before.
    ///
    /// # Errors
    /// Those of `look`.
    pub(crate) fn known<E>(
        &self,
        whole: &Digest,
        look: impl FnOnce() -> Result<Known, E>,
    ) -> Result<Arc<Known>, E> {
        if let Some(known) = self.known.get(whole) {
            return Ok(known);
        }
        let known = Arc::new(look()?);
        self.known.insert(*whole, Arc::clone(&known));
        Ok(known)
    }
}

/// Digests of all files that were sent, as they are on the wire. Links, which have no bytes of their own, have that of nothing.
pub(crate) fn digests_of(request: &Request) -> Vec<Digest> {
    match &request.input {
        Input::Preprocessed(source) => vec![Digest::of(source)],
        Input::Tree(entries) => entries
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
    use protocol::command_line::CommandLine;

    fn known(path: &[u8]) -> Known {
        Known {
            placed: Placed::of(b"/", &CommandLine::parse(&[]), &[], false),
            meetings: vec![path.to_vec()],
        }
    }

    #[test]
    fn the_same_request_is_looked_at_once() {
        let before = SentBefore::default();
        let meetings = |whole: u8, path: &[u8]| {
            let found = before.known(&Digest([whole; 32]), || Ok::<_, ()>(known(path)));
            found.unwrap().meetings.clone()
        };
        assert_eq!(meetings(1, b"/x"), [b"/x"]);
        // Whoever says that it is the same is believed.
        assert_eq!(meetings(1, b"/y"), [b"/x"]);
        assert_eq!(meetings(2, b"/y"), [b"/y"]);
        let failed = before.known(&Digest([3; 32]), || Err("why"));
        assert_eq!(failed.unwrap_err(), "why");
        assert_eq!(meetings(3, b"/z"), [b"/z"]);
    }

    #[test]
    fn many_requests_do_not_fill_the_memory() {
        let before = SentBefore::default();
        for name in 0..=255 {
            let path = vec![b'x'; KEPT / 100];
            before
                .known(&Digest([name; 32]), || Ok::<_, ()>(known(&path)))
                .unwrap();
        }
        let kept = before.known.sizes().iter().sum();
        assert!((1..=KEPT).contains(&kept));
    }
}
