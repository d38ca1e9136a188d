use crate::{Format, ImageError};

/// Reads a file held in memory; the end of it is an error.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    format: Format,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(format: Format, bytes: &'a [u8]) -> Self {
        Self {
            format,
            bytes,
            position: 0,
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

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ImageError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else {
            let message = format!("the file ends at byte {}", self.bytes.len());
            return Err(ImageError::truncated(self.format, message));
        };
        self.position += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

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
