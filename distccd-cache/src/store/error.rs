//! What can go wrong with the store, in words for the owner of the machine. Owns no state.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why the store cannot be opened, or cannot take or give a blob.
///
/// Only [`StoreError::WrongDigest`] and [`StoreError::TooLarge`] are a client's fault. After any error of `put` or `get`
/// the store is as usable as before.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused something.
    #[error("the store cannot use {}: {source}", path.display())]
    Io {
        /// What was read, written or made.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk, the quota, or the file system's table of inodes is full, and no blob could be evicted for it.
    #[error("there is no room to write {}: {source} (free some space, or give --cache-size a smaller limit)", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not those that the digest names.
    #[error("the bytes have digest {found}, not {expected} as announced")]
    WrongDigest {
        /// The digest that came with the bytes, in hexadecimal.
        expected: String,
        /// What the bytes' digest is.
        found: String,
    },
    /// The blob is larger than [`MAX_BLOB`](super::MAX_BLOB).
    #[error("a blob of {0} bytes is larger than the store takes")]
    TooLarge(u64),
    /// Another process has the store open.
    #[error("{} is in use by another distccd{}: each needs a directory of its own", path.display(), process(*pid))]
    InUse {
        /// The store's directory.
        path: PathBuf,
        /// The other process, where it wrote its number down.
        pid: Option<u32>,
    },
    /// The directory holds something else. Nothing in it was touched.
    #[error("{} is not a store of distccd: {why} (give --cache-dir an empty directory or a new name)", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        why: String,
    },
    /// The directory is a store of another version of this program. Nothing in it was touched.
    #[error("{} is a store of another format, \"{found}\" and not \"{wanted}\": remove it, or give --cache-dir another directory", path.display())]
    OtherFormat {
        /// The directory.
        path: PathBuf,
        /// The format that its mark names.
        found: String,
        /// The format of this program.
        wanted: &'static str,
    },
    /// Somebody else could change the directory's files.
    #[error("{} cannot be trusted as a store: {why} (chown it to the daemon's user and chmod it to 0700)", path.display())]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// Who could.
        why: String,
    },
}

impl StoreError {
    /// The error for `path`, with a full disk told apart from everything else.
    pub(super) fn at(path: &Path, source: impl Into<io::Error>) -> Self {
        let path = path.to_owned();
        let source = source.into();
        let errno = source.raw_os_error();
        if errno == Some(Errno::NOSPC.raw_os_error()) || errno == Some(Errno::DQUOT.raw_os_error())
        {
            Self::Full { path, source }
        } else {
            Self::Io { path, source }
        }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}
