use super::super::header::Definition;
use super::bits::{Window, extend};

/// Bits that index a table.
pub(in crate::decode::jpeg) const PEEK: u32 = 11;
const ENTRIES: usize = 1 << PEEK;

/// Codes to symbols.
#[derive(Debug)]
pub(in crate::decode::jpeg) struct Codes {
    /// By the next bits: the symbol above the length of its code; 0 for longer ones.
    short: [u16; ENTRIES],
    /// By length: the first code that is longer, left-aligned in 16 bits, and what is added to a code for its symbol's place.
    long: [(u32, i32); 17],
    symbols: [u8; 256],
}

impl Codes {
    /// `None` when there are more codes of some length than that has room for.
    pub(in crate::decode::jpeg) fn new(definition: &Definition) -> Option<Self> {
        let mut codes = Self {
            short: [0; ENTRIES],
            long: [(0, 0); 17],
            symbols: definition.symbols,
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16 {
            let count = usize::from(definition.counts[length - 1]);
            if place + count > 256 || code as usize + count > 1 << length {
                return None;
            }
            let offset = place as i32 - code as i32;
            if length <= PEEK as usize {
                let span = ENTRIES >> length;
                for &symbol in &definition.symbols[place..place + count] {
                    let entry = u16::from(symbol) << 8 | length as u16;
                    codes.short[code as usize * span..][..span].fill(entry);
                    code += 1;
                }
            } else {
                code += count as u32;
            }
            place += count;
            codes.long[length] = (code << (16 - length), offset);
            code <<= 1;
        }
        Some(codes)
    }

    /// The symbol that bits begin with and the length of its code, unless that is longer than they are.
    pub(in crate::decode::jpeg) fn short(&self, bits: usize) -> Option<(u8, u32)> {
        let entry = self.short[bits];
        (entry != 0).then_some(((entry >> 8) as u8, u32::from(entry & 0xFF)))
    }

    /// Takes the next symbol; `None` if the bits are not a code. The window is full.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn take(&self, window: &mut Window<'_>) -> Option<u8> {
        let entry = self.short[window.peek::<PEEK>()];
        if entry != 0 {
            window.skip((entry & 0xFF).into());
            return Some((entry >> 8) as u8);
        }
        let (symbol, len) = self.long(window.peek::<16>() as u32)?;
        window.skip(len);
        Some(symbol)
    }

    /// The symbol that 16 bits begin with and the length of its code, which is a long one.
    #[cold]
    fn long(&self, bits: u32) -> Option<(u8, u32)> {
        let length = (PEEK as usize + 1..=16).find(|&length| bits < self.long[length].0)?;
        let place = (bits >> (16 - length)) as i32 + self.long[length].1;
        let symbol = self.symbols.get(usize::try_from(place).ok()?)?;
        Some((*symbol, length as u32))
    }
}

/// One or two coefficients that the next bits hold entirely, in 32 bits.
///
/// A single one is written twice, to the same place; the end of a block is a zero at a place that is zero already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step(u32);

impl Step {
    const LAST: u32 = 1 << 6;
    const WIDE: u32 = 1 << 7;
    const EMPTY: u32 = 1 << 12;

    fn new(len: u32, first: (u32, i32), second: Option<(u32, i32)>, last: bool) -> Self {
        let (ahead, value) = second.map_or((0, first.1), |(run, value)| (run + 1, value));
        let signed = |value: i32| value as u32 & 0x7F;
        let flags = if last { Self::LAST } else { 0 };
        Self(len | flags | first.0 << 8 | ahead << 13 | signed(first.1) << 18 | signed(value) << 25)
    }

    /// Whether the bits do not hold it: a long code, a large value, or no code at all.
    #[inline(always)]
    pub(super) fn is_wide(self) -> bool {
        self.0 & Self::WIDE != 0
    }

    /// Whether the block ends behind it.
    #[inline(always)]
    pub(super) fn is_last(self) -> bool {
        self.0 & Self::LAST != 0
    }

    /// Whether it holds nothing but the end of the block.
    #[inline(always)]
    pub(super) fn is_empty(self) -> bool {
        self.0 & Self::EMPTY != 0
    }

    /// Bits it takes, in the low six.
    #[inline(always)]
    pub(super) fn len(self) -> u32 {
        self.0
    }

    /// Zeroes before the first coefficient, and its value.
    #[inline(always)]
    pub(super) fn first(self) -> (usize, i16) {
        (
            (self.0 >> 8 & 15) as usize,
            ((self.0 << 7) as i32 >> 25) as i16,
        )
    }

    /// How far the second coefficient is from the first, and its value.
    #[inline(always)]
    pub(super) fn second(self) -> (usize, i16) {
        ((self.0 >> 13 & 31) as usize, (self.0 as i32 >> 25) as i16)
    }
}

/// What a symbol and the bits behind it mean.
#[derive(Debug, Clone, Copy)]
enum Single {
    /// Zeroes, then a value; sixteen zeroes are fifteen and a value of zero.
    Value {
        run: u32,
        value: i32,
        len: u32,
    },
    End {
        len: u32,
    },
    Wide,
}

/// The codes of AC coefficients.
#[derive(Debug)]
pub(super) struct AcTable {
    pub(super) codes: Codes,
    pub(super) steps: [Step; ENTRIES],
}

impl AcTable {
    pub(super) fn new(definition: &Definition) -> Option<Self> {
        let codes = Codes::new(definition)?;
        let singles: [Single; ENTRIES] = std::array::from_fn(|bits| single(&codes, bits));
        let steps = std::array::from_fn(|bits| step(&singles, bits));
        Some(Self { codes, steps })
    }
}

fn single(codes: &Codes, bits: usize) -> Single {
    /// The largest that a step has room for.
    const MAX_SIZE: u32 = 6;
    let entry = codes.short[bits];
    if entry == 0 {
        return Single::Wide;
    }
    let (len, symbol) = (u32::from(entry & 0xFF), u32::from(entry >> 8));
    let (run, size) = (symbol >> 4, symbol & 15);
    match size {
        0 if run == 15 => Single::Value { run, value: 0, len },
        0 => Single::End { len },
        _ if len + size > PEEK || size > MAX_SIZE => Single::Wide,
        _ => {
            let len = len + size;
            let bits = (bits >> (PEEK - len)) as i32 & ((1 << size) - 1);
            Single::Value {
                run,
                value: extend(bits, size),
                len,
            }
        }
    }
}

fn step(singles: &[Single; ENTRIES], bits: usize) -> Step {
    match singles[bits] {
        Single::Wide => Step(Step::WIDE),
        Single::End { len } => Step(Step::new(len, (0, 0), None, true).0 | Step::EMPTY),
        Single::Value {
            run,
            value,
            len: first,
        } => {
            let fits = |len: u32| first + len <= PEEK;
            match singles[bits << first & (ENTRIES - 1)] {
                Single::End { len } if fits(len) => {
                    Step::new(first + len, (run, value), None, true)
                }
                Single::Value {
                    run: next,
                    value: second,
                    len,
                } if fits(len) => Step::new(first + len, (run, value), Some((next, second)), false),
                _ => Step::new(first, (run, value), None, false),
            }
        }
    }
}
