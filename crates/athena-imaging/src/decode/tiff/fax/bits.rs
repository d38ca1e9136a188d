use crate::{Budget, ImageError};

/// Work for a byte: fill bits are skipped one by one.
const WORK_OF_BYTE: u64 = 8;
/// Bytes that are paid for at once.
const PIECE: usize = 4 << 10;

/// Bits from the top of each byte; behind the last byte come zeroes up to the length of one word.
pub(super) struct Bits<'a> {
    budget: &'a Budget<'a>,
    /// Up to where bytes are paid for.
    paid: usize,
    /// Why no more was paid for: the data then end there.
    refusal: Option<ImageError>,
    bytes: &'a [u8],
    next: usize,
    buffer: u64,
    available: u32,
}

/// The data have ended.
pub(super) struct End;

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], budget: &'a Budget<'a>) -> Self {
        Self {
            budget,
            paid: 0,
            refusal: None,
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
                if self.next >= self.paid {
                    self.pay()?;
                }
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

    #[cold]
    fn pay(&mut self) -> Result<(), End> {
        let next = self.bytes.len().min(self.next + PIECE);
        let work = WORK_OF_BYTE * (next - self.paid) as u64;
        self.paid = next;
        self.budget.charge(work).map_err(|error| {
            self.refusal = Some(error);
            self.bytes = &[];
            End
        })
    }

    /// Fails if the data ended for want of payment.
    pub(super) fn check_paid(&mut self) -> Result<(), ImageError> {
        self.refusal.take().map_or(Ok(()), Err)
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
