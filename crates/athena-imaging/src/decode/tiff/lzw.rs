//! TIFF's LZW: codes from the top bit, widths that grow one code early.
//!
//! As in GIF, a code stands for a string that the output holds already: the one before it and its own first byte.

use crate::decode::strings::copy_forward;

const CLEAR: usize = 256;
const END: usize = 257;
const FIRST: usize = 258;
const MIN_BITS: u32 = 9;
const MAX_BITS: u32 = 12;
/// libtiff's table has room for codes that twelve bits cannot name.
const MAX_CODES: usize = 4095 + 1024;

#[derive(Clone, Copy, Default)]
struct Span {
    start: usize,
    len: usize,
}

/// Fills `output`; `false` if the data end or fail before, and the rest is zero.
pub(super) fn decode(bytes: &[u8], output: &mut [u8]) -> bool {
    let written = decode_some(bytes, output);
    output[written..].fill(0);
    written == output.len()
}

fn decode_some(bytes: &[u8], output: &mut [u8]) -> usize {
    let mut codes = Codes::new(bytes);
    let mut table = [Span::default(); MAX_CODES];
    // The entry to be defined next, `None` until the first clear code and when the table is full.
    let mut next = None;
    let mut previous = Span::default();
    let mut written = 0;
    while written < output.len() {
        let Some(code) = codes.next() else {
            return written;
        };
        let span = match (code, next) {
            (END, _) => return written,
            (CLEAR, _) => {
                codes.bits = MIN_BITS;
                next = Some(FIRST);
                let first = loop {
                    match codes.next() {
                        Some(CLEAR) => {}
                        Some(first) if first < CLEAR => break first,
                        _ => return written,
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
            (_, None) => return written,
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
            _ => return written,
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
    written
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
