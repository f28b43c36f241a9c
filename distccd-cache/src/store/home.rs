//! Taking possession of a store's directory: whose it is, what it holds, and that nobody else has it. Owns the lock.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::error::StoreError;
use super::layout::{BLOBS, INCOMING, LOCK, MARK, NEW_MARK, NEW_STATE, SHARDS, STATE, shard_name};
use super::shelf::{Shard, Shelf, nanoseconds};
use super::state::{self, ShardState};

/// What the mark says. Another layout gets another number.
const FORMAT: &str = "pumphouse store, format 1";

/// More than any mark or lock file of ours has, in bytes.
const SMALL: u64 = 256;

/// What may be in a directory that is about to become a store: what a daemon that was killed here left, and what a new
/// file system has.
const NOBODYS: [&str; 4] = [LOCK, NEW_MARK, "lost+found", MARK];

/// A store's directory, in our possession until this is dropped.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) root: OwnedFd,
    pub(super) lock: Lock,
}

/// The locked file. The kernel unlocks it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child between its fork and its exec has the file open, too, and the lock with it.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl Home {
    /// Takes possession of `dir`, making it if it is not there.
    pub(super) fn enter(dir: &Path) -> Result<Self, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| StoreError::at(dir, error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dir, flags, Mode::empty())
            .map_err(|error| StoreError::at(dir, error))?;
        check_owner(dir, &root)?;
        // Before anything is written: it may be somebody's home directory.
        if !has_mark(dir, &root)?
            && let Some(name) = strangers_thing(dir, &root)?
            && !has_mark(dir, &root)?
        {
            let why = format!("it holds other things, such as {name}");
            return Err(not_a_store(dir, why));
        }
        let lock = take_lock(dir, &root)?;
        if !has_mark(dir, &root)? {
            write_mark(&root).map_err(|error| StoreError::at(&dir.join(MARK), error))?;
        }
        Ok(Self { root, lock })
    }
}

fn not_a_store(dir: &Path, why: String) -> StoreError {
    StoreError::NotAStore {
        path: dir.to_owned(),
        why,
    }
}

/// Blobs prove themselves by their digest, so others who can write here could not plant wrong ones; but they could remove
/// them, fill the disk in our name, and exchange directories under our feet.
fn check_owner(dir: &Path, root: &OwnedFd) -> Result<(), StoreError> {
    let stat = rustix::fs::fstat(root).map_err(|error| StoreError::at(dir, error))?;
    let us = rustix::process::geteuid().as_raw();
    let why = if stat.st_uid != us {
        format!("it belongs to user {} and not to user {us}", stat.st_uid)
    } else if stat.st_mode & 0o022 != 0 {
        format!("its mode {:04o} lets others write", stat.st_mode & 0o7777)
    } else {
        return Ok(());
    };
    Err(StoreError::Untrusted {
        path: dir.to_owned(),
        why,
    })
}

/// The bytes of a small file of ours, or nothing if it is not there.
fn read_small(root: &OwnedFd, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(root, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let about = file.metadata()?;
    if !about.is_file() || about.size() > most {
        let what = "it is not a small regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Whether the directory is marked as a store of this format.
fn has_mark(dir: &Path, root: &OwnedFd) -> Result<bool, StoreError> {
    let mark = read_small(root, MARK, SMALL);
    let Some(mark) = mark.map_err(|error| not_a_store(dir, format!("its {MARK}: {error}")))? else {
        return Ok(false);
    };
    let mark = String::from_utf8_lossy(&mark);
    if mark.strip_suffix('\n') == Some(FORMAT) {
        return Ok(true);
    }
    let line = mark.lines().next().unwrap_or_default();
    Err(StoreError::OtherFormat {
        path: dir.to_owned(),
        found: line.escape_debug().to_string(),
        wanted: FORMAT,
    })
}

/// The name of something in an unmarked directory that does not belong there.
fn strangers_thing(dir: &Path, root: &OwnedFd) -> Result<Option<String>, StoreError> {
    let failed = |error| StoreError::at(dir, error);
    for entry in Dir::read_from(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy();
        if name != "." && name != ".." && !NOBODYS.contains(&name.as_ref()) {
            return Ok(Some(name.escape_debug().to_string()));
        }
    }
    Ok(None)
}

fn take_lock(dir: &Path, root: &OwnedFd) -> Result<Lock, StoreError> {
    let failed = |error: io::Error| StoreError::at(&dir.join(LOCK), error);
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(root, LOCK, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| failed(error.into()))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let text = read_small(root, LOCK, SMALL).ok().flatten();
            let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
            return Err(StoreError::InUse {
                path: dir.to_owned(),
                pid: text.and_then(|text| text.trim().parse().ok()),
            });
        }
        Err(error) => return Err(failed(error.into())),
    }
    let file = File::from(lock);
    let pid = format!("{}\n", std::process::id());
    // Only for people; on a full disk the lock holds without it.
    let _ = file
        .set_len(0)
        .and_then(|()| file.write_all_at(pid.as_bytes(), 0));
    Ok(Lock(file))
}

fn write_file(root: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<File> {
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::TRUNC
        | OFlags::NONBLOCK
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(
        root,
        name,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?);
    file.write_all_at(bytes, 0)?;
    Ok(file)
}

fn write_mark(root: &OwnedFd) -> io::Result<()> {
    let file = write_file(root, NEW_MARK, format!("{FORMAT}\n").as_bytes())?;
    // Once in a store's life: a mark that a power cut emptied would make it unusable.
    file.sync_all()?;
    rustix::fs::renameat(root, NEW_MARK, root, MARK)?;
    Ok(())
}

/// Makes the directories that a store has, with nothing under way in them, and takes the totals of the last clean end.
/// Shards for which nothing vouches come as [`Shard::UNKNOWN`].
pub(super) fn settle_in(dir: &Path, root: &OwnedFd) -> Result<[Shard; SHARDS], StoreError> {
    let at = |name: &str| {
        let path = dir.join(name);
        move |error: io::Error| StoreError::at(&path, error)
    };
    match std::fs::remove_dir_all(dir.join(INCOMING)) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            std::fs::remove_file(dir.join(INCOMING)).map_err(at(INCOMING))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other.map_err(at(INCOMING))?,
    }
    for name in [INCOMING, BLOBS] {
        match rustix::fs::mkdirat(root, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(at(name)(error.into())),
        }
    }
    let blobs = rustix::fs::statat(root, BLOBS, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| at(BLOBS)(error.into()))?;
    if FileType::from_raw_mode(blobs.st_mode) != FileType::Directory {
        return Err(not_a_store(dir, format!("its {BLOBS} is not a directory")));
    }
    let state = take_state(root).map_err(at(STATE))?;
    let mut shards = [Shard::EMPTY; SHARDS];
    for (index, (shard, known)) in shards.iter_mut().zip(state).enumerate() {
        let name = shard_name(index);
        *shard = match rustix::fs::statat(root, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Shard::EMPTY,
            Err(error) => return Err(at(&name)(error.into())),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
                rustix::fs::unlinkat(root, name.as_str(), AtFlags::empty())
                    .map_err(|error| at(&name)(error.into()))?;
                tracing::warn!("removed {name} from the store: it is not a directory");
                Shard::EMPTY
            }
            Ok(stat) => match known {
                Some(known) if known.changed == nanoseconds(stat.st_mtime, stat.st_mtime_nsec) => {
                    known.shard
                }
                _ => Shard::UNKNOWN,
            },
        };
    }
    Ok(shards)
}

/// Reads the state and removes it: it is true until the first change only.
fn take_state(root: &OwnedFd) -> io::Result<state::State> {
    let text = read_small(root, STATE, state::LARGEST).ok().flatten();
    match rustix::fs::unlinkat(root, STATE, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    let state = text.and_then(|text| state::parse(&text));
    Ok(state.unwrap_or(state::UNKNOWN))
}

/// Writes down what is known of the shards, for the next [`settle_in`].
pub(super) fn write_state(shelf: &Shelf) -> io::Result<()> {
    let mut state = state::UNKNOWN;
    for (index, known) in state.iter_mut().enumerate() {
        // Held over the look at the directory, so that its time is that of these totals.
        let shard = shelf.shard(index);
        let name = shard_name(index);
        let stat = rustix::fs::statat(shelf.root(), name.as_str(), AtFlags::SYMLINK_NOFOLLOW);
        if let (true, Ok(stat)) = (shard.counted, stat) {
            *known = Some(ShardState {
                shard: *shard,
                changed: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            });
        }
    }
    write_file(shelf.root(), NEW_STATE, state::write(&state).as_bytes())?;
    rustix::fs::renameat(shelf.root(), NEW_STATE, shelf.root(), STATE)?;
    Ok(())
}
