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

    /// Writes the lowest `count` bits of `value`, at most 32; the others are zero.
    pub(super) fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(value) < 1 << count);
        self.pending |= u64::from(value) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
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
