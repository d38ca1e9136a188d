//! Memory that threads share.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ImageError;

/// How often one who waits for room asks whether its caller has given up.
const ASK: Duration = Duration::from_millis(5);

/// A number of bytes that several decoders share. Each reserves once, so nobody waits for more while holding some.
#[derive(Debug)]
pub(crate) struct Memory {
    most: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reserved: u64,
    /// Who waits, in the order of their coming: a large image is not overtaken for ever by small ones.
    waiting: VecDeque<u64>,
    next: u64,
}

impl Default for Memory {
    /// Room for some 25 progressive photographs of 12 megapixels at a time.
    fn default() -> Self {
        Self::new(2 << 30)
    }
}

impl Memory {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits until there is room, or until all others have ended: an image that needs more than everything has it alone.
    pub(crate) fn reserve(
        &self,
        bytes: u64,
        given_up: &dyn Fn() -> bool,
    ) -> Result<(), ImageError> {
        let mut state = self.lock();
        let me = state.next;
        state.next += 1;
        state.waiting.push_back(me);
        let mut result = Ok(());
        while result.is_ok() && !(state.waiting.front() == Some(&me) && self.fits(&state, bytes)) {
            let waited = self.changed.wait_timeout(state, ASK);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if given_up() {
                result = Err(ImageError::cancelled());
            }
            state = self.lock();
        }
        state.waiting.retain(|&waiting| waiting != me);
        if result.is_ok() {
            state.reserved += bytes;
        }
        self.changed.notify_all();
        result
    }

    fn fits(&self, state: &State, bytes: u64) -> bool {
        state.reserved == 0 || state.reserved.saturating_add(bytes) <= self.most
    }

    pub(crate) fn release(&self, bytes: u64) {
        if bytes > 0 {
            self.lock().reserved -= bytes;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::ImageErrorKind;

    #[test]
    fn who_finds_no_room_waits_for_those_who_have_it() {
        let memory = Memory::new(100);
        memory.reserve(60, &|| false).expect("room");
        memory.reserve(40, &|| false).expect("room");
        let (waits, waiting) = channel();
        std::thread::scope(|scope| {
            let memory = &memory;
            scope.spawn(move || {
                let announced = Cell::new(false);
                let given_up = || {
                    if !announced.replace(true) {
                        waits.send(()).expect("the test listens");
                    }
                    false
                };
                memory.reserve(50, &given_up).expect("room in the end");
            });
            waiting.recv().expect("it waits");
            memory.release(60);
        });
        assert_eq!(memory.lock().reserved, 90);
    }

    #[test]
    fn who_gives_up_gets_nothing() {
        let memory = Memory::new(100);
        memory.reserve(100, &|| false).expect("room");
        let error = memory.reserve(1, &|| true).unwrap_err();
        assert_eq!(error.kind(), ImageErrorKind::Cancelled);
        assert_eq!(memory.lock().reserved, 100);
    }

    #[test]
    fn what_is_larger_than_everything_has_it_alone() {
        let memory = Memory::new(100);
        memory
            .reserve(1000, &|| true)
            .expect("nobody else is there");
        memory.release(1000);
        assert_eq!(memory.lock().reserved, 0);
    }
}
