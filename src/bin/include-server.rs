//! `include-server`: finds every header that a compile reads. See [`include_server::cli`].

use std::alloc::{GlobalAlloc, Layout};
use std::process::ExitCode;

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// A scan makes and drops many small lists; the C library's allocator took a sixth of its time.
///
/// mimalloc's functions for aligned blocks ask for more than they need (unless a block's size is a power of two), and never
/// grow a block in its place. Its other functions give blocks that are aligned for whatever may be in them.
struct Mimalloc;

/// The alignment that each block of at least that size has: `MI_MAX_ALIGN_SIZE`.
const ALIGNED_ANYWAY: usize = 16;

/// Whether a block has its alignment without being asked for it. All blocks are aligned for a pointer.
const fn is_plain(layout: &Layout) -> bool {
    layout.align() <= size_of::<usize>()
        || layout.align() <= ALIGNED_ANYWAY && layout.size() >= ALIGNED_ANYWAY
}

// SAFETY: mimalloc's functions do what is asked of an allocator; which of them gave a block does not matter to the others.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = match is_plain(&layout) {
            // SAFETY: as the caller's.
            true => unsafe { mi_malloc(layout.size()) },
            // SAFETY: as above.
            false => unsafe { mi_malloc_aligned(layout.size(), layout.align()) },
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = match is_plain(&layout) {
            // SAFETY: as the caller's.
            true => unsafe { mi_zalloc(layout.size()) },
            // SAFETY: as above.
            false => unsafe { mi_zalloc_aligned(layout.size(), layout.align()) },
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: as the caller's.
        unsafe { mi_free(block.cast()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let after = Layout::from_size_align(size, layout.align());
        let grown = match after.is_ok_and(|after| is_plain(&after)) {
            // SAFETY: as the caller's.
            true => unsafe { mi_realloc(block.cast(), size) },
            // SAFETY: as above.
            false => unsafe { mi_realloc_aligned(block.cast(), size, layout.align()) },
        };
        grown.cast()
    }
}

#[global_allocator]
static ALLOCATOR: Mimalloc = Mimalloc;

fn main() -> ExitCode {
    include_server::cli::main()
}
