//! All results of this daemon: looked for, waited for while another job makes them, kept. Owns what is known of contents, of this server's headers, and the
//! counts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use protocol::bundle::digest::Digest;
use tokio::time::{Instant, timeout_at};

use super::contents::{Content, Contents};
use super::explain::Explanations;
use super::own_headers::OwnHeaders;
use super::plan::{Named, Plan};
use super::sent::SentBefore;
use crate::log::notice;
use crate::store::{Claim, Store, Ticket, Waiter};

/// How long a job waits for the same job of another client before it compiles by itself.
const PATIENCE: Duration = Duration::from_secs(600);

/// A result as it was kept, ready to be sent: of the bundle dialect what stands behind the note, in zstd; of stock's protocols the reply.
#[derive(Debug)]
pub(crate) struct Kept(pub(crate) Vec<u8>);

/// What a first look for a result came to.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is there.
    Found(Kept),
    /// It is not, and others wait for this job.
    Mine(Ticket),
    /// It is not, and another job is at it.
    Theirs(Waiter),
}

/// What becomes of a job whose result may be kept.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// There is a result.
    Hit(Kept),
    /// There is none: the job is to be compiled.
    Miss(Flight),
}

/// A compile whose result others may wait for, until this is over. Dropped before that, for example because its client left, it is for one of the
/// others to begin anew.
#[derive(Debug)]
pub(crate) struct Flight {
    /// None when another job is at the same and was waited for in vain.
    ticket: Option<Ticket>,
}

impl Flight {
    /// The compile came to an end: there is a result now, or none can be kept.
    pub(crate) fn over(self) {
        if let Some(ticket) = self.ticket {
            ticket.done();
        }
    }
}

/// How jobs ended, since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answered without a compile.
    pub hits: u64,
    /// Of those, after waiting for another client's compile of the same.
    pub waited: u64,
    /// Compiled, and kept.
    pub kept: u64,
    /// Compiled, and not kept: the compile failed, or its result may depend on more than what names it.
    pub not_kept: u64,
    /// Bytes that hits gave back, as they are kept.
    pub hit_bytes: u64,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Results {
    store: Store,
    contents: Contents,
    pub(crate) sent: SentBefore,
    pub(crate) own_headers: OwnHeaders,
    pub(crate) explanations: Explanations,
    hits: AtomicU64,
    waited: AtomicU64,
    kept: AtomicU64,
    not_kept: AtomicU64,
    hit_bytes: AtomicU64,
    /// The store took no result the last time.
    is_refused: AtomicBool,
}

impl Results {
    /// Results in a store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            contents: Contents::default(),
            sent: SentBefore::default(),
            own_headers: OwnHeaders::default(),
            explanations: Explanations::default(),
            hits: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            not_kept: AtomicU64::new(0),
            hit_bytes: AtomicU64::new(0),
            is_refused: AtomicBool::new(false),
        }
    }

    /// The counts.
    pub(crate) fn tally(&self) -> Tally {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally {
            hits: read(&self.hits),
            waited: read(&self.waited),
            kept: read(&self.kept),
            not_kept: read(&self.not_kept),
            hit_bytes: read(&self.hit_bytes),
        }
    }

    /// A result that is there. Blocks on the disk.
    pub(crate) fn look(&self, named: &Named) -> Option<Kept> {
        named
            .names()
            .find_map(|name| match self.store.record(&name.0) {
                Ok(found) => found.map(Kept),
                Err(error) => {
                    tracing::warn!("a result cannot be read: {error}");
                    None
                }
            })
    }

    /// A first look, if the result may be kept, with the right to make it when nobody is at it. Blocks on the disk.
    pub(crate) fn begin(&self, plan: &Plan) -> Option<Begun> {
        match plan {
            Plan::Keep(named) => Some(self.begin_named(named)),
            Plan::Not(_) => None,
        }
    }

    fn begin_named(&self, named: &Named) -> Begun {
        let claim = self.store.flights().claim(named.first().0);
        // With the claim in hand: another job's result may have come just before.
        match (self.look(named), claim) {
            (Some(kept), _) => Begun::Found(kept),
            (None, Claim::Mine(ticket)) => Begun::Mine(ticket),
            (None, Claim::Theirs(waiter)) => Begun::Theirs(waiter),
        }
    }

    /// What comes of a first look, after waiting for another job that is making the result.
    pub(crate) async fn enter(self: &Arc<Self>, named: &Named, begun: Begun) -> Entrance {
        let until = Instant::now() + PATIENCE;
        let mut begun = begun;
        let mut waited = false;
        loop {
            let waiter = match begun {
                Begun::Found(kept) => return self.hit(kept, waited),
                Begun::Mine(ticket) => {
                    let ticket = Some(ticket);
                    return Entrance::Miss(Flight { ticket });
                }
                Begun::Theirs(waiter) => waiter,
            };
            waited = true;
            let is_over = timeout_at(until, waiter.wait()).await;
            let (results, again) = (Arc::clone(self), named.clone());
            let look = move || match is_over {
                // Its client left: one of those who waited takes its place.
                Ok(false) => Some(results.begin_named(&again)),
                // There is a result now, or this job does not wait again.
                Ok(true) | Err(_) => results.look(&again).map(Begun::Found),
            };
            // A panic in there has been reported; the job is compiled.
            match tokio::task::spawn_blocking(look).await.ok().flatten() {
                Some(next) => begun = next,
                None => return Entrance::Miss(Flight { ticket: None }),
            }
        }
    }

    fn hit(&self, kept: Kept, waited: bool) -> Entrance {
        self.hits.fetch_add(1, Ordering::Relaxed);
        self.waited.fetch_add(u64::from(waited), Ordering::Relaxed);
        let bytes = kept.0.len() as u64;
        self.hit_bytes.fetch_add(bytes, Ordering::Relaxed);
        Entrance::Hit(kept)
    }

    /// Keeps the result of a compile that ended with exit code 0. That it cannot be written costs a compile later, no more.
    pub(crate) fn keep(&self, name: &Digest, result: &[u8]) {
        match self.store.put_record(name.0, result) {
            Ok(()) => {
                self.kept.fetch_add(1, Ordering::Relaxed);
                if self.is_refused.swap(false, Ordering::Relaxed) {
                    notice!("results are kept again");
                }
            }
            Err(error) => {
                self.count_not_kept();
                // Once, and not for each job until somebody has made room.
                if !self.is_refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!("results are not kept: {error}");
                }
            }
        }
    }

    /// Counts a compile whose result is not kept.
    pub(crate) fn count_not_kept(&self) {
        self.not_kept.fetch_add(1, Ordering::Relaxed);
    }

    /// What is known of a content; `content` reads it when nobody did before. `None` when it cannot be read any more.
    pub(crate) fn content(
        &self,
        digest: &Digest,
        content: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<Option<Arc<Content>>> {
        self.contents.of(digest, content)
    }
}
