//! What stands at one path of a client's tree, its content named by digest.
//!
//! ```text
//! entry:  flags  path  then
//!           kind 0, a directory:   nothing
//!           kind 1, a link:        target
//!           kind 2, a file:        digest (32)  size  modified
//!         then, if flags has NAMED:  name
//! flags:  bits 0-1 the kind; bit 2 LATE; bit 3 SYSTEM; bit 4 ABSOLUTE; bit 5 NAMED
//! ```
//! `path`, `target` and `name` are byte strings. `modified` is a zigzag number: seconds since 1970 times two, minus one when negative.

use super::digest::{DIGEST_BYTES, Digest};
use super::number::{Body, put_bytes, put_number};
use crate::error::WireError;
use crate::limits::Limits;
use crate::tree_path::TreePath;

const KIND: u8 = 3;
const LATE: u8 = 4;
const SYSTEM: u8 = 8;
const ABSOLUTE: u8 = 16;
const NAMED: u8 = 32;

/// A path of the client's and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, by its real path: no component but the last is a link.
    pub path: TreePath,
    /// What it is.
    pub content: Content,
    /// Somebody looked for this path, or for a directory on the way to it, in vain before it came. A job that was offered with a shorter table must
    /// not see it: its own search may have passed here.
    pub late: bool,
    /// It lies in one of the compiler's own directories: a server may have the very same file.
    pub system: bool,
    /// The absolute name by which the compiler of the client opens a file, if it does. A server that shows files elsewhere has to put it into a
    /// `#line` directive.
    pub name: Name,
}

/// How the compiler names a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// By a name relative to the working directory, or nobody reads it.
    Relative,
    /// By its path.
    Path,
    /// By another absolute name, through links or `..`.
    Other(Vec<u8>),
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A directory, which has to exist.
    Directory,
    /// A symbolic link and its target.
    Link(Vec<u8>),
    /// A regular file.
    File {
        /// What it holds.
        digest: Digest,
        /// Bytes.
        size: u64,
        /// When it was last modified, in seconds since 1970. gcc tells files apart by it, and `__TIMESTAMP__` shows it.
        modified: i64,
    },
}

/// The shortest entry: flags, and a path of two bytes with its length.
const SHORTEST: usize = 4;

/// Appends an entry.
pub fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let kind = match entry.content {
        Content::Directory => 0,
        Content::Link(_) => 1,
        Content::File { .. } => 2,
    };
    let flag = |set, bit| if set { bit } else { 0 };
    let name = match entry.name {
        Name::Relative => 0,
        Name::Path => ABSOLUTE,
        Name::Other(_) => NAMED,
    };
    out.push(kind | flag(entry.late, LATE) | flag(entry.system, SYSTEM) | name);
    put_bytes(out, entry.path.as_bytes());
    match &entry.content {
        Content::Directory => {}
        Content::Link(target) => put_bytes(out, target),
        Content::File {
            digest,
            size,
            modified,
        } => {
            out.extend_from_slice(&digest.0);
            put_number(out, *size);
            put_number(out, ((modified << 1) ^ (modified >> 63)).cast_unsigned());
        }
    }
    if let Name::Other(name) = &entry.name {
        put_bytes(out, name);
    }
}

/// Reads an entry.
///
/// # Errors
/// [`WireError`]; a path that is no [`TreePath`], or not in its one normal form, is one.
pub fn take_entry(body: &mut Body<'_>, limits: &Limits) -> Result<Entry, WireError> {
    let flags = body.byte()?;
    let written = body.bytes(limits.path_bytes)?;
    let path = TreePath::new(written)?;
    if path.as_bytes() != written || flags & (ABSOLUTE | NAMED) == ABSOLUTE | NAMED {
        return Err(WireError::BadEntry);
    }
    let content = match flags & KIND {
        0 => Content::Directory,
        1 => Content::Link(body.bytes(limits.path_bytes)?.to_vec()),
        2 => {
            let digest = Digest(body.array::<DIGEST_BYTES>()?);
            let size = body.number(limits.plain_bytes as u64)?;
            let zigzag = body.number(u64::MAX)?;
            Content::File {
                digest,
                size,
                modified: (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed(),
            }
        }
        _ => return Err(WireError::BadEntry),
    };
    let name = match flags & (ABSOLUTE | NAMED) {
        0 => Name::Relative,
        ABSOLUTE => Name::Path,
        _ => Name::Other(body.bytes(limits.path_bytes)?.to_vec()),
    };
    if flags > (KIND | LATE | SYSTEM | ABSOLUTE | NAMED) {
        return Err(WireError::BadEntry);
    }
    Ok(Entry {
        path,
        content,
        late: flags & LATE != 0,
        system: flags & SYSTEM != 0,
        name,
    })
}

/// Appends a count and the entries.
pub fn put_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    put_number(out, entries.len() as u64);
    entries.iter().for_each(|entry| put_entry(out, entry));
}

/// Reads what [`put_entries`] wrote.
///
/// # Errors
/// As [`take_entry`].
pub fn take_entries(body: &mut Body<'_>, limits: &Limits) -> Result<Vec<Entry>, WireError> {
    let count = body.count(limits.files, SHORTEST)?;
    (0..count).map(|_| take_entry(body, limits)).collect()
}
