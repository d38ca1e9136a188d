//! Large buffers that a thread keeps for its next image: fresh memory costs a page fault every 4 KiB.

use std::cell::RefCell;

/// Smaller buffers are the allocator's business.
const SMALLEST: usize = 256 << 10;
/// What a thread keeps at most of a kind: the frame of 20 megapixels.
const MOST: usize = 64 << 20;

thread_local! {
    static BYTES: Kept<u8> = const { Kept::new() };
    static WORDS: Kept<u32> = const { Kept::new() };
    #[cfg(feature = "native")]
    static BLOCKS: Kept<[i16; 64]> = const { Kept::new() };
}

/// Buffers for later.
struct Kept<T>(RefCell<Vec<Vec<T>>>);

impl<T: Copy> Kept<T> {
    const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    fn bytes(buffer: &Vec<T>) -> usize {
        buffer.capacity() * size_of::<T>()
    }

    /// The smallest one that is large enough. Where none is, the largest makes way for the one that will be made
    /// instead: there are never more than were in use at the same time.
    fn take(&self, len: usize) -> Option<Vec<T>> {
        if len * size_of::<T>() < SMALLEST {
            return None;
        }
        let mut kept = self.0.borrow_mut();
        let fitting = (0..kept.len()).filter(|&index| kept[index].capacity() >= len);
        if let Some(index) = fitting.min_by_key(|&index| kept[index].capacity()) {
            return Some(kept.swap_remove(index));
        }
        let largest = (0..kept.len()).max_by_key(|&index| kept[index].capacity())?;
        kept.swap_remove(largest);
        None
    }

    fn to_overwrite(&self, len: usize, zero: T) -> Vec<T> {
        match self.take(len) {
            Some(mut buffer) => {
                buffer.resize(len, zero);
                buffer
            }
            // Untouched pages of the system's: they are faulted in as they are written, not all at once.
            None => vec![zero; len],
        }
    }

    fn give_back(&self, buffer: Vec<T>) {
        if !(SMALLEST..=MOST).contains(&Self::bytes(&buffer)) {
            return;
        }
        let mut kept = self.0.borrow_mut();
        kept.push(buffer);
        while kept.iter().map(Self::bytes).sum::<usize>() > MOST {
            kept.remove(0);
        }
    }
}

/// A buffer of zeroes.
pub(crate) fn zeroed(len: usize) -> Vec<u8> {
    match BYTES.try_with(|kept| kept.take(len)).ok().flatten() {
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
    let buffer = BYTES.try_with(|kept| kept.to_overwrite(len, 0));
    buffer.unwrap_or_else(|_| vec![0; len])
}

/// Keeps a buffer for later, or lets it go.
pub(crate) fn give_back(buffer: Vec<u8>) {
    // A thread that ends has nothing to keep.
    let _ = BYTES.try_with(|kept| kept.give_back(buffer));
}

/// Words with whatever was last in them.
pub(crate) fn words_to_overwrite(len: usize) -> Vec<u32> {
    let words = WORDS.try_with(|kept| kept.to_overwrite(len, 0));
    words.unwrap_or_else(|_| vec![0; len])
}

/// Keeps words for later, or lets them go.
pub(crate) fn give_back_words(words: Vec<u32>) {
    let _ = WORDS.try_with(|kept| kept.give_back(words));
}

/// Blocks of coefficients with whatever was last in them.
#[cfg(feature = "native")]
pub(crate) fn blocks_to_overwrite(len: usize) -> Vec<[i16; 64]> {
    let blocks = BLOCKS.try_with(|kept| kept.to_overwrite(len, [0; 64]));
    blocks.unwrap_or_else(|_| vec![[0; 64]; len])
}

/// Keeps blocks for later, or lets them go.
#[cfg(feature = "native")]
pub(crate) fn give_back_blocks(blocks: Vec<[i16; 64]>) {
    let _ = BLOCKS.try_with(|kept| kept.give_back(blocks));
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
    fn growing_images_leave_no_smaller_buffers_behind() {
        for size in 1..10 {
            let (frame, resized) = (zeroed(size << 20), to_overwrite(SMALLEST));
            give_back(frame);
            give_back(resized);
        }
        let held = BYTES.with(|kept| kept.0.borrow().iter().map(Kept::bytes).sum::<usize>());
        assert_eq!(held, (9 << 20) + SMALLEST);
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_share() {
        for _ in 0..10 {
            give_back(Vec::with_capacity(MOST / 3));
        }
        give_back(Vec::with_capacity(MOST + 1));
        let held = BYTES.with(|kept| kept.0.borrow().iter().map(Kept::bytes).sum::<usize>());
        assert!(held <= MOST);
    }
}
