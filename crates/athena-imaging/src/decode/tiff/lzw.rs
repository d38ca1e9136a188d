//! TIFF's LZW: codes from the top bit, widths that grow one code early.
//!
//! As in GIF, a code stands for a string that the output holds already: the one before it and its own first byte.

use crate::decode::strings::copy_forward;
use crate::{Budget, ImageError};

const CLEAR: usize = 256;
const END: usize = 257;
const FIRST: usize = 258;
const MIN_BITS: u32 = 9;
const MAX_BITS: u32 = 12;
/// libtiff's table has room for codes that twelve bits cannot name.
const MAX_CODES: usize = 4095 + 1024;

/// Units of work between two payments.
const PIECE: usize = 64 << 10;

/// Where the strings are that codes stand for, from one strip to the next: what is not defined anew is never read.
pub(super) struct Strings(Box<[Span; MAX_CODES]>);

impl Default for Strings {
    fn default() -> Self {
        Self(Box::new([Span::default(); MAX_CODES]))
    }
}

#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    len: usize,
}

/// Fills `output`; `false` if the data end or fail before, and the rest is zero.
pub(super) fn decode(
    bytes: &[u8],
    output: &mut [u8],
    strings: &mut Strings,
    budget: &Budget<'_>,
) -> Result<bool, ImageError> {
    let written = decode_some(bytes, output, &mut strings.0, budget)?;
    output[written..].fill(0);
    Ok(written == output.len())
}

fn decode_some(
    bytes: &[u8],
    output: &mut [u8],
    table: &mut [Span; MAX_CODES],
    budget: &Budget<'_>,
) -> Result<usize, ImageError> {
    let mut codes = Codes::new(bytes);
    // Bytes read and written that are paid for. No more than a table's worth of codes lies between two clear codes, where
    // this is looked at.
    let mut paid = 0;
    // The entry to be defined next, `None` until the first clear code and when the table is full.
    let mut next = None;
    let mut previous = Span::default();
    let mut written = 0;
    while written < output.len() {
        let Some(code) = codes.next() else {
            return Ok(written);
        };
        let span = match (code, next) {
            (END, _) => return Ok(written),
            (CLEAR, _) => {
                codes.bits = MIN_BITS;
                next = Some(FIRST);
                let first = loop {
                    let done = bytes.len() - codes.bytes.len() + written;
                    if done - paid >= PIECE {
                        budget.charge((done - paid) as u64)?;
                        paid = done;
                    }
                    match codes.next() {
                        Some(CLEAR) => {}
                        Some(first) if first < CLEAR => break first,
                        _ => return Ok(written),
                    }
                };
                output[written] = first as u8;
                previous = Span {
                    start: written,
                    len: 1,
                };
                written += 1;
                continue;
            }
            (_, None) => return Ok(written),
            (literal, Some(_)) if literal < CLEAR => {
                output[written] = literal as u8;
                Span {
                    start: written,
                    len: 1,
                }
            }
            (code, Some(free)) if code <= free => {
                let from = if code == free {
                    Span {
                        len: previous.len + 1,
                        ..previous
                    }
                } else {
                    table[code]
                };
                let len = from.len.min(output.len() - written);
                copy_forward(output, from.start, written, len);
                Span {
                    start: written,
                    len: from.len,
                }
            }
            _ => return Ok(written),
        };
        if let Some(free) = next {
            table[free] = Span {
                len: previous.len + 1,
                ..previous
            };
            next = Some(free + 1).filter(|&free| free < MAX_CODES);
            if free + 1 > (1 << codes.bits) - 2 {
                codes.bits = (codes.bits + 1).min(MAX_BITS);
            }
        }
        previous = span;
        written = output.len().min(written + span.len);
    }
    budget.charge((bytes.len() - codes.bytes.len() + written - paid) as u64)?;
    Ok(written)
}

struct Codes<'a> {
    bytes: &'a [u8],
    buffer: u64,
    buffered: u32,
    bits: u32,
}

impl<'a> Codes<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            buffer: 0,
            buffered: 0,
            bits: MIN_BITS,
        }
    }

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.buffered < self.bits {
            if let Some((four, rest)) = self.bytes.split_first_chunk::<4>() {
                self.buffer = self.buffer << 32 | u64::from(u32::from_be_bytes(*four));
                self.buffered += 32;
                self.bytes = rest;
            } else {
                while self.buffered < self.bits {
                    let (&byte, rest) = self.bytes.split_first()?;
                    self.buffer = self.buffer << 8 | u64::from(byte);
                    self.buffered += 8;
                    self.bytes = rest;
                }
            }
        }
        self.buffered -= self.bits;
        Some((self.buffer >> self.buffered) as usize & ((1 << self.bits) - 1))
    }
}
