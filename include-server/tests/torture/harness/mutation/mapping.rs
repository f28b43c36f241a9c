//! Writes through shared memory, for which the kernel writes down no time but that of a page's first change.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use super::content::{file, size_of};
use super::{Mutator, shown};
use crate::harness::tree::Tree;

/// Bytes of a file, shared with the kernel.
pub(super) struct Mapping {
    file: File,
    start: *mut std::ffi::c_void,
    size: usize,
}

impl Mapping {
    fn new(file: File, size: usize) -> Option<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                size,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &file,
                0,
            )
        };
        Some(Self {
            file,
            start: start.ok()?,
            size,
        })
    }

    /// Whether it was written: not when the file has become shorter than the text.
    fn write(&mut self, text: &[u8]) -> bool {
        let there = self
            .file
            .metadata()
            .is_ok_and(|found| found.len() >= text.len() as u64);
        if !there || text.len() > self.size {
            return false;
        }
        // SAFETY: the mapping has `size` bytes and is writable; the file is at least as long as the text, and nobody makes
        // it shorter meanwhile: this thread alone changes the tree while it changes it through mappings.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), self.start.cast(), text.len()) };
        true
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, unmapped once.
        let _ = unsafe { rustix::mm::munmap(self.start, self.size) };
    }
}

fn map(mutator: &mut Mutator, tree: &Tree) -> Option<(PathBuf, Mapping)> {
    let path = file(mutator, tree)?;
    let file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
    let size = size_of(&path).filter(|&size| size > 0)?;
    Some((path, Mapping::new(file, size)?))
}

pub(super) fn write_through_a_mapping(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    let (path, mut mapping) = map(mutator, tree)?;
    let text = mutator.text(&path, Some(mapping.size));
    mapping
        .write(&text)
        .then(|| format!("write through a mapping of {}", shown(&path)))
}

/// A mapping that is kept: its later writes show in no time stamp and in no event.
pub(super) fn write_through_an_old_mapping(mutator: &mut Mutator, tree: &Tree) -> Option<String> {
    if mutator.mappings.len() < 6 || mutator.dice.chance(20) {
        let new = map(mutator, tree)?;
        mutator.mappings.push(new);
        if mutator.mappings.len() > 8 {
            let old = mutator.dice.below(mutator.mappings.len());
            mutator.mappings.swap_remove(old);
        }
    }
    let chosen = mutator.dice.below(mutator.mappings.len());
    let (path, mut mapping) = mutator.mappings.swap_remove(chosen);
    let text = mutator.text(&path, Some(mapping.size));
    let written = mapping.write(&text);
    mutator.mappings.push((path.clone(), mapping));
    written.then(|| format!("write through an old mapping of {}", shown(&path)))
}
