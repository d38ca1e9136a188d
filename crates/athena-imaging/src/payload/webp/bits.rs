/// Writes bits, the least significant of each byte first.
#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet.
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Goes on after whole bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            pending: 0,
            count: 0,
        }
    }

    /// Writes the lowest `count` bits of `value`, at most 56; the others are zero.
    pub(super) fn put(&mut self, value: impl Into<u64>, count: u32) {
        let value = value.into();
        debug_assert!(count <= 56 && value < 1 << count);
        self.pending |= value << self.count;
        self.count += count;
        let whole = (self.count / 8) as usize;
        let end = self.bytes.len() + whole;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes());
        self.bytes.truncate(end);
        self.pending >>= self.count & !7;
        self.count &= 7;
    }

    /// Makes room for `most` bytes and lets `fill` write there: it is given the room, and the bits that are pending, and
    /// returns the bytes that it filled and the bits then pending.
    pub(super) fn fill(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8], (u64, u32)) -> (usize, (u64, u32)),
    ) {
        let start = self.bytes.len();
        self.bytes.resize(start + most, 0);
        let (filled, pending) = fill(&mut self.bytes[start..], (self.pending, self.count));
        self.bytes.truncate(start + filled);
        (self.pending, self.count) = pending;
    }

    /// The bytes, the last one filled up with zeroes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}
