//! Which pixels are the same as earlier ones.

use super::{histogram::log2, picture::Picture};
use crate::scratch;

/// A copy of earlier pixels.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pub(super) len: usize,
    pub(super) distance: usize,
    /// About the bits that it saves.
    pub(super) gain: i32,
    /// The length of the longest, whether it saves bits or not.
    pub(super) longest: usize,
    /// Where the place is kept that was looked at; none at the end of a picture.
    slot: Option<Slot>,
}

/// Where places are kept that begin alike.
#[derive(Debug, Clone, Copy)]
struct Slot {
    index: usize,
    tag: u32,
}

/// Finds earlier pixels that are the same: next to the place, and in the last `WAYS` places that begin alike.
pub(super) struct Finder<'a, const BYTES: usize, const WAYS: usize> {
    pixels: &'a [[u8; BYTES]],
    width: usize,
    /// About the bits that pixels take as literals up to each place, in sixteenths.
    bits: &'a [u32],
    /// One more than the last place whose first pixels have this hash, and more of their hash.
    last: Vec<u32>,
    hash_bits: u32,
    /// For each place that may be found, the one before it in `last`.
    before: Vec<u32>,
}

impl<const BYTES: usize, const WAYS: usize> Drop for Finder<'_, BYTES, WAYS> {
    fn drop(&mut self) {
        scratch::give_back_words(std::mem::take(&mut self.last));
        scratch::give_back_words(std::mem::take(&mut self.before));
    }
}

/// Of the hashes' bits, at most: what is looked up at random should stay in the processor's caches.
const HASH_BITS: u32 = 15;
/// Bytes that are compared at once.
const STEP: usize = 8;
/// The same where the first ones were alike: most copies end soon, and most of the others are long.
const STRIDE: usize = 32;
/// Bytes that are hashed.
const HASHED: usize = 16;

/// About the bits of a copy from next to the pixel.
const NEAR: u32 = 10;
/// About the bits of a copy from elsewhere, less those that tell how far away it is.
const FAR: u32 = 14;

impl<'a, const BYTES: usize, const WAYS: usize> Finder<'a, BYTES, WAYS> {
    pub(super) fn new(picture: &'a Picture<BYTES>, bits: &'a [u32]) -> Self {
        let pixels = picture.pixels();
        let hash_bits = pixels.len().max(1).ilog2().clamp(8, HASH_BITS);
        let with_before = if WAYS > 1 { pixels.len() } else { 0 };
        let mut last = scratch::words_to_overwrite(2 << hash_bits);
        last.fill(0);
        Self {
            pixels,
            width: picture.width,
            bits,
            last,
            hash_bits,
            before: scratch::words_to_overwrite(with_before),
        }
    }

    /// Where the last place is kept that begins with the same five pixels, or with the same four of four bytes.
    #[inline(always)]
    fn slot(&self, at: usize) -> Option<Slot> {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let bytes = self.pixels[at..].as_flattened().first_chunk::<HASHED>()?;
        let bytes = u128::from_le_bytes(*bytes);
        let hash = if BYTES == 1 {
            (bytes as u64) << 24
        } else {
            (bytes as u64).wrapping_mul(ODD).rotate_left(29) ^ (bytes >> 64) as u64
        };
        let hash = hash.wrapping_mul(ODD);
        Some(Slot {
            index: (hash >> (64 - self.hash_bits)) as usize,
            tag: (hash >> 16) as u32,
        })
    }

    /// Lets the place be found that was looked at.
    #[inline(always)]
    pub(super) fn insert(&mut self, at: usize, found: &Found) {
        if let Some(slot) = found.slot {
            self.insert_in(slot, at);
        }
    }

    #[inline(always)]
    fn insert_in(&mut self, slot: Slot, at: usize) {
        // Within a run all places are alike; the first one is enough.
        let four = |at: usize| self.pixels[at..].first_chunk::<4>();
        if at > 0 && four(at - 1) == four(at) {
            return;
        }
        let [last, tag] = &mut self.last.as_chunks_mut::<2>().0[slot.index];
        if WAYS > 1 {
            self.before[at] = *last;
        }
        (*last, *tag) = (at as u32 + 1, slot.tag);
    }

    /// Lets the places of a copy be found. What a long one copies can be found where it was before: only its ends are new.
    pub(super) fn insert_copy(&mut self, from: usize, to: usize) {
        // Copies of indices are longer, and begin more often within earlier ones.
        let (start, end) = if BYTES == 1 { (8, 3) } else { (4, 2) };
        let mut insert = |places: std::ops::Range<usize>| {
            for at in places {
                if let Some(slot) = self.slot(at) {
                    self.insert_in(slot, at);
                }
            }
        };
        if WAYS == 1 {
            // Where few places are looked at, the first one is enough.
            insert(from..to.min(from + 1));
        } else if to - from <= start + end {
            insert(from..to);
        } else {
            insert(from..from + start);
            insert(to - end..to);
        }
    }

    /// The copy for a place that saves the most bits, of those of more than `beyond` pixels.
    #[inline(always)]
    pub(super) fn find(&self, at: usize, beyond: usize) -> Found {
        let slot = self.slot(at);
        let mut best = Found {
            longest: beyond,
            slot,
            ..Found::default()
        };
        if at >= self.width {
            self.consider(at, self.width, NEAR, &mut best);
        }
        if at >= 1 {
            self.consider(at, 1, NEAR, &mut best);
        }
        if let Some(slot) = slot {
            let [last, tag] = self.last.as_chunks::<2>().0[slot.index];
            // Of places before one that begins otherwise next to none is alike, and each look is a cache miss.
            let mut place = if tag == slot.tag { last } else { 0 };
            for _ in 0..WAYS {
                if place == 0 {
                    break;
                }
                let from = place as usize - 1;
                if self.pixels[from] != self.pixels[at] {
                    break;
                }
                let distance = at - from;
                self.consider(at, distance, FAR + (log2(distance as u32) >> 8), &mut best);
                if WAYS > 1 {
                    place = self.before[from];
                }
            }
        }
        best
    }

    /// Whether a pixel tells that no more than `beyond` are the same. Of indices two are looked at: to copy a single one
    /// saves nothing, but from the left, where there may be so many that their codes are short.
    #[inline(always)]
    fn differ(&self, from: usize, at: usize, beyond: usize) -> bool {
        if BYTES == 1 && at - from > 1 {
            let before = beyond.saturating_sub(1);
            let two = |at: usize| self.pixels[at + before..].as_flattened().first_chunk::<2>();
            at + before + 1 < self.pixels.len() && two(from) != two(at)
        } else {
            at + beyond < self.pixels.len()
                && self.pixels[from + beyond] != self.pixels[at + beyond]
        }
    }

    #[inline(always)]
    fn consider(&self, at: usize, distance: usize, told: u32, best: &mut Found) {
        let from = at - distance;
        let beyond = best.longest;
        if self.differ(from, at, beyond) {
            return;
        }
        let len = common(
            self.pixels[from..].as_flattened(),
            self.pixels[at..].as_flattened(),
        ) / BYTES;
        best.longest = beyond.max(len);
        let gain = (self.bits[at + len].wrapping_sub(self.bits[at]) / 16) as i32 - told as i32;
        if gain > best.gain {
            best.len = len;
            best.distance = distance;
            best.gain = gain;
        }
    }
}

/// How many bytes are the same from the first on; `b` is not longer.
#[inline(always)]
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let a = &a[..b.len()];
    let mut len = 0;
    while let (Some(x), Some(y)) = (a[len..].first_chunk::<STEP>(), b[len..].first_chunk()) {
        let different = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if different != 0 {
            return len + (different.trailing_zeros() / 8) as usize;
        }
        len += STEP;
        if len == STRIDE {
            let (x, y) = (a.as_chunks::<STRIDE>().0, b.as_chunks::<STRIDE>().0);
            let alike = x.iter().zip(y).take_while(|(x, y)| x == y);
            len = alike.count() * STRIDE;
        }
    }
    let rest = a[len..].iter().zip(&b[len..]);
    len + rest.take_while(|(x, y)| x == y).count()
}
