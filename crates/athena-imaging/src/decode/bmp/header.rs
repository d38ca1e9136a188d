use crate::decode::pixels::Bgr;
use crate::decode::reader::Reader;
use crate::{Format, ImageError};

pub(super) struct Header {
    pub(super) width: u32,
    pub(super) height: u32,
    bottom_up: bool,
    pub(super) bits: u32,
    pub(super) compression: Compression,
    pub(super) masks: Masks,
    pub(super) palette: [Bgr; 256],
    /// Where the pixels start.
    pub(super) offset: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Rle8,
    Rle4,
    Masks,
}

/// How the bits of a 16- or 32-bit pixel are shared out.
pub(super) enum Masks {
    /// 5-5-5 in 16 bits, one byte each in 32.
    Default,
    FiveSixFive,
    /// Blue, green and red.
    Channels([Mask; 3]),
}

pub(super) struct Mask {
    mask: u32,
    shift: u32,
    scale: f32,
}

impl Mask {
    fn new(mask: u32) -> Option<Self> {
        (mask != 0).then(|| {
            let shift = mask.trailing_zeros();
            Self {
                mask,
                shift,
                scale: 255.0 / (mask >> shift) as f32,
            }
        })
    }

    pub(super) fn extract(&self, word: u32) -> u8 {
        (((word & self.mask) >> self.shift) as f32 * self.scale) as u8
    }
}

impl Header {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ImageError> {
        reader.seek(10);
        let offset = reader.i32_le()?;
        let size = reader.i32_le()?;
        let header = match size {
            12 => Self::read_os2(reader)?,
            36.. => Self::read_windows(reader, size as usize)?,
            _ => return Err(unsupported(format!("a header of {size} bytes"))),
        };
        match usize::try_from(offset) {
            Ok(offset) => Ok(Self { offset, ..header }),
            Err(_) => Err(ImageError::corrupt(
                Format::Bmp,
                "pixels start before the file",
            )),
        }
    }

    fn read_os2(reader: &mut Reader<'_>) -> Result<Self, ImageError> {
        let width = reader.u16_le()?.into();
        let height = reader.u16_le()?.into();
        let bits = reader.u32_le()? >> 16;
        if !matches!(bits, 1 | 4 | 8 | 24 | 32) {
            return Err(unsupported(format!("{bits} bits per pixel")));
        }
        let mut palette = [[0; 3]; 256];
        if bits <= 8 {
            let colours = reader.take(3 << bits)?.as_chunks().0;
            palette[..colours.len()].copy_from_slice(colours);
        }
        Ok(Self {
            width,
            height,
            bottom_up: true,
            bits,
            compression: Compression::None,
            masks: Masks::Default,
            palette,
            offset: 0,
        })
    }

    fn read_windows(reader: &mut Reader<'_>, size: usize) -> Result<Self, ImageError> {
        let width = reader.i32_le()?;
        let height = reader.i32_le()?;
        let bits = reader.u32_le()? >> 16;
        let code = reader.u32_le()?;
        reader.skip(12);
        let colours = reader.i32_le()?;
        let compression = match (code, bits) {
            (0, 1 | 4 | 8 | 16 | 24 | 32) => Compression::None,
            (1, 8) => Compression::Rle8,
            (2, 4) => Compression::Rle4,
            (3, 16 | 32) => Compression::Masks,
            _ => {
                return Err(unsupported(format!(
                    "{bits} bits per pixel, compression {code}"
                )));
            }
        };
        let mut masks = Masks::Default;
        if bits == 32 && compression == Compression::Masks && size >= 56 {
            reader.skip(4);
            let [red, green, blue] = [reader.u32_le()?, reader.u32_le()?, reader.u32_le()?];
            reader.u32_le()?;
            reader.skip(size - 56);
            if let (Some(blue), Some(green), Some(red)) =
                (Mask::new(blue), Mask::new(green), Mask::new(red))
            {
                masks = Masks::Channels([blue, green, red]);
            }
        } else {
            reader.skip(size - 36);
        }
        let mut palette = [[0; 3]; 256];
        if bits <= 8 {
            let count = match colours {
                0 => 1 << bits,
                1..=256 => colours as usize,
                _ => return Err(ImageError::corrupt(Format::Bmp, "more than 256 colours")),
            };
            let entries = reader.take(4 * count)?.as_chunks::<4>().0;
            for (colour, entry) in palette.iter_mut().zip(entries) {
                *colour = [entry[0], entry[1], entry[2]];
            }
        } else if bits == 16 && compression == Compression::Masks {
            masks = match [reader.u32_le()?, reader.u32_le()?, reader.u32_le()?] {
                [0x7C00, 0x03E0, 0x001F] => Masks::Default,
                [0xF800, 0x07E0, 0x001F] => Masks::FiveSixFive,
                _ => return Err(unsupported("masks other than 5-5-5 and 5-6-5")),
            };
        }
        let (Ok(width), false) = (u32::try_from(width), height == i32::MIN) else {
            return Err(ImageError::corrupt(Format::Bmp, "a size that cannot be"));
        };
        Ok(Self {
            width,
            height: height.unsigned_abs(),
            bottom_up: height > 0,
            bits,
            compression,
            masks,
            palette,
            offset: 0,
        })
    }

    /// The row from the top of the stored line `line`.
    pub(super) fn row(&self, line: usize) -> usize {
        if self.bottom_up {
            self.height as usize - 1 - line
        } else {
            line
        }
    }
}

fn unsupported(message: impl Into<std::borrow::Cow<'static, str>>) -> ImageError {
    ImageError::unsupported(Format::Bmp, message)
}
