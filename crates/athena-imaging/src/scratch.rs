//! Large buffers that a thread keeps for its next image: fresh memory costs a page fault every 4 KiB.

use std::cell::RefCell;

/// Smaller buffers are the allocator's business.
const SMALLEST: usize = 256 << 10;
/// What a thread keeps at most, in all: the frame of 20 megapixels.
const MOST: usize = 64 << 20;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of zeroes.
pub(crate) fn zeroed(len: usize) -> Vec<u8> {
    match take(len) {
        Some(mut buffer) => {
            buffer.clear();
            buffer.resize(len, 0);
            buffer
        }
        None => vec![0; len],
    }
}

/// A buffer with whatever was last in it, for those who write all of it.
pub(crate) fn to_overwrite(len: usize) -> Vec<u8> {
    match take(len) {
        Some(mut buffer) => {
            buffer.resize(len, 0);
            buffer
        }
        // Untouched pages of the system's: they are faulted in as they are written, not all at once.
        None => vec![0; len],
    }
}

/// The smallest kept buffer that is large enough.
fn take(len: usize) -> Option<Vec<u8>> {
    if len < SMALLEST {
        return None;
    }
    let take = |kept: &RefCell<Vec<Vec<u8>>>| {
        let mut kept = kept.borrow_mut();
        let fitting = kept
            .iter()
            .enumerate()
            .filter(|(_, buffer)| buffer.capacity() >= len);
        let (index, _) = fitting.min_by_key(|(_, buffer)| buffer.capacity())?;
        Some(kept.swap_remove(index))
    };
    KEPT.try_with(take).ok().flatten()
}

/// Keeps a buffer for later, or lets it go.
pub(crate) fn give_back(buffer: Vec<u8>) {
    if !(SMALLEST..=MOST).contains(&buffer.capacity()) {
        return;
    }
    // A thread that ends has nothing to keep.
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.push(buffer);
        while kept.iter().map(Vec::capacity).sum::<usize>() > MOST {
            kept.remove(0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_clean() {
        let mut buffer = zeroed(1 << 20);
        buffer.fill(7);
        let address = buffer.as_ptr();
        give_back(buffer);
        let again = zeroed(1 << 19);
        assert_eq!(again.as_ptr(), address);
        assert!(again.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_buffer_to_overwrite_has_its_length_and_no_new_memory() {
        let buffer = zeroed(1 << 20);
        let address = buffer.as_ptr();
        give_back(buffer);
        let shorter = to_overwrite(1 << 19);
        assert_eq!((shorter.as_ptr(), shorter.len()), (address, 1 << 19));
        give_back(shorter);
        let longer = to_overwrite(1 << 20);
        assert_eq!((longer.as_ptr(), longer.len()), (address, 1 << 20));
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_share() {
        for _ in 0..10 {
            give_back(Vec::with_capacity(MOST / 3));
        }
        give_back(Vec::with_capacity(MOST + 1));
        let held = KEPT.with(|kept| kept.borrow().iter().map(Vec::capacity).sum::<usize>());
        assert!(held <= MOST);
    }
}
