//! The header store: every header that clients sent, once, by its BLAKE3 digest, for all jobs, clients and users.
//!
//! ```text
//! <dir>/pumphouse-store    the format of all this; a directory with another is refused
//! <dir>/lock               locked by the daemon for its life
//! <dir>/blobs/ab/<62 hex>  one file per blob, in 256 shards that are made when needed
//! <dir>/incoming/          blobs being written; emptied when the store is opened
//! <dir>/state              totals of a clean end; removed when the store is opened
//! ```
//!
//! **Why a file per blob, and not packs.** A header is read again and again and removed alone. Then the file system is
//! the index: opening lists nothing, whatever the number of blobs; evicting a blob is one `unlink`, and its room is free
//! at once, where a pack has to be written anew; a damaged blob is one blob; a reader holds its file open while it is
//! evicted; and use is the file's own modification time. The price is a block (4 KiB) and an inode per blob, which is
//! how bytes are counted here, and 30 µs (tmpfs) to 140 µs (ext4) of CPU to write one, once per header and server.
//!
//! **Why a crash does no harm.** A blob is written in `incoming/` and gets its name by `rename`, when it is whole: a
//! process that is killed leaves a nameless file, removed at the next start, or a whole blob. Nothing is forced to the
//! disk, so a power cut may leave a name with torn or no bytes; but every read checks the digest, and what is wrong is
//! removed and not there, so the client sends it again. The totals are written at a clean end, with each shard's
//! directory time as their voucher, and removed at the start; without them shards are counted in the background. No
//! other file is ever changed in place.
//!
//! **Bounded.** The limit is on room on disk. When it is passed, the least recently used blobs go ([`Pins`] hold what
//! jobs need). While old blobs are still being counted, those that are known of keep to the limit by themselves; so the
//! store is at most its limit larger than it was.
//!
//! **Records** ([`Store::put_record`]) are what has been computed: results of compiles. They lie among the blobs under names of their own, see [`record`].
//!
//! All calls block on the disk, some for the time of listing a shard: call them where that does no harm
//! (`spawn_blocking`). [`Claims`] and [`Waiter::wait`] do not touch the disk.

pub mod claims;
mod error;
mod eviction;
pub(crate) mod fuzz;
mod home;
mod known;
mod layout;
mod pinned;
mod record;
mod shelf;
mod state;
mod statistics;
mod survey;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use claims::{Claim, Claims, Ticket, Waiter};
pub use error::StoreError;
pub use statistics::Statistics;

use eviction::Eviction;
use home::{Home, Lock};
use layout::SHARDS;
use shelf::Shelf;
use survey::Survey;

/// The BLAKE3 digest of a blob.
pub type Digest = [u8; 32];

/// The largest blob, in bytes.
pub const MAX_BLOB: u64 = 256 << 20;

/// What is freed beyond a blob's own need when the disk is full, in bytes: the next ones need room, too.
const SPARE: u64 = 256 << 10;

/// A store that is open. Clones are the same store; the last one to go closes it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Open>);

#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    claims: Claims,
    flights: Claims,
    /// Counts the blobs of a run that did not end cleanly.
    counting: Mutex<Option<JoinHandle<()>>>,
    _lock: Lock,
}

/// What the counting thread has in common with the rest.
#[derive(Debug)]
struct Shared {
    shelf: Shelf,
    eviction: Eviction,
    stop: AtomicBool,
}

impl Store {
    /// Opens the store in `dir`, making it if need be, for at most `limit` bytes of room on disk.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NotAStore`], [`StoreError::OtherFormat`] and [`StoreError::Untrusted`] leave
    /// the directory as it was; [`StoreError::Io`] and [`StoreError::Full`] when it cannot be made or written.
    pub fn open(dir: &Path, limit: u64) -> Result<Self, StoreError> {
        let home = Home::enter(dir)?;
        let shards = home::settle_in(dir, &home.root)?;
        let shared = Arc::new(Shared {
            shelf: Shelf::new(dir.to_owned(), home.root, shards),
            eviction: Eviction::new(limit),
            stop: AtomicBool::new(false),
        });
        let uncounted = shards.iter().any(|shard| !shard.counted);
        let counting = if uncounted || shared.shelf.total() > limit {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name("store-count".to_owned())
                .spawn(move || shared.count())
                .map_err(|error| StoreError::at(dir, error))?;
            Some(thread)
        } else {
            None
        };
        Ok(Self(Arc::new(Open {
            claims: Claims::new(Arc::clone(&shared.shelf.counters)),
            flights: Claims::new(Arc::default()),
            shared,
            counting: Mutex::new(counting),
            _lock: home.lock,
        })))
    }

    /// Stores a blob, durably unless the power fails. One that is there already is only used again.
    ///
    /// A blob that is not pinned may be evicted at any time, at once if the store is full.
    ///
    /// # Errors
    /// [`StoreError::WrongDigest`] and [`StoreError::TooLarge`]; [`StoreError::Full`] and [`StoreError::Io`].
    pub fn put(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let size = bytes.len() as u64;
        if size > MAX_BLOB {
            return Err(StoreError::TooLarge(size));
        }
        check(&digest, bytes).map_err(|found| StoreError::WrongDigest {
            expected: layout::hex(&digest),
            found,
        })?;
        let counters = &self.0.shared.shelf.counters;
        match self.write(&digest, bytes)? {
            true => {
                counters.puts.add(1);
                counters.put_bytes.add(size);
            }
            false => counters.already_there.add(1),
        }
        Ok(())
    }

    /// Stores what came of something under the name of that. A record of the same size that is there already is only used again.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_record(&self, name: Digest, body: &[u8]) -> Result<(), StoreError> {
        let file = record::seal(&name, body);
        match file.len() as u64 {
            size if size > MAX_BLOB => Err(StoreError::TooLarge(size)),
            _ => self.write(&name, &file).map(|_| ()),
        }
    }

    /// The body of a record; `None` if it is not there. A damaged one is removed and not there.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn record(&self, name: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut range = 0..0;
        let is_right = |file: &[u8]| {
            range = record::body(name, file).ok_or("it is no record of this name")?;
            Ok(())
        };
        let file = self.0.shared.shelf.read(name, is_right)?;
        Ok(file.map(|mut file| {
            file.truncate(range.end);
            file.drain(..range.start);
            file
        }))
    }

    /// Says whether it is new.
    fn write(&self, name: &Digest, bytes: &[u8]) -> Result<bool, StoreError> {
        let Shared {
            shelf, eviction, ..
        } = &*self.0.shared;
        let written = match shelf.write(name, bytes) {
            // A cache gives way to whatever else is on the disk.
            Err(StoreError::Full { .. })
                if eviction.make_room(
                    shelf,
                    layout::room(bytes.len() as u64).saturating_add(SPARE),
                ) =>
            {
                shelf.write(name, bytes)
            }
            other => other,
        };
        let is_new = written?;
        eviction.keep_to_limit(shelf);
        Ok(is_new)
    }

    /// A blob's bytes, which have this digest; `None` if it is not there. A damaged blob is removed and not there.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the process lacks files or memory, or a damaged blob cannot be removed.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        // A client that asks for a record by its name gets nothing, and does it no harm.
        let is_record = |bytes: &[u8]| record::body(digest, bytes).is_some();
        let is_right = |bytes: &[u8]| match check(digest, bytes) {
            Err(found) if !is_record(bytes) => Err(format!("its bytes have digest {found}")),
            _ => Ok(()),
        };
        let read = self.0.shared.shelf.read(digest, is_right)?;
        Ok(read.filter(|bytes| !is_record(bytes)))
    }

    /// Whether a blob is there, as far as a look tells. Only [`Store::get`] finds out whether it is whole, and only a pin
    /// keeps it.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.0.shared.shelf.contains(digest)
    }

    /// Keeps these blobs from eviction until the guard is dropped, those also that are not there yet.
    ///
    /// A job pins all that it needs, then asks [`Pins::missing`], then gets the rest: nothing goes in between.
    #[must_use]
    pub fn pin(&self, digests: impl IntoIterator<Item = Digest>) -> Pins {
        let digests: Box<[Digest]> = digests.into_iter().collect();
        for digest in &digests {
            self.0.shared.shelf.pinned.pin(*digest);
        }
        Pins {
            store: self.clone(),
            digests,
        }
    }

    /// Claims the upload of a blob: `None` when it is there and nobody need send it.
    ///
    /// Pin it first. If all who upload do so with a ticket, and call [`Ticket::done`] after [`Store::put`], no blob is
    /// uploaded twice.
    #[must_use]
    pub fn claim(&self, digest: Digest) -> Option<Claim> {
        let claim = self.0.claims.claim(digest);
        // Looked up with the ticket in hand: another's upload may have ended just before.
        if let Claim::Mine(ticket) = claim {
            if self.contains(&digest) {
                ticket.done();
                return None;
            }
            return Some(Claim::Mine(ticket));
        }
        Some(claim)
    }

    /// The uploads under way, for those who look after digests themselves.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The records that are being made, in the same way.
    #[must_use]
    pub fn flights(&self) -> &Claims {
        &self.0.flights
    }

    /// What the store holds and has done since it was opened.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let shelf = &self.0.shared.shelf;
        let counters = &shelf.counters;
        let mut statistics = Statistics {
            puts: counters.puts.get(),
            put_bytes: counters.put_bytes.get(),
            already_there: counters.already_there.get(),
            evicted: counters.evicted.get(),
            damaged: counters.damaged.get(),
            claims_shared: counters.claims_shared.get(),
            limit: self.0.shared.eviction.limit(),
            ..Statistics::default()
        };
        for index in 0..SHARDS {
            let shard = shelf.shard(index);
            statistics.blobs += shard.blobs;
            statistics.bytes += shard.bytes;
            statistics.counting |= !shard.counted;
        }
        statistics
    }

    /// Writes the totals down, for an end of the process that drops nothing. Later changes are noticed at the next start.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Open {
    fn close(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = shelf::lock(&self.counting).take() {
            // A panic in there has been reported, and what it did not count is counted next time.
            let _ = thread.join();
        }
        if let Err(error) = home::write_state(&self.shared.shelf) {
            tracing::warn!(
                "cannot write the store's totals, they will be counted at the next start: {error}"
            );
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Counts the shards that nobody has counted, then evicts what is beyond the limit.
    fn count(&self) {
        let uncounted = (0..SHARDS).filter(|index| !self.shelf.shard(*index).counted);
        let mut to_count: VecDeque<usize> = uncounted.collect();
        while let Some(index) = to_count.pop_front() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            match Survey::of(&self.shelf, index) {
                Ok(survey) if survey.settle(&self.shelf) => {}
                // It changed meanwhile.
                Ok(_) => to_count.push_back(index),
                Err(error) => {
                    let shard = self.shelf.path(layout::shard_name(index));
                    tracing::warn!(
                        "cannot count {}: {error}; its blobs will not be evicted",
                        shard.display()
                    );
                }
            }
        }
        self.eviction.keep_to_limit(&self.shelf);
    }
}

/// Whether bytes have a digest; if not, which one they have, in hexadecimal.
fn check(digest: &Digest, bytes: &[u8]) -> Result<(), String> {
    let found = blake3::hash(bytes);
    if found == *digest {
        Ok(())
    } else {
        Err(found.to_hex().to_string())
    }
}

/// Keeps blobs from eviction while it lives.
#[derive(Debug)]
pub struct Pins {
    store: Store,
    digests: Box<[Digest]>,
}

impl Pins {
    /// The pinned blobs that are not there, in the order in which they were given. The others count as used now.
    ///
    /// A system call for each blob that nobody asked for in the last hour.
    #[must_use]
    pub fn missing(&self) -> Vec<Digest> {
        let shelf = &self.store.0.shared.shelf;
        let now = shelf.known.now();
        let missing = self
            .digests
            .iter()
            .filter(|digest| !shelf.uses(digest, now));
        missing.copied().collect()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let shared = &self.store.0.shared;
        for digest in &self.digests {
            shared.shelf.pinned.unpin(*digest);
        }
        shared.eviction.unstick();
    }
}
