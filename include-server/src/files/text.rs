//! Where the bytes of files are kept.
//!
//! An allocator keeps blocks of some 100 KiB in regions of several MiB, one for each of many sizes, and the kernel clears the
//! whole region in steps of 2 MiB. For the few large files of a project that costs more than all else that is done with
//! them, so each has pages of its own.

use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// From this size on, in bytes, a text has pages of its own.
const OWN_PAGES: usize = 64 << 10;

/// Bytes that do not change; a copy is the same bytes.
#[derive(Clone)]
pub struct Text(Kept);

#[derive(Clone)]
enum Kept {
    Block(Arc<[u8]>),
    Pages(Arc<Pages>),
}

impl Text {
    /// The first `most` bytes of a file, which has `most` - 1 unless it has just grown. (A regular file gives as much as it has
    /// at once.) `buffer` is room for small files, used again and again so that it stays in the processor's cache.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn read(
        file: &OwnedFd,
        most: usize,
        buffer: &mut Vec<u8>,
    ) -> rustix::io::Result<Text> {
        if most >= OWN_PAGES
            && let Ok(mut pages) = Pages::new(most)
        {
            pages.length = fill(file, pages.all())?;
            return Ok(Text(Kept::Pages(Arc::new(pages))));
        }
        if buffer.len() < most {
            buffer.resize(most.max(OWN_PAGES), 0);
        }
        let length = fill(file, &mut buffer[..most])?;
        Ok(Text(Kept::Block(buffer[..length].into())))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        **self == **other
    }
}

impl Deref for Text {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kept::Block(bytes) => bytes,
            Kept::Pages(pages) => pages,
        }
    }
}

/// Memory of its own, given back at once when nobody needs it.
struct Pages {
    start: NonNull<u8>,
    /// How much was asked for, at least 1.
    size: usize,
    /// How much of it is in use.
    length: usize,
}

// SAFETY: the memory belongs to this value alone, and is changed only through `&mut`.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// `size` bytes, at least 1, all zero.
    fn new(size: usize) -> rustix::io::Result<Pages> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // All at once costs less than page by page as they are met.
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        // SAFETY: a new mapping where the system likes touches no other memory.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), size, access, flags) }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Pages {
            start,
            size,
            length: 0,
        })
    }

    fn all(&mut self) -> &mut [u8] {
        // SAFETY: `size` bytes from `start` on are mapped, initialized, and ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

impl Deref for Pages {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: as in `all`; `length` is at most `size`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Reads until the buffer lacks its last byte only, which is not expected to be there, or the file ends.
fn fill(file: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    let mut length = 0;
    loop {
        match rustix::io::read(file, &mut buffer[length..]) {
            Ok(more) => {
                length += more;
                if more == 0 || length + 1 >= buffer.len() {
                    return Ok(length);
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    #[test]
    fn small_and_large_files_are_read_whole_and_no_further_than_asked() {
        let mut buffer = Vec::new();
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3 * OWN_PAGES).map(|at| (at % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let file = OwnedFd::from(file);
        for most in [
            1,
            2,
            1000,
            OWN_PAGES - 1,
            OWN_PAGES,
            OWN_PAGES + 1,
            3 * OWN_PAGES,
            3 * OWN_PAGES + 1,
        ] {
            let mut start = std::fs::File::from(file.try_clone().unwrap());
            start.rewind().unwrap();
            let text = Text::read(&file, most, &mut buffer).unwrap();
            // What is not asked for may be left out but for the last byte.
            assert!(text.len() + 1 >= most.min(bytes.len()) && text.len() <= most);
            assert_eq!(*text, bytes[..text.len()]);
            let copy = text.clone();
            drop(text);
            assert_eq!(*copy, bytes[..copy.len()]);
        }
    }
}
