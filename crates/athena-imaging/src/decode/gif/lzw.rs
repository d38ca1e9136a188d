//! GIF's variable-length codes.
//!
//! A code stands for a string that the output holds already: the one before it and its own first byte. So the table
//! keeps where strings are, and decoding is copying within the output. An end code resets the table and only ends the data
//! at the end of the last block; that, and what passes for a full image, is as in OpenCV.

use crate::decode::reader::Reader;
use crate::decode::strings::copy_forward;
use crate::{Budget, Format, ImageError};

const MAX_BITS: u32 = 12;
const MAX_CODES: usize = 1 << MAX_BITS;

/// Fills `output` with exactly as many indices as it takes.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    output: &mut [u8],
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let min_bits = u32::from(reader.u8()?);
    if !(2..MAX_BITS).contains(&min_bits) {
        return Err(corrupt("a code size outside 2 to 11"));
    }
    let clear = 1 << min_bits;
    let mut table = Table {
        strings: [Span::default(); MAX_CODES + 1],
        last: clear + 1,
        bits: min_bits + 1,
    };
    let (mut written, mut paid) = (0, 0);
    let (mut buffer, mut buffered) = (0_u64, 0);
    'blocks: loop {
        let block_len = usize::from(reader.u8()?);
        if block_len == 0 {
            break;
        }
        let mut block = reader.take(block_len)?;
        budget.charge((written - paid) as u64)?;
        paid = written;
        loop {
            while buffered <= 56
                && let Some((&byte, rest)) = block.split_first()
            {
                buffer |= u64::from(byte) << buffered;
                buffered += 8;
                block = rest;
            }
            if buffered < table.bits {
                break;
            }
            while buffered >= table.bits {
                let code = (buffer & ((1 << table.bits) - 1)) as usize;
                buffer >>= table.bits;
                buffered -= table.bits;
                let at_end = block.is_empty() && buffered < 8;
                if code & !1 == clear {
                    (table.last, table.bits) = (clear + 1, min_bits + 1);
                    if code != clear && at_end {
                        continue 'blocks;
                    }
                    continue;
                }
                if written == output.len() {
                    return if at_end && reader.u8()? == 0 {
                        Ok(())
                    } else {
                        Err(corrupt("more pixels than the image has"))
                    };
                }
                written = table.write(code, clear, output, written)?;
            }
        }
    }
    if written == output.len() {
        Ok(())
    } else {
        Err(corrupt("fewer pixels than the image has"))
    }
}

/// A string in the output.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    len: u32,
}

struct Table {
    strings: [Span; MAX_CODES + 1],
    /// The newest code, whose string still lacks its last byte: the first of the string to come.
    last: usize,
    bits: u32,
}

impl Table {
    /// Appends the string of `code` at `at` and gives the end of it.
    #[inline]
    fn write(
        &mut self,
        code: usize,
        literals: usize,
        output: &mut [u8],
        at: usize,
    ) -> Result<usize, ImageError> {
        let full = self.last == MAX_CODES;
        let len = if code < literals {
            output[at] = code as u8;
            1
        } else if code <= self.last.min(MAX_CODES - 1) && code > literals + 1 {
            let Span { start, len } = self.strings[code];
            copy(output, start as usize, at, len as usize)?;
            len as usize
        } else {
            return Err(corrupt("an undefined code"));
        };
        if !full {
            self.last += 1;
            self.strings[self.last] = Span {
                start: at as u32,
                len: len as u32 + 1,
            };
            if self.last == 1 << self.bits && self.bits < MAX_BITS {
                self.bits += 1;
            }
        }
        Ok(at + len)
    }
}

/// Copies a string that must still fit.
#[inline]
fn copy(output: &mut [u8], from: usize, to: usize, len: usize) -> Result<(), ImageError> {
    if len > output.len() - to {
        return Err(corrupt("more pixels than the image has"));
    }
    copy_forward(output, from, to, len);
    Ok(())
}

fn corrupt(message: &'static str) -> ImageError {
    ImageError::corrupt(Format::Gif, message)
}
