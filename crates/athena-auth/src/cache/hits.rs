//! A counter that a cache hit can afford.
//!
//! An atomic addition costs a tenth of a hit, and several times a hit once many cores add to the
//! same line of memory. So the first threads that count have a slot each, to which nobody else
//! writes: a load and a store are enough there. Further threads share one more slot.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// As many as an `AtomicU32` has bits.
const SLOTS: usize = 32;

/// The slots that threads have taken, one bit each: the same in every counter.
static TAKEN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// This thread's slot: a plain number, which costs nothing to read. `SLOTS` stands for the
    /// shared one.
    static SLOT: Cell<usize> = const { Cell::new(UNKNOWN) };
    /// Gives the slot back when the thread ends.
    static OWNER: Owner = Owner::take();
}

/// The thread has not counted yet.
const UNKNOWN: usize = usize::MAX;

struct Owner(usize);

impl Owner {
    fn take() -> Self {
        // Pairs with the release in `drop`: the next owner of a slot sees what the last one counted.
        let taken = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            (taken != u32::MAX).then(|| taken | (taken + 1))
        });
        Self(taken.map_or(SLOTS, |taken| taken.trailing_ones() as usize))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What the thread still counts while it ends.
        SLOT.set(SLOTS);
        if self.0 < SLOTS {
            TAKEN.fetch_and(!(1 << self.0), Ordering::AcqRel);
        }
    }
}

/// A line of memory of its own, so that one core's writes do not slow another's.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(AtomicU64);

/// Counts.
#[derive(Debug)]
pub(super) struct Hits([Padded; SLOTS + 1]);

impl Hits {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Padded::default()))
    }

    pub(super) fn add(&self) {
        match self.0[..SLOTS].get(SLOT.get()) {
            Some(Padded(count)) => {
                let one_more = count.load(Ordering::Relaxed).wrapping_add(1);
                count.store(one_more, Ordering::Relaxed);
            }
            None => self.add_slowly(),
        }
    }

    #[cold]
    fn add_slowly(&self) {
        if SLOT.get() == UNKNOWN {
            SLOT.set(OWNER.try_with(|owner| owner.0).unwrap_or(SLOTS));
            self.add();
        } else {
            self.0[SLOTS].0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn total(&self) -> u64 {
        let counts = self.0.iter().map(|slot| slot.0.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_slots_lose_no_count() {
        let hits = Hits::new();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..3 * SLOTS {
                    scope.spawn(|| (0..1_000).for_each(|_| hits.add()));
                }
            });
        }
        assert_eq!(hits.total(), 3 * 3 * SLOTS as u64 * 1_000);
    }
}
