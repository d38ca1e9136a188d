/// Bits from the top of each byte; behind the last byte come zeroes up to the length of one word.
#[derive(Clone)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    next: usize,
    buffer: u64,
    available: u32,
}

/// The data have ended.
pub(super) struct End;

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            next: 0,
            buffer: 0,
            available: 0,
        }
    }

    /// The next `count` bits, which stay.
    pub(super) fn peek(&mut self, count: u32) -> Result<usize, End> {
        while self.available < count {
            if let Some(&byte) = self.bytes.get(self.next) {
                self.buffer = self.buffer << 8 | u64::from(byte);
                self.available += 8;
                self.next += 1;
            } else if self.available == 0 {
                return Err(End);
            } else {
                self.buffer <<= count - self.available;
                self.available = count;
            }
        }
        Ok((self.buffer >> (self.available - count)) as usize & ((1 << count) - 1))
    }

    /// Drops bits that were peeked at.
    pub(super) fn drop(&mut self, count: u32) {
        self.available = self.available.saturating_sub(count);
    }

    /// Goes on to a multiple of 8 or 16 bits.
    pub(super) fn align(&mut self, unit: u32) {
        self.available -= self.available % unit;
        if self.available == 0 && unit == 16 && self.next % 2 == 1 {
            self.next += 1;
        }
    }
}
