//! Who uploads what: of many jobs that lack the same blob at the same moment, one asks its client for it and the others
//! wait. Owns the list of uploads under way.
//!
//! An upload is known by its [`Ticket`]. The list's lock is held only to look and to enter, never over an upload or a
//! wait. A waiter holds the receiving end of the ticket's channel, and the channel keeps its last word, so a ticket
//! that ends between the look into the list and the wait is still heard.
//!
//! A job that claims several blobs sends all that it has tickets for before it waits for others' blobs. Two jobs that
//! wait for each other's would wait for ever.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

use super::Digest;
use super::statistics::Counters;

/// The uploads under way.
#[derive(Clone, Debug)]
pub struct Claims {
    under_way: Arc<DashMap<Digest, watch::Receiver<bool>>>,
    counters: Arc<Counters>,
}

/// Who uploads a blob.
#[derive(Debug)]
pub enum Claim {
    /// The caller: nobody else does at the moment.
    Mine(Ticket),
    /// Another job, for whose end one can wait.
    Theirs(Waiter),
}

impl Claims {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            under_way: Arc::default(),
            counters,
        }
    }

    /// Claims the upload of a blob.
    ///
    /// The blob may have come between the caller's look into the store and this call: whoever gets a ticket looks once
    /// more. [`Store::claim`](super::Store::claim) does so.
    #[must_use]
    pub fn claim(&self, digest: Digest) -> Claim {
        match self.under_way.entry(digest) {
            Entry::Occupied(other) => {
                self.counters.claims_shared.add(1);
                Claim::Theirs(Waiter(other.get().clone()))
            }
            Entry::Vacant(free) => {
                let (tell, hear) = watch::channel(false);
                free.insert(hear);
                Claim::Mine(Ticket {
                    digest,
                    under_way: Arc::clone(&self.under_way),
                    tell,
                })
            }
        }
    }

    /// Uploads under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }
}

/// The right to upload a blob. Dropped without [`Ticket::done`], for example because the client is gone, it tells those
/// who wait that the upload failed.
#[derive(Debug)]
pub struct Ticket {
    digest: Digest,
    under_way: Arc<DashMap<Digest, watch::Receiver<bool>>>,
    tell: watch::Sender<bool>,
}

impl Ticket {
    /// The blob to upload.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Says that the blob is in the store.
    pub fn done(self) {
        self.tell.send_replace(true);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Before the channel closes: who hears of the end and claims anew must not find this claim again.
        self.under_way.remove(&self.digest);
    }
}

/// Somebody else's upload.
#[derive(Debug)]
pub struct Waiter(watch::Receiver<bool>);

impl Waiter {
    /// Waits for the end of the upload: true when the blob is in the store, false when the upload failed and the blob is
    /// to be claimed again.
    ///
    /// A caller that loses patience may drop this and ask its own client: the store takes a blob from anybody.
    #[must_use]
    pub async fn wait(mut self) -> bool {
        // The channel closes when the ticket is dropped; its last word was said before that.
        self.0.wait_for(|done| *done).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Mutex;

    fn claims() -> Claims {
        Claims::new(Arc::default())
    }

    fn mine(claim: Claim) -> Ticket {
        match claim {
            Claim::Mine(ticket) => ticket,
            Claim::Theirs(_) => panic!("somebody else has the ticket"),
        }
    }

    fn theirs(claim: Claim) -> Waiter {
        match claim {
            Claim::Theirs(waiter) => waiter,
            Claim::Mine(_) => panic!("nobody has the ticket"),
        }
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let claims = claims();
        let ticket = mine(claims.claim([1; 32]));
        assert_eq!(ticket.digest(), &[1; 32]);
        let early = theirs(claims.claim([1; 32]));
        let late = theirs(claims.claim([1; 32]));
        let other = mine(claims.claim([2; 32]));
        assert_eq!(claims.under_way(), 2);
        let waiting = tokio::spawn(early.wait());
        tokio::task::yield_now().await;
        ticket.done();
        assert!(waiting.await.expect("no panic"));
        assert!(late.wait().await, "a word said before the wait is heard");
        assert_eq!(claims.under_way(), 1);
        drop(other);
        assert_eq!(claims.under_way(), 0);
        assert_eq!(claims.counters.claims_shared.get(), 2);
    }

    #[tokio::test]
    async fn a_lost_ticket_is_claimed_again() {
        let claims = claims();
        let ticket = mine(claims.claim([1; 32]));
        let before = theirs(claims.claim([1; 32]));
        let after = theirs(claims.claim([1; 32]));
        let waiting = tokio::spawn(before.wait());
        tokio::task::yield_now().await;
        drop(ticket);
        assert!(!waiting.await.expect("no panic"));
        assert!(!after.wait().await);
        mine(claims.claim([1; 32])).done();
    }

    /// Many jobs want the same blobs, every third upload fails, and each blob is uploaded once in the end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn each_blob_is_uploaded_once() {
        let claims = claims();
        let stored: Arc<Mutex<HashMap<Digest, u32>>> = Arc::default();
        let jobs = (0..21_u8).map(|job| {
            let claims = claims.clone();
            let stored = Arc::clone(&stored);
            tokio::spawn(async move {
                for blob in 0..200_u8 {
                    let digest = [blob; 32];
                    let mut failures = (job.wrapping_add(blob) % 3) / 2;
                    while !stored.lock().expect("no panic").contains_key(&digest) {
                        match claims.claim(digest) {
                            Claim::Theirs(waiter) => {
                                let _ = waiter.wait().await;
                            }
                            Claim::Mine(lost) if failures > 0 => {
                                failures -= 1;
                                tokio::task::yield_now().await;
                                drop(lost);
                            }
                            Claim::Mine(ticket) => {
                                if stored.lock().expect("no panic").contains_key(&digest) {
                                    break;
                                }
                                tokio::task::yield_now().await;
                                *stored.lock().expect("no panic").entry(digest).or_default() += 1;
                                ticket.done();
                            }
                        }
                    }
                }
            })
        });
        for job in jobs.collect::<Vec<_>>() {
            job.await.expect("no panic");
        }
        let stored = stored.lock().expect("no panic");
        assert_eq!(stored.len(), 200);
        assert!(stored.values().all(|uploads| *uploads == 1));
        assert_eq!(claims.under_way(), 0);
    }
}
