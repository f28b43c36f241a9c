//! Files that are read once: `#pragma once`, `#import`, and whose twin a file may be.
//!
//! To gcc a file is the same as one read before if size, modification time in seconds and content are equal; to clang if the inode
//! is. On the server times and inodes are others. Twins that gcc keeps apart by their times are sent with different numbers of
//! empty lines at their ends, which mean nothing, so that it keeps them apart there too; whatever else hangs on times declines.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::world::{World, unread};
use crate::atom::Atom;
use crate::closure::SearchKind;
use crate::decline::Decline;
use crate::entry::with_empty_lines;
use crate::facts::NodeId;
use crate::files::{FileContent, FileStamp};

impl World<'_> {
    /// Marks a record as read only once.
    pub(super) fn mark_once(&mut self, record: usize) {
        if let Some(touch) = self.touch(record) {
            touch.marks_once = true;
        }
        if !self.records[record].once {
            self.records[record].once = true;
            let size = self.records[record].file.content.stamp().size;
            self.once_by_size.entry(size).or_default().push(record);
        }
    }

    /// Whether the file was read before under another name and is read only once. With `import`, any file read before counts.
    pub(super) fn is_twin_of_once(&mut self, record: usize, import: bool) -> Result<bool, Decline> {
        if let Some(touch) = self.touch(record) {
            touch.compared = true;
        }
        let is_twin = self.has_twin(record, import)?;
        self.notes.spoiled |= is_twin;
        Ok(is_twin)
    }

    /// As [`World::is_twin_of_once`].
    pub(super) fn has_twin(&self, record: usize, import: bool) -> Result<bool, Decline> {
        let this = &self.records[record];
        let size = this.file.content.stamp().size;
        let once = self
            .once_by_size
            .get(&size)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let imported = if import { self.order.as_slice() } else { &[] };
        for &other in once.iter().chain(imported) {
            if other != record && self.are_twins(other, record)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Declines the `#import` of a file that `__has_include` may have found before in another way: gcc then takes it for read,
    /// although nobody has read it.
    pub(super) fn check_looked_for(
        &self,
        record: usize,
        name: Atom,
        kind: SearchKind,
    ) -> Result<(), Decline> {
        if self.configuration.compiler.is_clang() {
            return Ok(());
        }
        for &(other, how) in &self.looked_for {
            let taken_for_read = match other == record {
                true => how != Some((name, kind)),
                false => self.likeness(other, record)? != Likeness::Unlike,
            };
            if taken_for_read {
                return Err(Decline::Unsupported {
                    place: self.place(),
                    what: "#import of a file that __has_include has found in another way".into(),
                });
            }
        }
        Ok(())
    }

    /// Whether a file that has no record yet may be the twin of one that is read only once; a doubt counts.
    pub(super) fn resembles_once(&self, name: Atom, node: NodeId, content: &FileContent) -> bool {
        let once = self.once_by_size.get(&content.stamp().size);
        let mut once = once
            .into_iter()
            .flatten()
            .map(|&other| &self.records[other]);
        once.any(|other| {
            other.name != name
                && !matches!(
                    self.are_one(
                        (other.name, other.file.node, &other.file.content),
                        (name, node, content)
                    ),
                    Ok(Likeness::Unlike)
                )
        })
    }

    /// Whether two records are one file for the compiler, here and on any server; an answer that would differ there declines.
    fn are_twins(&self, first: usize, second: usize) -> Result<bool, Decline> {
        Ok(self.likeness(first, second)? == Likeness::One)
    }

    fn likeness(&self, first: usize, second: usize) -> Result<Likeness, Decline> {
        let (one, two) = (&self.records[first], &self.records[second]);
        self.are_one(
            (one.name, one.file.node, &one.file.content),
            (two.name, two.file.node, &two.file.content),
        )
    }

    fn are_one(
        &self,
        one: (Atom, NodeId, &FileContent),
        two: (Atom, NodeId, &FileContent),
    ) -> Result<Likeness, Decline> {
        let (stamp, other) = (one.2.stamp(), two.2.stamp());
        if stamp.size != other.size || !one.2.equals(two.2) {
            // The first file may have been deleted during the scan, and the second got its inode.
            return Ok(Likeness::Unlike);
        }
        if (stamp.device, stamp.inode) == (other.device, other.inode) {
            // Hard links become two files on the server.
            return match stamp.links == 1 || one.1 == two.1 {
                true => Ok(Likeness::One),
                false => Err(undecided(one.0, two.0)),
            };
        }
        if self.configuration.compiler.is_clang() {
            return Ok(Likeness::Unlike);
        }
        let seconds = |stamp: &FileStamp| stamp.modified.div_euclid(1_000_000_000);
        let text = one.2.bytes();
        let text = text.map_err(|error| unread(path(one.0), error))?;
        match seconds(stamp) != seconds(other) && ends_in_a_line(&text) {
            true => Ok(Likeness::Apart),
            false => Err(undecided(one.0, two.0)),
        }
    }

    /// At the end: files that were read before a twin of theirs became one that is read only once are looked at again, and
    /// twins that are kept apart get different numbers of empty lines.
    pub(super) fn check_twins(&mut self) -> Result<(), Decline> {
        if self.configuration.compiler.is_clang() || self.once_by_size.is_empty() {
            return Ok(());
        }
        for at in 0..self.order.len() {
            let record = self.order[at];
            let size = self.records[record].file.content.stamp().size;
            let mut taken = Vec::new();
            for &other in self.once_by_size.get(&size).into_iter().flatten() {
                if other != record && self.likeness(other, record)? == Likeness::Apart {
                    taken.push(self.records[other].empty_lines);
                }
            }
            if taken.contains(&self.records[record].empty_lines) {
                let most = taken.iter().max().copied().unwrap_or_default();
                self.records[record].empty_lines = most + 1;
            }
        }
        self.check_empty_lines()
    }

    /// Declines when a file with its empty lines becomes equal to another.
    fn check_empty_lines(&self) -> Result<(), Decline> {
        for &record in &self.order {
            let this = &self.records[record];
            if this.empty_lines == 0 {
                continue;
            }
            let text = this.file.content.bytes();
            let text = text.map_err(|error| unread(path(this.name), error))?;
            let sent = with_empty_lines(&text, this.empty_lines);
            let (size, digest) = (sent.len() as u64, blake3::hash(&sent));
            let mut others = self.order.iter().map(|&other| &self.records[other]);
            let same = |content: &FileContent| {
                content.size() == size && content.digest() == digest.as_bytes()
            };
            if let Some(other) = others.find(|other| same(&other.file.content)) {
                return Err(undecided(this.name, other.name));
            }
        }
        Ok(())
    }
}

/// What two files are to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// One file.
    One,
    /// Equal ones that the compiler keeps apart by their times.
    Apart,
    /// Two files.
    Unlike,
}

fn undecided(first: Atom, second: Atom) -> Decline {
    Decline::EqualOnceHeaders {
        first: path(first),
        second: path(second),
    }
}

/// Whether an empty line may follow: the last line is complete and does not go on.
fn ends_in_a_line(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_end();
    bytes.ends_with(b"\n") && !text.ends_with(b"\\") && !text.ends_with(b"??/")
}

fn path(name: Atom) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name.spelling()))
}
