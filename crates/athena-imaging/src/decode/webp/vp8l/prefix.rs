use super::bits::Bits;
use crate::vp8l::LENGTHS_ORDER;

const LONGEST: usize = 15;

/// A prefix code, as a table by the next bits.
pub(super) struct PrefixCode {
    /// Bits of the longest code.
    bits: u32,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    symbol: u16,
    len: u8,
}

impl PrefixCode {
    /// Reads how long the code of each symbol is; none if libwebp would refuse it.
    pub(super) fn read(alphabet: usize, bits: &mut Bits<'_>) -> Option<Self> {
        let mut lengths = [0; 256 + 24 + (1 << super::MOST_CACHE_BITS)];
        if bits.flag() {
            let two = bits.flag();
            let first_bits = if bits.flag() { 8 } else { 1 };
            lengths[bits.read(first_bits)] = 1;
            if two {
                lengths[bits.read(8)] = 1;
            }
        } else {
            read_lengths(&mut lengths[..alphabet], bits)?;
        }
        Self::new(&lengths[..alphabet])
    }

    /// The canonical code of these lengths, if it is complete. A symbol that is alone has no bits.
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut used = (0..).zip(lengths).filter(|(_, len)| **len > 0);
        let (only, _) = used.next()?;
        if used.next().is_none() {
            let entries = vec![Entry {
                symbol: only,
                len: 0,
            }];
            return Some(Self { bits: 0, entries });
        }
        let mut counts = [0_usize; LONGEST + 1];
        lengths
            .iter()
            .for_each(|&len| counts[usize::from(len)] += 1);
        let room: usize = (1..=LONGEST)
            .map(|len| counts[len] << (LONGEST - len))
            .sum();
        let longest = (1..=LONGEST).rfind(|&len| counts[len] > 0)?;
        if room != 1 << LONGEST {
            return None;
        }
        let mut next = [0_usize; LONGEST + 2];
        for len in 1..=LONGEST {
            next[len + 1] = (next[len] + counts[len]) << 1;
        }
        let mut entries = vec![Entry::default(); 1 << longest];
        for (symbol, &len) in (0..).zip(lengths).filter(|(_, len)| **len > 0) {
            let code = &mut next[usize::from(len)];
            // Codes are written from their highest bit.
            let first = code.reverse_bits() >> (usize::BITS - u32::from(len));
            *code += 1;
            let places = entries.iter_mut().skip(first).step_by(1 << len);
            places.for_each(|entry| *entry = Entry { symbol, len });
        }
        Some(Self {
            bits: longest as u32,
            entries,
        })
    }

    /// The size of the table.
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(super) fn next(&self, bits: &mut Bits<'_>) -> usize {
        let entry = self.entries[bits.peek(self.bits)];
        bits.skip(entry.len.into());
        entry.symbol.into()
    }
}

/// Lengths that are themselves written in a prefix code.
fn read_lengths(lengths: &mut [u8], bits: &mut Bits<'_>) -> Option<()> {
    let mut of_lengths = [0; LENGTHS_ORDER.len()];
    let told = 4 + bits.read(4);
    for &symbol in &LENGTHS_ORDER[..told] {
        of_lengths[symbol] = bits.read(3) as u8;
    }
    let code = PrefixCode::new(&of_lengths)?;
    let mut symbols = lengths.len();
    if bits.flag() {
        let count = 2 + 2 * bits.read(3) as u32;
        symbols = Some(2 + bits.read(count)).filter(|&symbols| symbols <= lengths.len())?;
    }
    let (mut at, mut previous) = (0, 8);
    while at < lengths.len() && symbols > 0 {
        symbols -= 1;
        let (value, repeat) = match code.next(bits) {
            16 => (previous, 3 + bits.read(2)),
            17 => (0, 3 + bits.read(3)),
            18 => (0, 11 + bits.read(7)),
            len => (len as u8, 1),
        };
        lengths.get_mut(at..at + repeat)?.fill(value);
        at += repeat;
        if value > 0 {
            previous = value;
        }
    }
    Some(())
}
