//! Listing a shard: which blobs are in it, how large, when last used. Owns no state.
//!
//! A listing takes no lock, so that nobody waits for a slow disk. Afterwards the shard's change count tells whether the
//! listing is still true; only then it replaces the totals.

use std::io;
use std::mem::MaybeUninit;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::Digest;
use super::layout;
use super::shelf::{self, Found, Shelf};

/// A blob in a listing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Last use, in nanoseconds since 1970.
    pub(super) used: i64,
    /// Room on disk.
    pub(super) bytes: u64,
    pub(super) key: Digest,
}

/// A shard's blobs, as a listing found them.
#[derive(Debug)]
pub(super) struct Survey {
    shard: usize,
    pub(super) entries: Vec<Entry>,
    /// The shard's change count before the listing.
    changes: u64,
}

impl Survey {
    /// Lists a shard. Whatever is in it and is no blob is removed, with a line in the log.
    pub(super) fn of(shelf: &Shelf, shard: usize) -> io::Result<Self> {
        let mut survey = Self {
            shard,
            entries: Vec::new(),
            changes: shelf.shard(shard).changes,
        };
        let latest = shelf::now().saturating_add(shelf::SLACK);
        let name = layout::shard_name(shard);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(shelf.root(), name.as_str(), flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(survey),
            Err(error) => return Err(error.into()),
        };
        let mut room = vec![MaybeUninit::uninit(); 32 << 10];
        let mut listing = RawDir::new(&dir, &mut room);
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let file = entry.file_name();
            if file == c"." || file == c".." {
                continue;
            }
            let look = || match rustix::fs::statat(&dir, file, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Ok(Some(Found::new(&stat))),
                Err(Errno::NOENT) => Ok(None),
                Err(error) => Err(error),
            };
            let Some(mut found) = look()? else { continue };
            let key = layout::key_of(shard, file.to_bytes());
            if let Some(key) = &key
                && found.used > latest
            {
                // A clock was set back since. It would never be the oldest.
                shelf.use_now(key);
                found = look()?.unwrap_or(found);
            }
            match key {
                Some(key) if found.is_plausible(&key) => survey.entries.push(Entry {
                    used: found.used,
                    bytes: layout::room(found.size),
                    key,
                }),
                Some(key) => {
                    let why = "it is empty, too large, or not a regular file";
                    shelf.discard(&key, &found, why).map_err(io::Error::other)?;
                }
                None => {
                    let stranger = [name.as_bytes(), b"/", file.to_bytes()].concat();
                    shelf.remove_anything(&stranger)?;
                    tracing::warn!(
                        "removed {}/{} from the store: no blob has such a name",
                        shelf.path(&name).display(),
                        file.to_string_lossy().escape_debug()
                    );
                }
            }
        }
        Ok(survey)
    }

    /// Room on disk of all that was listed.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }

    /// The last use of the least recently used blob.
    pub(super) fn oldest(&self) -> i64 {
        let used = self.entries.iter().map(|entry| entry.used);
        used.min().unwrap_or(i64::MAX)
    }

    /// Makes the listing the shard's totals, unless the shard has changed meanwhile; says whether it did.
    pub(super) fn settle(&self, shelf: &Shelf) -> bool {
        let mut shard = shelf.shard(self.shard);
        let still_true = shard.changes == self.changes;
        if still_true {
            shelf.set_bytes(&mut shard, self.bytes());
            shard.blobs = self.entries.len() as u64;
            shard.oldest = self.oldest();
            shard.counted = true;
        }
        still_true
    }
}
