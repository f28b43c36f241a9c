//! Files that are read once: `#pragma once`, `#import`, and whose twin a file may be.
//!
//! To gcc a file is the same as one read before if size, modification time in seconds and content are equal; to clang if the inode
//! is. On the server times and inodes are others, so what hangs on them declines.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::world::World;
use crate::atom::Atom;
use crate::closure::SearchKind;
use crate::decline::Decline;
use crate::facts::NodeId;
use crate::files::FileContent;

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
                false => self.are_twins(other, record)?,
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
                    Ok(false)
                )
        })
    }

    /// Whether two records are one file for the compiler, here and on any server; an answer that would differ there declines.
    fn are_twins(&self, first: usize, second: usize) -> Result<bool, Decline> {
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
    ) -> Result<bool, Decline> {
        let (stamp, other) = (one.2.stamp(), two.2.stamp());
        let undecided = || Decline::EqualOnceHeaders {
            first: path(one.0),
            second: path(two.0),
        };
        // Texts differ when the first file was deleted during the scan and the second got its inode.
        if (stamp.device, stamp.inode) == (other.device, other.inode)
            && one.2.bytes() == two.2.bytes()
        {
            if stamp.links == 1 || one.1 == two.1 {
                return Ok(true);
            }
            // Hard links become two files on the server.
            return Err(undecided());
        }
        if self.configuration.compiler.is_clang() {
            return Ok(false);
        }
        if stamp.size == other.size && one.2.bytes() == two.2.bytes() {
            return Err(undecided());
        }
        Ok(false)
    }

    /// At the end: a file that became read-only-once after its twin was read is as undecidable.
    pub(super) fn check_twins(&self) -> Result<(), Decline> {
        if self.configuration.compiler.is_clang() || self.once_by_size.is_empty() {
            return Ok(());
        }
        for &record in &self.order {
            let this = &self.records[record];
            let once = self
                .once_by_size
                .get(&this.file.content.stamp().size)
                .map(Vec::as_slice)
                .unwrap_or_default();
            for &other in once {
                if other != record {
                    self.are_twins(other, record)?;
                }
            }
        }
        Ok(())
    }
}

fn path(name: Atom) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name.spelling()))
}
