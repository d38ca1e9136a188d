use std::convert::Infallible;

use crate::{Budget, Frame, ImageError, scratch};

/// The turn that an image needs to stand upright: the EXIF and TIFF tag 274.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Orientation {
    /// 1: as stored.
    #[default]
    Normal = 1,
    /// 2: mirrored left to right.
    FlipHorizontal = 2,
    /// 3: turned by 180 degrees.
    Rotate180 = 3,
    /// 4: mirrored top to bottom.
    FlipVertical = 4,
    /// 5: mirrored over the falling diagonal.
    Transpose = 5,
    /// 6: to be turned clockwise by 90 degrees.
    Rotate90 = 6,
    /// 7: mirrored over the rising diagonal.
    Transverse = 7,
    /// 8: to be turned clockwise by 270 degrees.
    Rotate270 = 8,
}

impl Orientation {
    /// The orientation that a tag's value stands for; anything but 1 to 8 means "as stored".
    pub fn from_tag(value: u16) -> Self {
        match value {
            2 => Self::FlipHorizontal,
            3 => Self::Rotate180,
            4 => Self::FlipVertical,
            5 => Self::Transpose,
            6 => Self::Rotate90,
            7 => Self::Transverse,
            8 => Self::Rotate270,
            _ => Self::Normal,
        }
    }

    /// The tag's value, 1 to 8.
    pub fn tag(self) -> u16 {
        self as u16
    }

    /// Whether width and height change places.
    pub fn swaps_axes(self) -> bool {
        self as u8 >= 5
    }

    /// The source column and row of the upright pixel (`x`, `y`), for a source of `width` by `height`.
    fn source(self, x: usize, y: usize, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::Normal => (x, y),
            Self::FlipHorizontal => (width - 1 - x, y),
            Self::Rotate180 => (width - 1 - x, height - 1 - y),
            Self::FlipVertical => (x, height - 1 - y),
            Self::Transpose => (y, x),
            Self::Rotate90 => (y, height - 1 - x),
            Self::Transverse => (width - 1 - y, height - 1 - x),
            Self::Rotate270 => (width - 1 - y, x),
        }
    }

    /// Reads the tag out of an EXIF block: a TIFF header and its first directory.
    ///
    /// What cannot be read means "as stored": a broken EXIF block does not make an image unreadable.
    pub(crate) fn from_exif(tiff: &[u8]) -> Self {
        Exif::new(tiff)
            .and_then(|exif| exif.orientation())
            .map(Self::from_tag)
            .unwrap_or_default()
    }
}

/// An EXIF block, read as OpenCV reads it: the entries in order, up to the first that points outside the block.
struct Exif<'a> {
    tiff: &'a [u8],
    little_endian: bool,
}

impl<'a> Exif<'a> {
    fn new(tiff: &'a [u8]) -> Option<Self> {
        let exif = Self {
            tiff,
            little_endian: tiff.starts_with(b"II"),
        };
        (exif.u16_at(2)? == 42).then_some(exif)
    }

    fn orientation(&self) -> Option<u16> {
        const TAG_ORIENTATION: u16 = 0x0112;
        let directory = self.u32_at(4)? as usize;
        let entries = usize::from(self.u16_at(directory)?);
        for entry in (0..entries).map(|index| directory + 2 + index * 12) {
            let tag = self.u16_at(entry)?;
            if tag == TAG_ORIENTATION {
                return self.u16_at(entry + 8);
            }
            self.check_entry(tag, entry)?;
        }
        None
    }

    /// Whether an entry of the sorts that OpenCV reads lies within the block.
    fn check_entry(&self, tag: u16, entry: usize) -> Option<()> {
        let rationals = match tag {
            // Description, make, model, software, date, copyright.
            0x010E | 0x010F | 0x0110 | 0x0131 | 0x0132 | 0x8298 => {
                let len = self.u32_at(entry + 4)? as usize;
                let start = if len > 4 {
                    self.u32_at(entry + 8)? as usize
                } else {
                    8
                };
                return self.tiff.get(start..start.checked_add(len)?).map(|_| ());
            }
            // The unit of resolution, the position of chroma.
            0x0128 | 0x0213 => return self.u16_at(entry + 8).map(|_| ()),
            // Resolutions.
            0x011A | 0x011B => 1,
            // White point, primaries, coefficients, reference values.
            0x013E => 2,
            0x013F | 0x0214 => 6,
            0x0211 => 3,
            _ => return Some(()),
        };
        let start = self.u32_at(entry + 8)? as usize;
        self.tiff
            .get(start..start.checked_add(rationals * 8)?)
            .map(|_| ())
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        let bytes = self.tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little_endian {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let bytes = self.tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little_endian {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }
}

impl Frame {
    /// The frame turned upright.
    #[must_use]
    pub fn oriented(self, orientation: Orientation) -> Self {
        let Ok(upright) = self.turned(orientation, |_| Ok::<_, Infallible>(()));
        upright
    }

    /// As [`oriented`](Self::oriented), paid for.
    pub(crate) fn upright(
        self,
        orientation: Orientation,
        budget: &Budget<'_>,
    ) -> Result<Self, ImageError> {
        self.turned(orientation, |pixels| budget.charge(pixels as u64))
    }

    fn turned<E>(
        self,
        orientation: Orientation,
        before_row: impl Fn(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        if orientation == Orientation::Normal {
            return Ok(self);
        }
        let (width, height) = (self.width() as usize, self.height() as usize);
        let (out_width, out_height) = if orientation.swaps_axes() {
            (height, width)
        } else {
            (width, height)
        };
        let mut data = scratch::to_overwrite(self.data().len());
        let source = self.data().as_chunks::<3>().0;
        let rows = data.chunks_exact_mut(out_width * 3);
        for (y, row) in rows.enumerate() {
            before_row(out_width)?;
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let (sx, sy) = orientation.source(x, y, width, height);
                *pixel = source[sy * width + sx];
            }
        }
        Ok(Self::from_parts(out_width as u32, out_height as u32, data))
    }
}
