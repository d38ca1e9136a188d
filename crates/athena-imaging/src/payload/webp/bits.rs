use crate::scratch;

/// Writes bits, the least significant of each byte first.
#[derive(Debug)]
pub(super) struct BitWriter {
    /// Whole bytes up to `end`, then room.
    bytes: Vec<u8>,
    end: usize,
    /// Bits that do not fill a byte yet.
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Goes on after whole bytes, with room for about so many more.
    pub(super) fn after(start: &[u8], room: usize) -> Self {
        let mut bytes = scratch::to_overwrite(start.len() + room.max(8));
        bytes[..start.len()].copy_from_slice(start);
        Self {
            bytes,
            end: start.len(),
            pending: 0,
            count: 0,
        }
    }

    /// Writes the lowest `count` bits of `value`, at most 56; the others are zero.
    #[inline(always)]
    pub(super) fn put(&mut self, value: impl Into<u64>, count: u32) {
        self.fill(8, |room| room.put(value, count));
    }

    /// Bits so far.
    pub(super) fn len(&self) -> u64 {
        self.end as u64 * 8 + u64::from(self.count)
    }

    /// Writes what another has written.
    pub(super) fn append(&mut self, other: Self) {
        let (words, rest) = other.bytes[..other.end].as_chunks();
        for word in words {
            self.put(u32::from_le_bytes(*word), 32);
        }
        for byte in rest {
            self.put(*byte, 8);
        }
        self.put(other.pending, other.count);
    }

    /// Makes room for `most` bytes, eight more than are filled or for each write of its own, and lets `fill` write there.
    #[inline(always)]
    pub(super) fn fill(&mut self, most: usize, fill: impl FnOnce(&mut Room<'_>)) {
        self.reserve(most);
        let mut room = Room {
            bytes: &mut self.bytes[self.end..self.end + most],
            filled: 0,
            pending: self.pending,
            count: self.count,
        };
        fill(&mut room);
        self.end += room.filled;
        (self.pending, self.count) = (room.pending, room.count);
    }

    #[inline(always)]
    fn reserve(&mut self, most: usize) {
        if self.bytes.len() - self.end < most {
            self.grow(most);
        }
    }

    #[cold]
    fn grow(&mut self, most: usize) {
        self.bytes.resize(self.bytes.len() * 2 + most, 0);
    }

    /// The bytes, the last one filled up with zeroes, and room for one more.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put(0_u8, 8 - self.count);
        }
        let mut bytes = Vec::with_capacity(self.end + 1);
        bytes.extend_from_slice(&self.bytes[..self.end]);
        scratch::give_back(self.bytes);
        bytes
    }
}

/// Room that suffices for what is written: bits that are pending stay in registers meanwhile.
pub(super) struct Room<'a> {
    bytes: &'a mut [u8],
    filled: usize,
    pending: u64,
    count: u32,
}

impl Room<'_> {
    /// Writes the lowest `count` bits of `value`, at most 56; the others are zero.
    #[inline(always)]
    pub(super) fn put(&mut self, value: impl Into<u64>, count: u32) {
        let value = value.into();
        debug_assert!(count <= 56 && value < 1 << count);
        self.pending |= value << self.count;
        self.count += count;
        self.bytes[self.filled..self.filled + 8].copy_from_slice(&self.pending.to_le_bytes());
        self.filled += (self.count / 8) as usize;
        self.pending >>= self.count & !7;
        self.count &= 7;
    }
}
