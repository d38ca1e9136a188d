use super::{Chunk, Chunks, corrupt};
use crate::decode::pixels::Bgr;
use crate::{Budget, Format, ImageError, Orientation};

/// libpng's own limit to either side.
const MAX_SIDE: u32 = 1_000_000;

#[derive(Clone)]
pub(super) struct Header {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) depth: u8,
    pub(super) colour: Colour,
    pub(super) interlaced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Grey,
    Rgb,
    Palette,
    GreyAlpha,
    RgbAlpha,
}

impl Colour {
    pub(super) fn has_palette(self) -> bool {
        self == Self::Palette
    }

    pub(super) fn channels(self) -> usize {
        match self {
            Self::Grey | Self::Palette => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::RgbAlpha => 4,
        }
    }
}

impl Header {
    pub(super) fn read(chunk: &Chunk<'_>) -> Result<Self, ImageError> {
        let (
            b"IHDR",
            &[
                a,
                b,
                c,
                d,
                e,
                f,
                g,
                h,
                depth,
                colour,
                0,
                0,
                interlace @ (0 | 1),
            ],
        ) = (&chunk.name, chunk.data)
        else {
            return Err(corrupt("no header, or one that cannot be"));
        };
        if !chunk.is_intact() {
            return Err(chunk.bad_checksum());
        }
        let colour = match (colour, depth) {
            (0, 1 | 2 | 4 | 8 | 16) => Colour::Grey,
            (2, 8 | 16) => Colour::Rgb,
            (3, 1 | 2 | 4 | 8) => Colour::Palette,
            (4, 8 | 16) => Colour::GreyAlpha,
            (6, 8 | 16) => Colour::RgbAlpha,
            _ => return Err(corrupt(format!("colour type {colour} at {depth} bits"))),
        };
        Ok(Self {
            width: u32::from_be_bytes([a, b, c, d]),
            height: u32::from_be_bytes([e, f, g, h]),
            depth,
            colour,
            interlaced: interlace == 1,
        })
    }

    pub(super) fn check_size(&self, budget: &Budget<'_>) -> Result<(), ImageError> {
        if self.width.max(self.height) > MAX_SIDE {
            return Err(ImageError::unsupported(
                Format::Png,
                format!("a side of more than {MAX_SIDE} pixels"),
            ));
        }
        budget.check_size(self.width, self.height)
    }

    /// The header of a frame of another size.
    pub(super) fn resized(&self, width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            ..self.clone()
        }
    }

    pub(super) fn bits_per_pixel(&self) -> usize {
        self.colour.channels() * usize::from(self.depth)
    }
}

/// What the chunks other than image data contribute.
pub(super) struct Ancillary {
    pub(super) palette: [Bgr; 256],
    has_palette: bool,
    after_data: bool,
    pub(super) orientation: Option<Orientation>,
}

impl Default for Ancillary {
    fn default() -> Self {
        Self {
            palette: [[0; 3]; 256],
            has_palette: false,
            after_data: false,
            orientation: None,
        }
    }
}

impl Ancillary {
    pub(super) fn read(&mut self, chunk: &Chunk<'_>, header: &Header) -> Result<(), ImageError> {
        if !chunk.has_valid_name() {
            return Err(corrupt("a chunk name that cannot be"));
        }
        match &chunk.name {
            b"PLTE" => self.read_palette(chunk, header),
            b"eXIf" => {
                let is_tiff =
                    chunk.data.starts_with(b"II\x2A\0") || chunk.data.starts_with(b"MM\0\x2A");
                if self.orientation.is_none() && is_tiff && chunk.is_intact() {
                    self.orientation = Some(Orientation::from_exif(chunk.data));
                }
                Ok(())
            }
            _ if chunk.is_critical() => {
                Err(corrupt(format!("an unexpected {}", chunk.display_name())))
            }
            _ => Ok(()),
        }
    }

    fn read_palette(&mut self, chunk: &Chunk<'_>, header: &Header) -> Result<(), ImageError> {
        let needed = header.colour == Colour::Palette;
        let len = chunk.data.len();
        let fault = if needed && !chunk.is_intact() {
            return Err(chunk.bad_checksum());
        } else if self.has_palette {
            "a second palette"
        } else if self.after_data {
            "a palette after the image data"
        } else if matches!(header.colour, Colour::Grey | Colour::GreyAlpha) {
            return Ok(());
        } else if len > 3 * 256 || !len.is_multiple_of(3) {
            "a palette of a length that cannot be"
        } else if len == 0 {
            return Err(corrupt("an empty palette"));
        } else {
            self.has_palette = true;
            let count = if needed { 1 << header.depth } else { 256 };
            let colours = chunk.data.as_chunks().0;
            for (colour, &[r, g, b]) in self.palette.iter_mut().zip(colours).take(count) {
                *colour = [b, g, r];
            }
            return Ok(());
        };
        if needed { Err(corrupt(fault)) } else { Ok(()) }
    }

    pub(super) fn check_before_data(&mut self, header: &Header) -> Result<(), ImageError> {
        self.after_data = true;
        if header.colour == Colour::Palette && !self.has_palette {
            return Err(corrupt("no palette"));
        }
        Ok(())
    }

    /// Reads what follows the image data, which must go on to the end chunk.
    pub(super) fn read_rest(
        &mut self,
        mut chunks: Chunks<'_>,
        header: &Header,
    ) -> Result<(), ImageError> {
        loop {
            let chunk = chunks.next()?;
            match &chunk.name {
                b"IEND" => return Ok(()),
                b"IDAT" if chunk.is_intact() => {}
                b"IDAT" => return Err(chunk.bad_checksum()),
                _ => self.read(&chunk, header)?,
            }
        }
    }
}
