//! What an image has used of its limits while it is decoded.

use std::cell::Cell;

use crate::memory::Memory;
use crate::{Format, ImageError, Limits};

/// Units of work between two questions whether the caller has given up: well under a millisecond.
const LOOK: u64 = 1 << 18;

/// The limits of one image, the work that it has cost so far, and the caller's patience.
///
/// Decoders charge what they are about to do, in pieces of at most a few milliseconds; the charge that exceeds the limit, or
/// that finds the caller gone, is an error.
pub(crate) struct Budget<'a> {
    format: Format,
    limits: &'a Limits,
    given_up: &'a dyn Fn() -> bool,
    memory: Option<&'a Memory>,
    reserved: Cell<u64>,
    /// What a decoder holds while another works for it.
    nested: Cell<u64>,
    spent: Cell<u64>,
    look_at: Cell<u64>,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(
        format: Format,
        limits: &'a Limits,
        given_up: &'a dyn Fn() -> bool,
        memory: Option<&'a Memory>,
    ) -> Self {
        Self {
            format,
            limits,
            given_up,
            memory,
            reserved: Cell::new(0),
            nested: Cell::new(0),
            spent: Cell::new(0),
            look_at: Cell::new(0),
        }
    }

    pub(crate) fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Pays for work before it is done. A unit is a byte that is read or written, or a pixel or coefficient that is touched;
    /// what takes much longer than a nanosecond costs several.
    #[inline]
    pub(crate) fn charge(&self, units: u64) -> Result<(), ImageError> {
        let spent = self.spent.get().saturating_add(units);
        self.spent.set(spent);
        if spent < self.look_at.get() {
            return Ok(());
        }
        self.look(spent)
    }

    #[cold]
    fn look(&self, spent: u64) -> Result<(), ImageError> {
        self.limits.check_work(self.format, spent)?;
        // So that the next charge beyond the limit looks again.
        let limit = self.limits.max_work.saturating_add(1);
        self.look_at.set(spent.saturating_add(LOOK).min(limit));
        self.check_patience()
    }

    /// What has been paid so far.
    #[cfg(feature = "native")]
    pub(crate) fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// Takes back what was paid since [`spent`](Self::spent) was this: somebody else does that work again.
    #[cfg(feature = "native")]
    pub(crate) fn forgive(&self, spent: u64) {
        self.spent.set(spent);
        self.look_at.set(0);
    }

    /// Whether the caller has given up, for loops that paid in advance.
    pub(crate) fn check_patience(&self) -> Result<(), ImageError> {
        if (self.given_up)() {
            Err(ImageError::cancelled())
        } else {
            Ok(())
        }
    }

    /// Admits a BGR frame of this size, or says which limit it breaks.
    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<(), ImageError> {
        self.limits.check_size(self.format, width, height)
    }

    /// Admits all that a decoder is going to hold, its output included. Asked before memory is taken.
    ///
    /// Where threads share memory the first call waits for room; so it must name the most that the image will need.
    pub(crate) fn admit(&self, bytes: u64) -> Result<(), ImageError> {
        let all = self.nested.get().saturating_add(bytes);
        self.limits.check_decoded_bytes(self.format, all)?;
        if let (Some(memory), 0) = (self.memory, self.reserved.get()) {
            memory.reserve(bytes, self.given_up)?;
            self.reserved.set(bytes);
        }
        Ok(())
    }

    /// What is admitted from here on comes on top of `bytes`: another decoder works for the one that holds them.
    pub(crate) fn nest(&self, bytes: u64) {
        self.nested.set(bytes);
    }
}

impl Drop for Budget<'_> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory {
            memory.release(self.reserved.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageErrorKind;

    fn limits(max_work: u64) -> Limits {
        Limits {
            max_work,
            ..Limits::default()
        }
    }

    #[test]
    fn work_is_admitted_up_to_the_limit_and_the_error_tells_both_figures() {
        let limits = limits(1_000_000);
        let budget = Budget::new(Format::Png, &limits, &|| false, None);
        for _ in 0..1000 {
            budget.charge(1000).expect("within the limit");
        }
        let error = budget.charge(1).unwrap_err();
        assert_eq!(error.kind(), ImageErrorKind::TooLarge);
        let text = error.to_string();
        assert!(
            text.contains("1000001") && text.contains("1000000"),
            "{text}"
        );
        assert!(budget.charge(0).is_err(), "and stays exceeded");
    }

    #[test]
    fn patience_is_asked_after_each_piece_of_work() {
        let limits = limits(u64::MAX);
        let asked = Cell::new(0_u32);
        let given_up = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        let budget = Budget::new(Format::Gif, &limits, &given_up, None);
        let charged = (0..).find(|_| budget.charge(LOOK / 4).is_err());
        assert_eq!((charged, asked.get()), (Some(12), 4));
    }
}
