use super::corrupt;
use crate::decode::reader::Reader;
use crate::{Budget, ImageError};

/// The largest chunk of a kind that is not bounded otherwise.
const MAX_OTHER: usize = 8_000_000 - 12;

#[derive(Clone)]
pub(super) struct Chunk<'a> {
    pub(super) name: [u8; 4],
    pub(super) data: &'a [u8],
    checksum: u32,
}

impl Chunk<'_> {
    pub(super) fn is_intact(&self) -> bool {
        let crc = zlib_rs::crc32::crc32(0, &self.name);
        zlib_rs::crc32::crc32(crc, self.data) == self.checksum
    }

    pub(super) fn is_critical(&self) -> bool {
        self.name[0] & 0x20 == 0
    }

    /// Whether the name is four letters, the third of them a capital.
    pub(super) fn has_valid_name(&self) -> bool {
        self.name.iter().all(u8::is_ascii_alphabetic) && self.name[2].is_ascii_uppercase()
    }

    pub(super) fn display_name(&self) -> String {
        self.name.escape_ascii().to_string()
    }

    pub(super) fn bad_checksum(&self) -> ImageError {
        corrupt(format!("the checksum of {} is wrong", self.display_name()))
    }
}

/// The chunks of a file, one after the other.
#[derive(Clone)]
pub(super) struct Chunks<'a>(Reader<'a>);

impl<'a> Chunks<'a> {
    pub(super) fn new(bytes: &'a [u8], budget: &'a Budget<'a>) -> Self {
        let mut reader = Reader::new(bytes, budget);
        reader.skip(8);
        Self(reader)
    }

    pub(super) fn next(&mut self) -> Result<Chunk<'a>, ImageError> {
        let len = u32::from_be_bytes(self.0.array()?) as usize;
        let name = self.0.array()?;
        let data = self.0.take(len)?;
        let checksum = u32::from_be_bytes(self.0.array()?);
        Ok(Chunk {
            name,
            data,
            checksum,
        })
    }

    /// As [`next`](Self::next) for the part before the image data, where some lengths are an error.
    pub(super) fn next_checked(&mut self) -> Result<Chunk<'a>, ImageError> {
        let chunk = self.next()?;
        let len = chunk.data.len();
        let admitted = match &chunk.name {
            b"IHDR" => len == 13,
            b"acTL" => len == 8,
            b"fcTL" => len == 26,
            b"bKGD" => matches!(len, 1 | 2 | 6),
            b"fdAT" | b"IDAT" | b"IEND" | b"PLTE" | b"tEXt" | b"tRNS" => true,
            _ => len <= MAX_OTHER,
        };
        if admitted {
            Ok(chunk)
        } else {
            Err(corrupt(format!("{len} bytes of {}", chunk.display_name())))
        }
    }
}
