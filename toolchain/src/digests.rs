//! Digests of the files that compilers are made of. Owns a memory of them, by the files' stamps: one `as` serves many
//! compilers, and one compiler many languages.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::stamp::{Stamp, now};

/// A digest's bytes.
pub(crate) type Digest = [u8; 32];

/// Larger files are not compilers. The largest known is a libLLVM with debug information, 3 GB.
const FILE_LIMIT: u64 = 8 << 30;

/// Read at once.
const CHUNK: usize = 1 << 20;

/// Digests kept at most.
const KEPT: usize = 4096;

/// See the module's text.
#[derive(Default)]
pub(crate) struct Digests {
    known: Mutex<HashMap<Stamp, Digest>>,
}

impl Digests {
    /// The BLAKE3 digest of a regular file.
    pub(crate) fn of(&self, path: &Path) -> io::Result<Digest> {
        let started = now();
        let (mut file, stamp) = open(path)?;
        if let Some(digest) = self.lock().get(&stamp) {
            return Ok(*digest);
        }
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => hasher.update(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
        }
        let digest = *hasher.finalize().as_bytes();
        if Stamp::of(&file.metadata()?) != stamp {
            return Err(io::Error::other("it changes while it is read"));
        }
        if !stamp.changed_within(started, now()) {
            let mut known = self.lock();
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(stamp, digest);
        }
        Ok(digest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Stamp, Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a regular file of a reasonable size, without waiting for what is none.
pub(crate) fn open(path: &Path) -> io::Result<(File, Stamp)> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.len() > FILE_LIMIT {
        return Err(io::Error::other("it is too large"));
    }
    Ok((file, Stamp::of(&metadata)))
}

/// A digest of several things, each with its name and its length, so that no two lists look the same.
pub(crate) struct Sections(blake3::Hasher);

impl Sections {
    /// `purpose` keeps digests of different kinds apart.
    pub(crate) fn new(purpose: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(purpose))
    }

    pub(crate) fn add(&mut self, name: &[u8], bytes: &[u8]) {
        for part in [name, bytes] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    pub(crate) fn finish(&self) -> Digest {
        *self.0.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_remembered_until_the_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("as");
        let digests = Digests::default();
        std::fs::write(&path, "one").unwrap();
        let one = *blake3::hash(b"one").as_bytes();
        assert_eq!(digests.of(&path).unwrap(), one);
        while digests.lock().is_empty() {
            assert_eq!(digests.of(&path).unwrap(), one);
        }
        std::fs::write(&path, "two").unwrap();
        let two = *blake3::hash(b"two").as_bytes();
        assert_eq!(digests.of(&path).unwrap(), two);
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        let digests = Digests::default();
        for path in [&*fifo, directory.path(), Path::new("/dev/zero")] {
            assert!(digests.of(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn lists_that_join_to_the_same_bytes_differ() {
        let digest = |parts: &[(&[u8], &[u8])]| {
            let mut sections = Sections::new("test");
            for (name, bytes) in parts {
                sections.add(name, bytes);
            }
            sections.finish()
        };
        assert_ne!(digest(&[(b"a", b"bc")]), digest(&[(b"ab", b"c")]));
        assert_ne!(digest(&[(b"a", b"")]), digest(&[(b"a", b""), (b"", b"")]));
    }
}
