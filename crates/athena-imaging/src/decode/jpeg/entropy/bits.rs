/// Unstuffed bytes kept at a time: little enough for the first-level cache.
const CHUNK: usize = 16 << 10;
/// What a read may look at beyond the bytes that count.
const PADDING: usize = 8;

/// The bits of a scan's entropy-coded data, from the most significant on, without its byte stuffing.
///
/// Nothing fails here: beyond the end there are zeroes, and [`overrun`](Self::overrun) tells.
#[derive(Debug)]
pub(in crate::decode::jpeg) struct Bits<'a> {
    /// What follows the chunk in the file.
    source: &'a [u8],
    chunk: Box<[u8; CHUNK + PADDING]>,
    /// Bytes of the chunk that are the file's.
    len: usize,
    /// The next byte that goes into the window.
    position: usize,
    /// The next bits, left-aligned.
    window: u64,
    /// Bits of the window that count.
    count: u8,
    /// Whether the chunk ends at a marker or at the end of the file.
    ended: bool,
}

impl<'a> Bits<'a> {
    pub(in crate::decode::jpeg) fn new(source: &'a [u8]) -> Self {
        let mut bits = Self {
            source,
            chunk: Box::new([0; CHUNK + PADDING]),
            len: 0,
            position: 0,
            window: 0,
            count: 0,
            ended: false,
        };
        bits.unstuff();
        bits
    }

    /// Bytes of the file that follow the chunk.
    pub(in crate::decode::jpeg) fn unread(&self) -> usize {
        self.source.len()
    }

    /// Makes the next `bytes` readable, as far as there are so many.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn reserve(&mut self, bytes: usize) {
        if self.position + bytes > self.len && !self.ended {
            self.unstuff();
        }
    }

    /// Moves what is unread to the front and fills the rest of the chunk.
    #[inline(never)]
    fn unstuff(&mut self) {
        self.chunk.copy_within(self.position..self.len, 0);
        self.len -= self.position;
        self.position = 0;
        let source = self.source;
        let mut at = 0;
        while self.len < CHUNK {
            if let Some((word, _)) = source[at..].split_first_chunk::<8>()
                && self.len + 8 <= CHUNK
                && !has_ff(u64::from_ne_bytes(*word))
            {
                self.chunk[self.len..][..8].copy_from_slice(word);
                self.len += 8;
                at += 8;
                continue;
            }
            match source[at..] {
                [0xFF, 0, ..] => {
                    self.chunk[self.len] = 0xFF;
                    at += 2;
                }
                [0xFF, ..] | [] => {
                    self.ended = true;
                    break;
                }
                [byte, ..] => {
                    self.chunk[self.len] = byte;
                    at += 1;
                }
            }
            self.len += 1;
        }
        self.source = &source[at..];
        self.chunk[self.len..][..PADDING].fill(0);
    }

    /// Hands the window to a loop that takes bits of what is readable.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn with<T>(
        &mut self,
        read: impl FnOnce(&mut Window<'_>) -> T,
    ) -> T {
        let mut window = Window {
            chunk: &self.chunk,
            position: self.position,
            bits: self.window,
            count: self.count,
        };
        let result = read(&mut window);
        (self.position, self.window, self.count) = (window.position, window.bits, window.count);
        result
    }

    /// Whether more bits were taken than there are, or so many that libjpeg might have stopped to ask for more data.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn overrun(&self) -> bool {
        const LOOKAHEAD: usize = 16;
        let there = match self.source {
            [0xFF, 1..=0xFE, ..] => self.len,
            _ if !self.ended => self.len,
            _ => self.len.saturating_sub(LOOKAHEAD),
        };
        self.position * 8 > there * 8 + usize::from(self.count)
    }

    /// The marker that follows the data and what is behind it, if all data has been taken.
    pub(in crate::decode::jpeg) fn finish(&self) -> Option<&'a [u8]> {
        let left = (self.len * 8 + usize::from(self.count)).checked_sub(self.position * 8)?;
        match self.source {
            [0xFF, 1..=0xFF, ..] if left < 8 => Some(self.source),
            _ => None,
        }
    }

    /// Goes on behind a restart marker; false if it is not `marker`, or not the next thing.
    pub(in crate::decode::jpeg) fn restart(&mut self, marker: u8) -> bool {
        let left = (self.len * 8 + usize::from(self.count)).checked_sub(self.position * 8);
        match self.source {
            [0xFF, found, rest @ ..]
                if *found == marker && self.ended && left.is_some_and(|left| left < 8) =>
            {
                self.source = rest;
                (self.len, self.position) = (0, 0);
                (self.window, self.count) = (0, 0);
                self.ended = false;
                self.unstuff();
                true
            }
            _ => false,
        }
    }
}

/// What a loop needs of [`Bits`]. Nobody else has a pointer to it, so that it stays in registers whatever else is written.
#[derive(Debug)]
pub(in crate::decode::jpeg) struct Window<'c> {
    chunk: &'c [u8; CHUNK + PADDING],
    position: usize,
    bits: u64,
    count: u8,
}

impl Window<'_> {
    /// Fills the window to 56 bits at least.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn refill(&mut self) {
        // Beyond the padding only after an overrun; any bits will do.
        let start = self.position.min(CHUNK);
        let word = self.chunk[start..].first_chunk().expect("the padding");
        self.bits |= u64::from_be_bytes(*word) >> self.count;
        self.position += usize::from((63 - self.count) >> 3);
        self.count |= 56;
    }

    /// The next `N` bits, which stay.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn peek<const N: u32>(&self) -> usize {
        (self.bits >> (64 - N)) as usize
    }

    /// Drops as many bits as the low six bits of `len` say.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn skip(&mut self, len: u32) {
        self.bits <<= len & 63;
        self.count = self.count.wrapping_sub((len & 63) as u8);
    }

    /// Takes `count` bits, at most 32.
    #[inline(always)]
    pub(in crate::decode::jpeg) fn take(&mut self, count: u32) -> usize {
        let bits = ((self.bits >> 1) >> (63 - count)) as usize;
        self.skip(count);
        bits
    }

    /// Takes a value of `size` bits, at most 15, and extends its sign (ITU-T T.81, figure F.12).
    #[inline(always)]
    pub(in crate::decode::jpeg) fn value(&mut self, size: u32) -> i32 {
        let bits = ((self.bits >> 1) >> (63 - size)) as i32;
        self.skip(size);
        extend(bits, size)
    }
}

/// Extends the sign of a value of `size` bits, without a branch: its sign is noise.
pub(in crate::decode::jpeg) fn extend(bits: i32, size: u32) -> i32 {
    let half = (1 << size) >> 1;
    bits + (((bits - half) >> 31) & (1 - (1 << size)))
}

/// Whether one of the bytes is 0xFF: one of the complement's is 0.
fn has_ff(word: u64) -> bool {
    const LOW: u64 = u64::from_ne_bytes([1; 8]);
    (!word).wrapping_sub(LOW) & word & (LOW << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(bits: &mut Bits<'_>) -> usize {
        bits.with(|window| {
            window.refill();
            window.take(8)
        })
    }

    #[test]
    fn stuffing_is_removed_and_a_marker_ends_the_bits() {
        let mut bits = Bits::new(&[0x12, 0xFF, 0, 0x34, 0xFF, 0xD0, 0x56, 0xFF, 0xD9]);
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(byte(&mut bits));
        }
        assert_eq!(taken, [0x12, 0xFF, 0x34]);
        assert!(!bits.overrun());
        assert!(!bits.restart(0xD1), "another marker");
        assert!(bits.restart(0xD0));
        assert_eq!(byte(&mut bits), 0x56);
        bits.with(|window| window.skip(1));
        assert!(bits.overrun());
    }

    #[test]
    fn a_long_stream_is_read_across_chunks() {
        let bytes: Vec<u8> = (0..CHUNK * 3).map(|i| (i % 251) as u8).collect();
        let mut bits = Bits::new(&bytes);
        for expected in &bytes[..bytes.len() - 16] {
            bits.reserve(100);
            assert_eq!(byte(&mut bits), usize::from(*expected));
            assert!(!bits.overrun());
        }
        byte(&mut bits);
        assert!(bits.overrun(), "no marker: libjpeg would ask for more");
    }

    #[test]
    fn values_are_signed() {
        assert_eq!([0, 1].map(|bits| extend(bits, 1)), [-1, 1]);
        assert_eq!([0, 3, 4, 7].map(|bits| extend(bits, 3)), [-7, -4, 4, 7]);
        assert_eq!(extend(0, 0), 0);
        assert_eq!([0, 0x7FFF].map(|bits| extend(bits, 15)), [-32767, 32767]);
    }

    #[test]
    fn a_word_with_ff_is_recognised() {
        assert!(!has_ff(u64::from_ne_bytes([
            0xFE, 0, 0x7F, 0x80, 1, 0xFE, 0xEF, 0xF7
        ])));
        for at in 0..8 {
            let mut bytes = [0xFE; 8];
            bytes[at] = 0xFF;
            assert!(has_ff(u64::from_ne_bytes(bytes)));
        }
    }
}
