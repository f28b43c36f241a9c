//! What the system says about a file without reading it. Owns no state.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use protocol::bundle::number::{Body, put_number};
use protocol::error::WireError;

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

    fn put(&self, out: &mut Vec<u8>) {
        for number in [self.device, self.inode, self.size] {
            put_number(out, number);
        }
        for time in [self.modified, self.changed] {
            put_number(out, time.cast_unsigned());
        }
    }

    fn take(body: &mut Body<'_>) -> Result<Self, WireError> {
        let mut number = || body.number(u64::MAX);
        Ok(Self {
            device: number()?,
            inode: number()?,
            size: number()?,
            modified: number()?.cast_signed(),
            changed: number()?.cast_signed(),
        })
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

    /// Appends it, for [`Seen::take`].
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::There(stamp) => {
                out.push(THERE);
                stamp.put(out);
            }
            Self::Link(own, Ok(target)) => {
                out.push(LINK);
                own.put(out);
                target.put(out);
            }
            Self::Error(error) => {
                out.push(ERROR);
                put_error(out, *error);
            }
            Self::Link(own, Err(error)) => {
                out.push(BROKEN);
                own.put(out);
                put_error(out, *error);
            }
        }
    }

    /// Reads what [`Seen::put`] wrote.
    pub(crate) fn take(body: &mut Body<'_>) -> Result<Self, WireError> {
        Ok(match body.byte()? {
            THERE => Self::There(Stamp::take(body)?),
            LINK => Self::Link(Stamp::take(body)?, Ok(Stamp::take(body)?)),
            ERROR => Self::Error(take_error(body)?),
            BROKEN => Self::Link(Stamp::take(body)?, Err(take_error(body)?)),
            _ => return Err(WireError::BadNumber),
        })
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

// What stands in front of each kind.
const ERROR: u8 = 0;
const THERE: u8 = 1;
const LINK: u8 = 2;
const BROKEN: u8 = 3;

/// An error's number, or 0 where the system gave none.
fn put_error(out: &mut Vec<u8>, error: Option<i32>) {
    put_number(out, error.unwrap_or(0).cast_unsigned().into());
}

fn take_error(body: &mut Body<'_>) -> Result<Option<i32>, WireError> {
    let number = body.number(u32::MAX.into())? as u32;
    Ok(Some(number.cast_signed()).filter(|number| *number != 0))
}
