//! Large buffers come from the system and go back to it.
//!
//! glibc stops doing so as soon as one has been freed: from then on buffers of that size and less are cut out of heaps, one
//! for each thread, that shrink only at their ends. Payloads live for as long as their answers take and are freed by other
//! threads than those that made them, so heaps keep about as much as is in use. This allocator is that of this library
//! alone: how the interpreter and other packages get their memory is their affair.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{copy_nonoverlapping, null_mut, write_bytes};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use libc::{
    MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, MREMAP_MAYMOVE, PROT_READ, PROT_WRITE, mmap, mremap,
    munmap,
};

/// From here on the system is asked: glibc's own threshold at first.
const LARGE: usize = 128 << 10;

/// Pages are at least as large as this everywhere.
const PAGE: usize = 4 << 10;

/// Free buffers that wait for the next of their size: each new page costs a page fault, which for raw frames is a tenth of
/// all the work. As many as are on their way from a thread that prepares to the connection.
static KEPT: [AtomicPtr<Free>; 4] = [const { AtomicPtr::new(null_mut()) }; 4];

/// A request of four images, or two raw frames, and no more: what is kept is in nobody's use.
const MOST_KEPT: usize = 2 << 20;

/// Which one makes way next.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// What a free buffer begins with.
struct Free {
    length: usize,
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// By the layout alone, so that a buffer is always given back to where it came from.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

/// Four lengths between a power of two and the next, so that buffers of about the same size can follow one another. Pages at
/// a buffer's end that nobody writes to take no memory.
fn length(size: usize) -> usize {
    size.next_multiple_of(size.next_power_of_two() / 8)
}

#[expect(unsafe_code, reason = "the system's memory is asked for")]
// SAFETY: memory comes from `System` or from `mmap`, which of them follows from a layout, and so does the length that was
// mapped, a multiple of `PAGE`; it is given back likewise. Nothing here unwinds or allocates.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            let length = length(layout.size());
            return kept(length).unwrap_or_else(|| mapped(length));
        }
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            let length = length(layout.size());
            return match kept(length) {
                Some(start) => {
                    // SAFETY: it is as long as its layout says.
                    unsafe { write_bytes(start, 0, layout.size()) };
                    start
                }
                // The kernel's pages are of zeroes.
                None => mapped(length),
            };
        }
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: it was mapped with this length, and nobody uses it any more.
            unsafe { give_back(start, length(layout.size())) };
        } else {
            // SAFETY: the caller's.
            unsafe { System.dealloc(start, layout) }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that makes a layout with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: the caller's.
            (false, false) => unsafe { System.realloc(start, layout, size) },
            (true, true) => {
                let (old, new) = (length(layout.size()), length(size));
                if old == new {
                    return start;
                }
                // SAFETY: it was mapped with this length, and its owner is the only one who uses it.
                found(unsafe { mremap(start.cast(), old, new, MREMAP_MAYMOVE) })
                    .unwrap_or(null_mut())
            }
            // SAFETY: the new buffer is not the old one, each is as long as its layout says, and the old one is given up
            // only where there is a new one.
            _ => unsafe {
                let fresh = self.alloc(wanted);
                if !fresh.is_null() {
                    copy_nonoverlapping(start, fresh, layout.size().min(size));
                    self.dealloc(start, layout);
                }
                fresh
            },
        }
    }
}

fn mapped(length: usize) -> *mut u8 {
    let (protection, flags) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    #[expect(unsafe_code, reason = "the system's memory is asked for")]
    // SAFETY: fresh memory, wherever the kernel likes.
    let start = unsafe { mmap(null_mut(), length, protection, flags, -1, 0) };
    found(start).unwrap_or(null_mut())
}

fn found(start: *mut libc::c_void) -> Option<*mut u8> {
    (start != MAP_FAILED).then_some(start.cast())
}

/// A buffer of this length that was kept. There is no lock that a fork could leave locked: whoever swaps a buffer out of its
/// place has it for itself.
fn kept(length: usize) -> Option<*mut u8> {
    if length > MOST_KEPT {
        return None;
    }
    for place in &KEPT {
        let free = place.swap(null_mut(), Ordering::Acquire);
        if free.is_null() {
            continue;
        }
        #[expect(unsafe_code, reason = "what is kept is asked for its length")]
        // SAFETY: a buffer in a place begins with its length, and this one is ours now.
        let its = unsafe { (*free).length };
        if its == length {
            return Some(free.cast());
        }
        put(place, free);
    }
    None
}

/// Keeps a buffer for the next of its length, or gives it back to the system.
///
/// # Safety
/// It was mapped with this length, and nobody uses it any more.
#[expect(unsafe_code, reason = "the system's memory is given back")]
unsafe fn give_back(start: *mut u8, length: usize) {
    if length > MOST_KEPT {
        // SAFETY: the caller's. It fails only for want of memory for the kernel's books, and then it stays mapped.
        unsafe { munmap(start.cast(), length) };
        return;
    }
    let free: *mut Free = start.cast();
    // SAFETY: it is large enough, and page-aligned.
    unsafe { free.write(Free { length }) };
    let unused = KEPT
        .iter()
        .find(|place| place.load(Ordering::Relaxed).is_null());
    let place = unused.unwrap_or_else(|| &KEPT[NEXT.fetch_add(1, Ordering::Relaxed) % KEPT.len()]);
    put(place, free);
}

/// Puts a buffer into a place. What is there makes way.
fn put(place: &AtomicPtr<Free>, free: *mut Free) {
    let before = place.swap(free, Ordering::AcqRel);
    if !before.is_null() {
        #[expect(unsafe_code, reason = "the system's memory is given back")]
        // SAFETY: as in `kept`; it was mapped with this length.
        unsafe {
            munmap(before.cast(), (*before).length);
        }
    }
}
