//! Blobs as files: looking, reading, writing, taking away, and keeping count. Owns the open directory, each shard's
//! totals and the pins. It knows keys and bytes; what the bytes of a key must be is the caller's business.
//!
//! A shard's lock is held while a name in it appears or goes, so that name and totals change together. Nobody holds it
//! over the writing or reading of a blob, nor over a listing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::error::StoreError;
use super::known::Known;
use super::layout::{self, BlobPath, SHARDS};
use super::pinned::Pinned;
use super::statistics::Counters;
use super::{Digest, MAX_BLOB};

/// A blob's use is written down at most this often.
const USE_INTERVAL: Duration = Duration::from_secs(3600);

/// A use that is further in the future, in nanoseconds, was written down by another clock.
pub(super) const SLACK: i64 = 3600 * 1_000_000_000;

/// What is known of a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shard {
    pub(super) blobs: u64,
    /// Room on disk, see [`layout::room`].
    pub(super) bytes: u64,
    /// Not later than the last use of its least recently used blob that is not pinned, in nanoseconds since 1970.
    pub(super) oldest: i64,
    /// Whether the totals are those of all blobs, and not only of those written since the store was opened.
    pub(super) counted: bool,
    /// Counts the names that came and went, so that a listing knows whether it is still true.
    pub(super) changes: u64,
}

impl Shard {
    /// Without blobs.
    pub(super) const EMPTY: Self = Self {
        blobs: 0,
        bytes: 0,
        oldest: i64::MAX,
        counted: true,
        changes: 0,
    };

    /// With blobs that nobody has counted.
    pub(super) const UNKNOWN: Self = Self {
        counted: false,
        ..Self::EMPTY
    };
}

/// What there is under a blob's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    regular: bool,
    pub(super) size: u64,
    /// Last use, in nanoseconds since 1970.
    pub(super) used: i64,
    inode: (u64, u64),
}

impl Found {
    pub(super) fn new(stat: &Stat) -> Self {
        Self {
            regular: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            size: stat.st_size.try_into().unwrap_or(0),
            used: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            inode: (stat.st_dev, stat.st_ino),
        }
    }

    /// Whether it can be a blob of this key. A power cut leaves empty files.
    pub(super) fn is_plausible(&self, key: &Digest) -> bool {
        let size_is_right = match self.size {
            0 => blake3::hash(&[]) == *key,
            size => size <= MAX_BLOB,
        };
        self.regular && size_is_right
    }
}

/// Seconds and nanoseconds as one number; their types differ between machines.
pub(super) fn nanoseconds(seconds: impl TryInto<i64>, rest: impl TryInto<i64>) -> i64 {
    let seconds = seconds.try_into().unwrap_or(i64::MAX);
    let rest = rest.try_into().unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// The time, in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// Locks; a panic elsewhere leaves numbers here that are off by one blob at most, which listings correct.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks unless that would mean waiting.
pub(super) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The blobs of a directory.
#[derive(Debug)]
pub(super) struct Shelf {
    /// For messages, and where the standard library wants a path.
    dir: PathBuf,
    root: OwnedFd,
    shards: Vec<Mutex<Shard>>,
    /// The sum of the shards' bytes.
    total: AtomicU64,
    next_incoming: AtomicU64,
    pub(super) pinned: Pinned,
    pub(super) known: Known,
    pub(super) counters: Arc<Counters>,
}

impl Shelf {
    /// The blobs below `root`, which is `dir`, with these totals.
    pub(super) fn new(dir: PathBuf, root: OwnedFd, shards: [Shard; SHARDS]) -> Self {
        Self {
            dir,
            root,
            total: AtomicU64::new(shards.iter().map(|shard| shard.bytes).sum()),
            shards: shards.into_iter().map(Mutex::new).collect(),
            next_incoming: AtomicU64::new(0),
            pinned: Pinned::default(),
            known: Known::new(USE_INTERVAL),
            counters: Arc::default(),
        }
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The path of a name in the store, for messages.
    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Room that the blobs take on disk, in bytes.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// A shard's totals. While the guard is held, no name in the shard appears or goes.
    pub(super) fn shard(&self, shard: usize) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard])
    }

    /// Sets a shard's bytes, and the sum with them.
    pub(super) fn set_bytes(&self, shard: &mut Shard, bytes: u64) {
        if bytes >= shard.bytes {
            self.total.fetch_add(bytes - shard.bytes, Ordering::Relaxed);
        } else {
            self.total.fetch_sub(shard.bytes - bytes, Ordering::Relaxed);
        }
        shard.bytes = bytes;
    }

    /// What there is under a key's name.
    fn look(&self, path: &BlobPath) -> rustix::io::Result<Option<Found>> {
        match rustix::fs::statat(&self.root, path.bytes(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Found::new(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn error(&self, path: &BlobPath, source: impl Into<io::Error>) -> StoreError {
        StoreError::at(&self.path(path.path()), source)
    }

    /// Whether there is a blob, as far as a look tells.
    pub(super) fn contains(&self, key: &Digest) -> bool {
        self.known.has(key, self.known.now()) || {
            let found = self.look(&BlobPath::new(key));
            found.is_ok_and(|found| found.is_some_and(|found| found.is_plausible(key)))
        }
    }

    /// Whether there is a blob, as far as a look tells; if so, it is used. `now` is [`Known::now`].
    pub(super) fn uses(&self, key: &Digest, now: u32) -> bool {
        if self.known.has(key, now) {
            return true;
        }
        let path = BlobPath::new(key);
        // Held so that nobody removes the blob between the look and the note of it.
        let _shard = self.shard(layout::shard_of(key));
        match self.look(&path) {
            Ok(Some(found)) if found.is_plausible(key) => {
                self.touch(&path, &found);
                self.known.add(*key);
                true
            }
            _ => false,
        }
    }

    /// Writes a use down, if the last one is long ago (or in the future, after a clock was set back).
    ///
    /// An error is none: the blob is evicted sooner than it might be.
    fn touch(&self, path: &BlobPath, found: &Found) {
        let since = Duration::from_nanos(now().abs_diff(found.used));
        if since > USE_INTERVAL {
            self.set_used(path);
        }
    }

    /// Takes a blob for used now whose last use is in the future.
    pub(super) fn use_now(&self, key: &Digest) {
        self.set_used(&BlobPath::new(key));
    }

    fn set_used(&self, path: &BlobPath) {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let _ = rustix::fs::utimensat(&self.root, path.bytes(), &USED_NOW, flags);
    }

    /// Reads a blob. What is not a file of at most [`MAX_BLOB`] bytes that `is_right` agrees with is removed, said in the
    /// log, and not there.
    pub(super) fn read(
        &self,
        key: &Digest,
        is_right: impl FnOnce(&[u8]) -> Result<(), String>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let path = BlobPath::new(key);
        // Without NONBLOCK a fifo would hold the reader; with NOCTTY a terminal stays what it is.
        let flags =
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&self.root, path.bytes(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => {
                self.known.remove(key);
                return Ok(None);
            }
            Err(
                error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR),
            ) => return Err(self.error(&path, error)),
            Err(error) => {
                let there = self.look(&path).map_err(|error| self.error(&path, error))?;
                if let Some(found) = there {
                    let why = format!("it cannot be opened: {error}");
                    self.discard(key, &found, &why)?;
                }
                return Ok(None);
            }
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| self.error(&path, error))?;
        let found = Found::new(&stat);
        match read_all(&mut file, &found).and_then(|bytes| is_right(&bytes).map(|()| bytes)) {
            Ok(bytes) => {
                self.touch(&path, &found);
                Ok(Some(bytes))
            }
            Err(why) => {
                // The file is still open here: no other file can have got its inode.
                self.discard(key, &found, &why)?;
                Ok(None)
            }
        }
    }

    /// Removes what was found under a key's name, unless something else has taken its place since.
    pub(super) fn discard(&self, key: &Digest, found: &Found, why: &str) -> Result<(), StoreError> {
        let path = BlobPath::new(key);
        let mut shard = self.shard(layout::shard_of(key));
        let there = self.look(&path).map_err(|error| self.error(&path, error))?;
        match there {
            Some(there) if there.inode == found.inode => {
                self.take_away(&mut shard, key, &path, &there)
                    .map_err(|error| self.error(&path, error))?;
            }
            _ => return Ok(()),
        }
        drop(shard);
        self.counters.damaged.add(1);
        let path = self.path(path.path());
        tracing::warn!("removed {} from the store: {why}", path.display());
        Ok(())
    }

    /// Removes a blob, or what is in its place, and counts it out. One that lost bytes was counted with more: then the
    /// totals are too high until the shard is next listed, which is on the safe side.
    fn take_away(
        &self,
        shard: &mut Shard,
        key: &Digest,
        path: &BlobPath,
        found: &Found,
    ) -> io::Result<()> {
        self.known.remove(key);
        self.remove_anything(path.bytes())?;
        if found.regular {
            let bytes = shard.bytes.saturating_sub(layout::room(found.size));
            self.set_bytes(shard, bytes);
            shard.blobs = shard.blobs.saturating_sub(1);
        }
        shard.changes += 1;
        Ok(())
    }

    /// Removes a file, or a directory with all that is in it.
    pub(super) fn remove_anything(&self, name: &[u8]) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.root, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // What unlink says of a directory: Linux the one, POSIX the other.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        let aside = self.incoming_name();
        rustix::fs::renameat(&self.root, name, &self.root, aside.as_str())?;
        std::fs::remove_dir_all(self.path(aside))
    }

    /// Removes a blob for lack of room, unless it is pinned or has been used since `used`. Says whether it is gone.
    pub(super) fn evict(&self, key: &Digest, used: i64) -> io::Result<bool> {
        let path = BlobPath::new(key);
        let gone = self.pinned.unless_pinned(*key, || {
            let mut shard = self.shard(layout::shard_of(key));
            match self.look(&path)? {
                Some(found) if found.used == used => {
                    self.take_away(&mut shard, key, &path, &found)?;
                    self.counters.evicted.add(1);
                    Ok(true)
                }
                _ => Ok(false),
            }
        });
        gone.unwrap_or(Ok(false))
    }

    /// Writes a blob; one that is there already is used and nothing else. Says whether it is new.
    pub(super) fn write(&self, key: &Digest, bytes: &[u8]) -> Result<bool, StoreError> {
        let path = BlobPath::new(key);
        let size = bytes.len() as u64;
        let there = self.look(&path).map_err(|error| self.error(&path, error))?;
        if !there.is_some_and(|found| self.is_it(&path, &found, size)) {
            let incoming = self.write_incoming(bytes)?;
            return self.place(incoming, key, &path, size);
        }
        Ok(false)
    }

    /// Whether what was found is the blob, as far as its size tells; if so, it is used.
    fn is_it(&self, path: &BlobPath, found: &Found, size: u64) -> bool {
        let is_it = found.regular && found.size == size;
        if is_it {
            self.touch(path, found);
        }
        is_it
    }

    fn incoming_name(&self) -> String {
        let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
        format!("{}/{number}", layout::INCOMING)
    }

    /// Writes bytes to a file that is no blob yet.
    fn write_incoming(&self, bytes: &[u8]) -> Result<Incoming<'_>, StoreError> {
        let name = self.incoming_name();
        let failed = |name: &str, source| StoreError::at(&self.path(name), source);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let open = || rustix::fs::openat(&self.root, name.as_str(), flags, mode);
        let file = match open() {
            Err(Errno::NOENT) => {
                self.make_dir(layout::INCOMING)
                    .map_err(|error| failed(layout::INCOMING, error))?;
                open()
            }
            other => other,
        };
        let file = file.map_err(|error| failed(&name, error.into()))?;
        let incoming = Incoming { shelf: self, name };
        File::from(file)
            .write_all(bytes)
            .map_err(|error| failed(&incoming.name, error))?;
        Ok(incoming)
    }

    /// Gives a written file its name as a blob. False when the blob came from elsewhere meanwhile.
    fn place(
        &self,
        mut incoming: Incoming<'_>,
        key: &Digest,
        path: &BlobPath,
        size: u64,
    ) -> Result<bool, StoreError> {
        let shard = layout::shard_of(key);
        let failed = |error: io::Error| self.error(path, error);
        let mut guard = self.shard(shard);
        match self.look(path).map_err(|error| failed(error.into()))? {
            Some(found) if self.is_it(path, &found, size) => return Ok(false),
            Some(found) => self
                .take_away(&mut guard, key, path, &found)
                .map_err(failed)?,
            None => {}
        }
        let rename = || {
            let from = incoming.name.as_str();
            rustix::fs::renameat(&self.root, from, &self.root, path.bytes())
        };
        let renamed = match rename() {
            Err(Errno::NOENT) => {
                // The first blob of its shard; or somebody removed the directories under us.
                self.make_dir(layout::BLOBS).map_err(failed)?;
                self.make_dir(&layout::shard_name(shard)).map_err(failed)?;
                rename()
            }
            other => other,
        };
        renamed.map_err(|error| failed(error.into()))?;
        incoming.name.clear();
        self.known.add(*key);
        let bytes = guard.bytes.saturating_add(layout::room(size));
        self.set_bytes(&mut guard, bytes);
        guard.blobs += 1;
        guard.oldest = guard.oldest.min(now());
        guard.changes += 1;
        Ok(true)
    }

    /// Makes a directory of the store unless it is there.
    pub(super) fn make_dir(&self, name: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.root, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

const USED_NOW: Timestamps = Timestamps {
    last_access: Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    },
    last_modification: Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    },
};

/// A file that is no blob yet. Dropped, it is removed.
struct Incoming<'a> {
    shelf: &'a Shelf,
    /// Empty after its renaming.
    name: String,
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // What cannot be removed now is removed when the store is next opened.
            let _ = self.shelf.remove_anything(self.name.as_bytes());
        }
    }
}

/// All bytes of an open file, or why it is no blob.
fn read_all(file: &mut File, found: &Found) -> Result<Vec<u8>, String> {
    if !found.regular {
        return Err("it is not a regular file".to_owned());
    }
    if found.size > MAX_BLOB {
        return Err(format!("its {} bytes are more than a blob has", found.size));
    }
    // No more than its size, in one call: a file that grows or shrinks meanwhile is no blob, and its digest says so.
    let mut bytes = vec![0; usize::try_from(found.size).unwrap_or(0)];
    file.read_exact(&mut bytes)
        .map_err(|error| format!("it cannot be read: {error}"))?;
    Ok(bytes)
}
