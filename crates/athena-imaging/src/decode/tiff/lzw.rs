//! TIFF's LZW: codes from the top bit, widths that grow one code early; or, as libtiff once wrote them, codes from the lowest
//! bit and widths that grow in time.
//!
//! A code stands for the string of the code before its definition, and one byte more. The output holds that string, but to read
//! what was just written in pieces of other sizes makes a processor wait; so short strings are kept in a table as well.

use crate::decode::strings::copy_forward;
use crate::{Budget, ImageError};

const CLEAR: usize = 256;
/// Behind the code that ends the data.
const FIRST: usize = 258;
const MIN_BITS: u32 = 9;
const MAX_BITS: u32 = 12;
/// libtiff's table has room for codes that twelve bits cannot name.
const MAX_CODES: usize = 4095 + 1024;

/// Units of work between two payments.
const PIECE: usize = 64 << 10;
/// Codes that a full bit buffer has for sure.
const AT_ONCE: usize = 4;

/// What is kept from one strip to the next.
pub(super) struct Decoder {
    table: Box<Table>,
    /// libtiff goes by the first strip.
    order: Option<BitOrder>,
}

/// The strings that codes stand for. What is not defined anew after a clear code is never read.
struct Table {
    strings: [Short; MAX_CODES + 1],
    /// Where the string of each code starts in the output. One starts where the last byte of the one before lies, since strings are
    /// written in the order of their codes.
    starts: [u32; MAX_CODES + 1],
}

/// A string of up to seven bytes, the first one lowest, with its length on top; of a longer one the beginning, and `LONG`.
#[derive(Clone, Copy)]
struct Short(u64);

impl Short {
    const BYTES: u64 = (1 << 56) - 1;
    const MAX: usize = 7;
    const LONG: usize = 8;

    #[inline(always)]
    fn len(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// This string and the first byte of another.
    #[inline(always)]
    fn followed_by(self, other: Self) -> Self {
        let len = self.len();
        // Of what is long already, or becomes it, the byte goes where the length is.
        let byte = (other.0 & 0xFF) << (8 * len.min(Self::MAX));
        let grown = (len + 1).min(Self::LONG) as u64;
        Self((self.0 | byte) & Self::BYTES | grown << 56)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BitOrder {
    TopFirst,
    LowestFirst,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            table: Box::new(Table {
                strings: std::array::from_fn(|code| Short(1 << 56 | (code & 0xFF) as u64)),
                starts: [0; MAX_CODES + 1],
            }),
            order: None,
        }
    }
}

impl Decoder {
    /// Fills `output`; `false` if the data end or fail before, and the rest is zero.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        output: &mut [u8],
        budget: &Budget<'_>,
    ) -> Result<bool, ImageError> {
        let order = *self.order.get_or_insert_with(|| match bytes {
            // A clear code from the lowest bit.
            [0, second, ..] if second & 1 == 1 => BitOrder::LowestFirst,
            _ => BitOrder::TopFirst,
        });
        let written = match order {
            BitOrder::TopFirst => decode::<false>(bytes, output, &mut self.table, budget)?,
            BitOrder::LowestFirst => decode::<true>(bytes, output, &mut self.table, budget)?,
        };
        output[written..].fill(0);
        Ok(written == output.len())
    }
}

/// Gives the bytes written.
fn decode<const LOWEST_FIRST: bool>(
    bytes: &[u8],
    output: &mut [u8],
    table: &mut Table,
    budget: &Budget<'_>,
) -> Result<usize, ImageError> {
    let mut codes = Codes::<LOWEST_FIRST>::new(bytes);
    // Before the first clear code the table counts as full.
    let mut at = Position {
        newest: MAX_CODES,
        previous: Short(0),
        written: 0,
    };
    // Bytes read and written that are paid for. Between two clear codes are no more than a table's worth of codes.
    let mut paid = 0;
    while at.written < output.len() {
        let done = codes.taken + at.written;
        if done - paid >= PIECE {
            budget.charge((done - paid) as u64)?;
            paid = done;
        }
        at = table.write_many(&mut codes, output, at);
        codes.widen(at.newest);
        let Some(code) = codes.next() else {
            break;
        };
        match code {
            CLEAR => {
                codes.bits = MIN_BITS;
                at.newest = FIRST - 1;
            }
            // Only a clear code may follow, or the end.
            _ if at.newest == MAX_CODES => break,
            _ if is_defined(code, at.newest) => at = table.write(code, output, at),
            _ => break,
        }
        codes.widen(at.newest);
    }
    budget.charge((codes.taken + at.written - paid) as u64)?;
    Ok(at.written)
}

/// How far a decoder is.
#[derive(Clone, Copy)]
struct Position {
    /// The newest code, which the string to come completes.
    newest: usize,
    /// The string that was written last.
    previous: Short,
    written: usize,
}

/// Asked in two ways that are foreseeable, unlike whether a code is below the clear code.
#[inline(always)]
fn is_defined(code: usize, newest: usize) -> bool {
    code <= newest && code & !1 != CLEAR
}

impl Table {
    /// Writes strings until the data or the room come near their end, the width changes, or a code is not a string's.
    ///
    /// A function of its own, with all that counts in registers.
    #[inline(never)]
    fn write_many<const LOWEST_FIRST: bool>(
        &mut self,
        codes: &mut Codes<'_, LOWEST_FIRST>,
        output: &mut [u8],
        mut at: Position,
    ) -> Position {
        let widest = codes.widest();
        while at.newest + AT_ONCE <= widest && codes.refill() {
            for _ in 0..AT_ONCE {
                let code = codes.peek();
                if output.len() - at.written < Short::LONG || !is_defined(code, at.newest) {
                    return at;
                }
                codes.skip();
                at = self.write(code, output, at);
            }
        }
        at
    }

    /// Completes the newest code by the string of `code`, and writes that as far as there is room.
    #[inline(always)]
    fn write(&mut self, code: usize, output: &mut [u8], at: Position) -> Position {
        let Position {
            newest,
            previous,
            written,
        } = at;
        // If `code` is the newest, its string begins as the previous one.
        self.strings[newest] = previous.followed_by(previous);
        let string = self.strings[code];
        self.strings[newest] = previous.followed_by(string);
        self.starts[newest + 1] = written as u32;
        let len = string.len();
        let len = match output[written..].first_chunk_mut::<8>() {
            Some(room) if len <= Short::MAX => {
                *room = string.0.to_le_bytes();
                len
            }
            _ => self.write_slowly(string, code, output, written),
        };
        Position {
            newest: newest + 1,
            previous: string,
            written: written + len,
        }
    }

    /// Writes a long string, or one that may not fit.
    #[inline(never)]
    fn write_slowly(&self, string: Short, code: usize, output: &mut [u8], at: usize) -> usize {
        let room = output.len() - at;
        let mut len = string.len().min(room);
        if string.len() <= Short::MAX {
            output[at..at + len].copy_from_slice(&string.0.to_le_bytes()[..len]);
        } else {
            let from = self.starts[code] as usize;
            len = (self.starts[code + 1] as usize - from + 1).min(room);
            copy_forward(output, from, at, len);
        }
        len
    }
}

struct Codes<'a, const LOWEST_FIRST: bool> {
    bytes: &'a [u8],
    /// Bytes that are in the buffer, or were.
    taken: usize,
    /// The next bits: from the top, or from the lowest.
    buffer: u64,
    buffered: u32,
    bits: u32,
}

impl<'a, const LOWEST_FIRST: bool> Codes<'a, LOWEST_FIRST> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            taken: 0,
            buffer: 0,
            buffered: 0,
            bits: MIN_BITS,
        }
    }

    /// The newest code that codes of this width can be read with.
    fn widest(&self) -> usize {
        match self.bits {
            MAX_BITS => MAX_CODES,
            bits if LOWEST_FIRST => 1 << bits,
            bits => (1 << bits) - 1,
        }
    }

    fn widen(&mut self, newest: usize) {
        if newest == self.widest() && self.bits < MAX_BITS {
            self.bits += 1;
        }
    }

    /// At least 56 bits, enough for [`AT_ONCE`] codes; `false` near the end of the data.
    #[inline(always)]
    fn refill(&mut self) -> bool {
        let Some(next) = self.bytes[self.taken..].first_chunk::<8>() else {
            return false;
        };
        // Bits beyond those that count are the same again with the next bytes.
        self.buffer |= if LOWEST_FIRST {
            u64::from_le_bytes(*next) << self.buffered
        } else {
            u64::from_be_bytes(*next) >> self.buffered
        };
        let bytes = (63 - self.buffered) / 8;
        self.taken += bytes as usize;
        self.buffered += 8 * bytes;
        true
    }

    /// The next code, which must be in the buffer.
    #[inline(always)]
    fn peek(&self) -> usize {
        let code = if LOWEST_FIRST {
            self.buffer & ((1 << self.bits) - 1)
        } else {
            self.buffer >> (64 - self.bits)
        };
        code as usize & ((1 << MAX_BITS) - 1)
    }

    #[inline(always)]
    fn skip(&mut self) {
        if LOWEST_FIRST {
            self.buffer >>= self.bits;
        } else {
            self.buffer <<= self.bits;
        }
        self.buffered -= self.bits;
    }

    /// The next code, if the data hold it whole.
    fn next(&mut self) -> Option<usize> {
        while self.buffered < self.bits {
            let byte = u64::from(*self.bytes.get(self.taken)?);
            self.buffer |= if LOWEST_FIRST {
                byte << self.buffered
            } else {
                byte << 56 >> self.buffered
            };
            self.taken += 1;
            self.buffered += 8;
        }
        let code = self.peek();
        self.skip();
        Some(code)
    }
}
