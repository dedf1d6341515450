//! The memory that requests are read into is there before the first one comes.
//!
//! fuser gives each thread a zeroed buffer of 16 MiB, of which the kernel makes a page only when something is written
//! to it. If a process is killed while a request is copied to such a page, the kernel cannot make it, and answers the
//! caller with EIO instead of keeping the request for the next server (Linux, mm/gup.c, `__get_user_pages`: -EINTR after
//! a fatal signal; fs/fuse/dev.c, `fuse_dev_do_read`). So what the largest request needs is touched when a buffer is
//! allocated, which only an allocator can know.

use std::alloc::{GlobalAlloc, Layout, System};

use super::capabilities::REQUEST_BYTES_MAX;

/// Nothing else in the program is allocated zeroed and as large as this (fuser, `MAX_WRITE_SIZE`).
const BUFFER_BYTES_MIN: usize = 16 * 1024 * 1024;
const PAGE_BYTES: usize = 4096;
/// The largest data, and more than what stands before it.
const TOUCHED_BYTES: usize = REQUEST_BYTES_MAX as usize + 2 * PAGE_BYTES;

/// What a thread's heap keeps of what was freed: a reply of the largest size, and what it is made of.
const HEAP_BYTES_KEPT: usize = 4 * REQUEST_BYTES_MAX as usize;

/// Has buffers be mappings of their own, of which only what is touched takes memory. By itself glibc, once it has freed
/// one, takes the next from the heap, and writes zeros over all of it (mallopt(3), `M_MMAP_THRESHOLD`).
///
/// Whoever sets that one has to set the other: glibc then stops to learn both, and would give the memory of each large
/// reply back to the kernel, which has to make its pages anew for the next (mallopt(3), `M_TRIM_THRESHOLD`).
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library offers mallopt")]
pub(super) fn map_buffers() {
    let threshold = libc::c_int::try_from(BUFFER_BYTES_MIN / 2).unwrap_or(libc::c_int::MAX);
    let kept = libc::c_int::try_from(HEAP_BYTES_KEPT).unwrap_or(libc::c_int::MAX);
    // SAFETY: they set numbers of the allocator's, under the allocator's own lock.
    let set = unsafe {
        [
            libc::mallopt(libc::M_MMAP_THRESHOLD, threshold),
            libc::mallopt(libc::M_TRIM_THRESHOLD, kept),
        ]
    };
    if set.contains(&0) {
        log::debug!("buffers may take more memory than they need");
    }
}

/// Other allocators map what is large.
#[cfg(not(target_env = "gnu"))]
pub(super) fn map_buffers() {}

#[global_allocator]
static ALLOCATOR: Touching = Touching;

/// The system's allocator, but for buffers.
struct Touching;

// SAFETY: every call is passed on to the system's allocator as it is; what is added writes zeros into zeroed memory that
// nobody else has yet.
#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
unsafe impl GlobalAlloc for Touching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is that of this trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is that of this trait.
        let at = unsafe { System.alloc_zeroed(layout) };
        if layout.size() >= BUFFER_BYTES_MIN && !at.is_null() {
            for offset in (0..TOUCHED_BYTES).step_by(PAGE_BYTES) {
                // SAFETY: `offset` is inside of what was allocated, and its zero stays one.
                unsafe { at.add(offset).write_volatile(0) };
            }
        }
        at
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: `at` came from the system's allocator; the rest is the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}
