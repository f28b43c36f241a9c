//! What the server's own header files hold: digests, remembered as long as `stat` says that a file is the same. Owns that memory.
//!
//! Only files below the directories of toolchains are looked at, so that no client finds out about others.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry};

use crate::tree::{is_below, read_capped};
use crate::view::skeleton::TOOLCHAIN_ROOTS;

/// Files that are remembered; with more, all are forgotten.
const KEPT: usize = 1 << 16;

/// A larger file is no header.
const LARGEST: u64 = 64 << 20;

/// Times that are nearer to the moment of reading than this do not tell two writes apart.
const COARSE: Duration = Duration::from_millis(50);

/// Device, inode, size, and the times of modification and change in seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// See the module's text.
#[derive(Debug, Default)]
pub struct OwnFiles {
    known: Mutex<HashMap<PathBuf, (Stamp, Digest)>>,
}

impl OwnFiles {
    /// The digest of the server's file of this path, with links followed; `None` when there is no such regular file below a toolchain's directory, or it cannot be
    /// read.
    #[must_use]
    pub fn digest(&self, path: &[u8]) -> Option<Digest> {
        self.ask(path, None)
    }

    /// Whether the server's file of this path has this digest.
    #[must_use]
    pub fn has(&self, path: &[u8], digest: &Digest) -> bool {
        self.digest(path) == Some(*digest)
    }

    /// Whether the same stands at an entry's path on this server.
    #[must_use]
    pub fn stands(&self, entry: &Entry) -> bool {
        let bytes = entry.path.as_bytes();
        let path = Path::new(OsStr::from_bytes(bytes));
        let meta = std::fs::symlink_metadata(path).ok();
        match &entry.content {
            Content::Directory => meta.is_some_and(|meta| meta.is_dir()),
            Content::Link(target) => {
                let own = std::fs::read_link(path);
                own.is_ok_and(|own| own.as_os_str().as_bytes() == target.as_slice())
            }
            Content::File { digest, .. } => {
                meta.is_some_and(|meta| meta.is_file()) && self.has(bytes, digest)
            }
        }
    }

    /// The bytes of the server's file of this path, if they have this digest.
    #[must_use]
    pub fn read(&self, path: &[u8], digest: &Digest) -> Option<Vec<u8>> {
        let mut bytes = None;
        match self.ask(path, Some(&mut bytes))? == *digest {
            true => bytes,
            false => None,
        }
    }

    /// The digest, and the bytes that it is of when they are wanted.
    fn ask(&self, path: &[u8], wanted: Option<&mut Option<Vec<u8>>>) -> Option<Digest> {
        let mut roots = TOOLCHAIN_ROOTS.iter();
        let normal = !path.split(|&b| b == b'/').any(|part| part == b"..");
        if !normal || !roots.any(|root| is_below(path, root.as_bytes())) {
            return None;
        }
        let path = Path::new(OsStr::from_bytes(path));
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.is_none() {
            let stamp = stamp(&std::fs::metadata(path).ok()?);
            if let Some((known, digest)) = lock().get(path)
                && *known == stamp
            {
                return Some(*digest);
            }
        }
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let file = options
            .read(true)
            .custom_flags(nonblocking)
            .open(path)
            .ok()?;
        let before = file.metadata().ok()?;
        if !before.is_file() {
            return None;
        }
        let content = read_capped(&file, before.len(), LARGEST).ok()?;
        let digest = Digest::of(&content);
        let after = file.metadata().ok()?;
        if stamp(&before) == stamp(&after) && is_old(&after) {
            let mut known = lock();
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(path.to_owned(), (stamp(&after), digest));
        }
        if let Some(wanted) = wanted {
            *wanted = Some(content);
        }
        Some(digest)
    }
}

fn stamp(meta: &Metadata) -> Stamp {
    (
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    )
}

/// Whether a later write would show in the times.
fn is_old(meta: &Metadata) -> bool {
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return false;
    };
    let changed = u64::try_from(meta.ctime()).unwrap_or(u64::MAX);
    let nanos = u32::try_from(meta.ctime_nsec()).unwrap_or(0);
    now.checked_sub(COARSE)
        .is_some_and(|then| Duration::new(changed, nanos) < then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_the_servers_own_headers_and_of_nothing_else() {
        let own = OwnFiles::default();
        let header = ["/usr/include/stdio.h", "/usr/include/stdlib.h"]
            .into_iter()
            .map(Path::new)
            .find(|path| path.exists())
            .unwrap_or(Path::new("/usr/bin/env"));
        let bytes = std::fs::read(header).expect("it can be read");
        let digest = Digest::of(&bytes);
        let header = header.as_os_str().as_bytes();
        assert_eq!(own.digest(header), Some(digest));
        assert!(own.has(header, &digest));
        assert_eq!(own.read(header, &digest), Some(bytes));
        assert_eq!(own.read(header, &Digest::of(b"other")), None);
        for path in [
            "/etc/passwd",
            "/usr/include",
            "/usr/../etc/passwd",
            "/usr/nothing.h",
            "relative.h",
        ] {
            assert_eq!(own.digest(path.as_bytes()), None, "{path}");
        }
    }
}
