use crate::{Budget, ImageError};

/// Bytes that are paid for at once.
const PIECE: usize = 64 << 10;

/// Reads a file held in memory, and pays for it; the end of it is an error.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    budget: &'a Budget<'a>,
    /// Up to where bytes are paid for. A clone that reads them again pays again from here on.
    paid: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], budget: &'a Budget<'a>) -> Self {
        Self {
            bytes,
            position: 0,
            budget,
            paid: 0,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Moves anywhere, beyond the end too: only reading there fails.
    pub(super) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.position = self.position.saturating_add(count);
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ImageError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else {
            let message = format!("the file ends at byte {}", self.bytes.len());
            return Err(ImageError::truncated(self.budget.format(), message));
        };
        self.position += count;
        if self.position > self.paid {
            self.pay()?;
        }
        Ok(taken)
    }

    #[cold]
    fn pay(&mut self) -> Result<(), ImageError> {
        let next = self.bytes.len().min(self.position.saturating_add(PIECE));
        self.budget.charge((next - self.paid) as u64)?;
        self.paid = next;
        Ok(())
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, ImageError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn u16_le(&mut self) -> Result<u16, ImageError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32_le(&mut self) -> Result<u32, ImageError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32_le(&mut self) -> Result<i32, ImageError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn i32_be(&mut self) -> Result<i32, ImageError> {
        self.array().map(i32::from_be_bytes)
    }
}
