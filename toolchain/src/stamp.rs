//! What the system says about a file without reading it. Owns no state.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// Which file it is and which version of it: the kernel moves `changed` whenever content, times or names change, and
/// nobody can set it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Nanoseconds since 1970.
    modified: i64,
    /// Nanoseconds since 1970.
    changed: i64,
}

impl Stamp {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000) + rest;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file was changed between these moments, as far as the coarse clock of the kernel tells.
    pub(crate) fn changed_within(&self, from: i64, to: i64) -> bool {
        (from - GRANULARITY..=to + GRANULARITY).contains(&self.changed)
    }
}

/// A file that changes twice within this time may carry the same stamp: more than a tick of the slowest kernel clock.
const GRANULARITY: i64 = 20_000_000;

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX / 2)
    })
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This error, mostly that there is nothing.
    Error(Option<i32>),
    /// A file or a directory.
    There(Stamp),
    /// A link that leads to one, or to an error.
    Link(Stamp, Result<Stamp, Option<i32>>),
}

impl Seen {
    pub(crate) fn at(path: &Path) -> Self {
        let number = |error: io::Error| error.raw_os_error();
        match std::fs::symlink_metadata(path) {
            Err(error) => Self::Error(number(error)),
            Ok(own) if own.is_symlink() => {
                let target = std::fs::metadata(path).map(|target| Stamp::of(&target));
                Self::Link(Stamp::of(&own), target.map_err(number))
            }
            Ok(own) => Self::There(Stamp::of(&own)),
        }
    }

    pub(crate) fn changed_within(&self, from: i64, to: i64) -> bool {
        let within = |stamp: &Stamp| stamp.changed_within(from, to);
        match self {
            Self::Error(_) => false,
            Self::There(stamp) => within(stamp),
            Self::Link(own, target) => within(own) || target.as_ref().is_ok_and(within),
        }
    }
}
