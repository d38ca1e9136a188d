//! The header and the first directory of a TIFF or BigTIFF file, with libtiff's tolerance for odd types.

use super::corrupt;
use crate::{Format, ImageError};

/// libtiff takes a directory of more entries for garbage.
const MAX_ENTRIES: u64 = 4096;

/// What the file's numbers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn number(self, bytes: &[u8]) -> u64 {
        let fold = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        match self {
            Self::Big => bytes.iter().fold(0, fold),
            Self::Little => bytes.iter().rev().fold(0, fold),
        }
    }
}

/// Whole numbers as they lie in the file: a table may be as long as that, and is read entry by entry.
#[derive(Clone, Copy)]
pub(super) struct Array<'a> {
    bytes: &'a [u8],
    width: usize,
    order: ByteOrder,
}

impl Array<'_> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    pub(super) fn get(&self, index: usize) -> Option<u64> {
        let start = index.checked_mul(self.width)?;
        let bytes = self.bytes.get(start..start.checked_add(self.width)?)?;
        Some(self.order.number(bytes))
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        let values = self.bytes.chunks_exact(self.width);
        values.map(|value| self.order.number(value))
    }
}

/// The tags that matter for pixels.
pub(super) mod tag {
    pub(in super::super) const WIDTH: u16 = 256;
    pub(in super::super) const HEIGHT: u16 = 257;
    pub(in super::super) const BITS_PER_SAMPLE: u16 = 258;
    pub(in super::super) const COMPRESSION: u16 = 259;
    pub(in super::super) const PHOTOMETRIC: u16 = 262;
    pub(in super::super) const FILL_ORDER: u16 = 266;
    pub(in super::super) const STRIP_OFFSETS: u16 = 273;
    pub(in super::super) const ORIENTATION: u16 = 274;
    pub(in super::super) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(in super::super) const ROWS_PER_STRIP: u16 = 278;
    pub(in super::super) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(in super::super) const PLANAR_CONFIGURATION: u16 = 284;
    pub(in super::super) const FAX_OPTIONS: u16 = 292;
    pub(in super::super) const PREDICTOR: u16 = 317;
    pub(in super::super) const WHITE_POINT: u16 = 318;
    pub(in super::super) const COLOUR_MAP: u16 = 320;
    pub(in super::super) const TILE_WIDTH: u16 = 322;
    pub(in super::super) const TILE_HEIGHT: u16 = 323;
    pub(in super::super) const TILE_OFFSETS: u16 = 324;
    pub(in super::super) const TILE_BYTE_COUNTS: u16 = 325;
    pub(in super::super) const INK_SET: u16 = 332;
    pub(in super::super) const EXTRA_SAMPLES: u16 = 338;
    pub(in super::super) const SAMPLE_FORMAT: u16 = 339;
    pub(in super::super) const JPEG_TABLES: u16 = 347;
    pub(in super::super) const YCBCR_COEFFICIENTS: u16 = 529;
    pub(in super::super) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(in super::super) const REFERENCE_BLACK_WHITE: u16 = 532;
}

pub(super) struct Directory<'a> {
    pub(super) file: &'a [u8],
    pub(super) order: ByteOrder,
    entries: Vec<Entry>,
    /// Bytes of the file that header, directory and the values outside it take.
    pub(super) overhead: u64,
    pub(super) has_unknown_type: bool,
    value_len: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Where the values are if they fit the entry, and if they do not.
    inline: u64,
    offset: u64,
}

impl<'a> Directory<'a> {
    pub(super) fn read(file: &'a [u8]) -> Result<Self, ImageError> {
        let order = match file.first() {
            Some(b'I') => ByteOrder::Little,
            _ => ByteOrder::Big,
        };
        let mut directory = Self {
            file,
            order,
            entries: Vec::new(),
            overhead: 0,
            has_unknown_type: false,
            value_len: 4,
        };
        let big = directory.number(2, 2) == Some(43);
        let (start, count_len, entry_len, value_len) = if big {
            if directory.number(4, 2) != Some(8) || directory.number(6, 2) != Some(0) {
                return Err(corrupt("a BigTIFF header that cannot be"));
            }
            (directory.number(8, 8), 8, 20, 8)
        } else {
            (directory.number(4, 4), 2, 12, 4)
        };
        let truncated = || ImageError::truncated(Format::Tiff, "no directory");
        let start = start.filter(|&start| start > 0).ok_or_else(truncated)?;
        let count = directory.number(start, count_len).ok_or_else(truncated)?;
        if count == 0 || count > MAX_ENTRIES {
            return Err(corrupt(format!("a directory of {count} entries")));
        }
        directory.value_len = value_len;
        directory.overhead = if big { 16 + 8 + 8 } else { 8 + 2 + 4 } + count * entry_len;
        for index in 0..count {
            let at = start + count_len + index * entry_len;
            let field = |skip, len| directory.number(at + skip, len).ok_or_else(truncated);
            let entry = Entry {
                tag: field(0, 2)? as u16,
                kind: field(2, 2)? as u16,
                count: field(4, value_len)?,
                inline: at + 4 + value_len,
                offset: field(4 + value_len, value_len)?,
            };
            let len = entry.count.saturating_mul(width(entry.kind));
            if len > value_len {
                directory.overhead = directory.overhead.saturating_add(len);
            }
            directory.has_unknown_type |= !matches!(entry.kind, 0..=13 | 16..=18);
            directory.entries.push(entry);
        }
        // Of entries with one tag the first counts: the sort is stable.
        directory.entries.sort_by_key(|entry| entry.tag);
        directory.entries.dedup_by_key(|entry| entry.tag);
        Ok(directory)
    }

    fn find(&self, tag: u16) -> Option<&Entry> {
        let found = self.entries.binary_search_by_key(&tag, |entry| entry.tag);
        found.ok().map(|index| &self.entries[index])
    }

    pub(super) fn contains(&self, tag: u16) -> bool {
        self.find(tag).is_some()
    }

    /// The second tag if the directory has it, else the first.
    pub(super) fn either(&self, first: u16, second: u16) -> u16 {
        if self.contains(second) { second } else { first }
    }

    /// The number of `len` bytes at `at`.
    fn number(&self, at: u64, len: u64) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.file.get(at..at.checked_add(len as usize)?)?;
        Some(self.order.number(bytes))
    }

    /// Where `count` values of an entry start, if the file has them all.
    fn start(&self, entry: &Entry, count: u64) -> Option<u64> {
        let width = width(entry.kind);
        let len = count.checked_mul(width)?;
        let start = if entry.count.checked_mul(width)? <= self.value_len {
            entry.inline
        } else {
            entry.offset
        };
        (start.checked_add(len)? <= self.file.len() as u64).then_some(start)
    }

    /// At most `limit` values as whole numbers; `None` if they are not, or lie outside the file.
    pub(super) fn array(&self, tag: u16, limit: u64) -> Option<Array<'a>> {
        let entry = self.find(tag)?;
        let signed = match entry.kind {
            1 | 3 | 4 | 13 | 16 | 18 => false,
            6 | 8 | 9 | 17 => true,
            _ => return None,
        };
        let width = width(entry.kind) as usize;
        let count = entry.count.min(limit);
        let start = self.start(entry, count)? as usize;
        let bytes = &self.file[start..start + count as usize * width];
        let first = match self.order {
            ByteOrder::Big => 0,
            ByteOrder::Little => width - 1,
        };
        let negative = signed && bytes.chunks_exact(width).any(|value| value[first] >= 0x80);
        (!negative).then_some(Array {
            bytes,
            width,
            order: self.order,
        })
    }

    /// As [`array`](Self::array), in memory.
    pub(super) fn numbers(&self, tag: u16, limit: u64) -> Option<Vec<u64>> {
        self.array(tag, limit).map(|array| array.iter().collect())
    }

    /// The value of a tag that has exactly one.
    pub(super) fn one(&self, tag: u16) -> Option<u64> {
        let entry = self.find(tag)?;
        (entry.count == 1).then_some(())?;
        self.array(tag, 1)?.get(0)
    }

    /// As [`one`](Self::one), for 16 bits.
    pub(super) fn short(&self, tag: u16) -> Option<u16> {
        self.one(tag).and_then(|value| u16::try_from(value).ok())
    }

    /// One value, or as many equal ones as there are samples.
    pub(super) fn per_sample(&self, tag: u16, samples: u16) -> Option<u16> {
        if self.find(tag)?.count == 1 {
            return self.short(tag);
        }
        let values = self.array(tag, u64::MAX)?;
        let samples = usize::from(samples);
        let first = values.get(0).filter(|_| values.len() >= samples)?;
        let mut samples = values.iter().take(samples);
        samples.all(|value| value == first).then_some(())?;
        u16::try_from(first).ok()
    }

    /// Exactly `N` fractions or floats.
    pub(super) fn floats<const N: usize>(&self, tag: u16) -> Option<[f32; N]> {
        let entry = self.find(tag)?;
        (entry.count == N as u64).then_some(())?;
        let mut values = [0.0; N];
        for (index, value) in values.iter_mut().enumerate() {
            let at = self.start(entry, entry.count)? + index as u64 * width(entry.kind);
            *value = match entry.kind {
                5 => {
                    let (over, under) = (self.number(at, 4)?, self.number(at + 4, 4)?);
                    if under == 0 {
                        0.0
                    } else {
                        over as f32 / under as f32
                    }
                }
                11 => f32::from_bits(self.number(at, 4)? as u32),
                12 => f64::from_bits(self.number(at, 8)?) as f32,
                1 | 3 | 4 => self.number(at, width(entry.kind))? as f32,
                _ => return None,
            };
        }
        Some(values)
    }

    /// The bytes of a tag.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.find(tag)?;
        let start = self.start(entry, entry.count)? as usize;
        self.file
            .get(start..start + (entry.count * width(entry.kind)) as usize)
    }

    /// The number of values of a tag.
    pub(super) fn count(&self, tag: u16) -> Option<u64> {
        self.find(tag).map(|entry| entry.count)
    }
}

/// Bytes of one value of a type.
fn width(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    }
}
