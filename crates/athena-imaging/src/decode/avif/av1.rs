//! AV1 data to planes of samples, by rav1d.

use re_rav1d::dav1d::{Decoder, Error, Picture, PixelLayout, PlanarImageComponent, Settings};

use super::{Colour, corrupt};
use crate::{Budget, ImageError};

/// Work for a pixel of a frame and a byte of its data, in rav1d's hands from its first row to its last.
const WORK_OF_PIXEL: u64 = 40;
const WORK_OF_BYTE: u64 = 64;
/// Work for a decoder: its tables and buffers.
const WORK_OF_DECODER: u64 = 1 << 20;

/// How chroma is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sampling {
    Monochrome,
    /// Halved horizontally, and vertically.
    Halved(bool, bool),
}

/// Samples of luma and of both chromas, of up to 12 bits each.
pub(super) struct Planes {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) depth: u32,
    pub(super) sampling: Sampling,
    pub(super) planes: [Vec<u16>; 3],
    pub(super) colour: Colour,
}

impl Planes {
    /// Columns and rows of a plane.
    pub(super) fn size(&self, plane: usize) -> (usize, usize) {
        match self.sampling {
            _ if plane == 0 => (self.width, self.height),
            Sampling::Monochrome => (0, 0),
            Sampling::Halved(x, y) => (
                self.width.div_ceil(1 + usize::from(x)),
                self.height.div_ceil(1 + usize::from(y)),
            ),
        }
    }
}

/// A decoder for one item, or for the samples of a track.
pub(super) struct Av1 {
    decoder: Decoder,
    pixels: u64,
}

impl Av1 {
    /// For frames of so many pixels at most.
    pub(super) fn new(
        (width, height): (u32, u32),
        operating_point: u8,
        budget: &Budget<'_>,
    ) -> Result<Self, ImageError> {
        budget.charge(WORK_OF_DECODER)?;
        let pixels = u64::from(width) * u64::from(height);
        let mut settings = Settings::new();
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        settings.set_frame_size_limit(u32::try_from(pixels).unwrap_or(u32::MAX));
        settings.set_all_layers(false);
        settings.set_operating_point(operating_point.into());
        let decoder = Decoder::with_settings(&settings)
            .map_err(|error| corrupt(format!("no AV1 decoder for it: {error}")))?;
        Ok(Self { decoder, pixels })
    }

    /// Decodes the first picture that the data show. What the container does not tell of its colours, the data do.
    pub(super) fn decode(
        &mut self,
        data: &[u8],
        told: Option<Colour>,
        budget: &Budget<'_>,
    ) -> Result<Planes, ImageError> {
        // What cannot be interrupted is paid for before: each frame in the data, whether shown or not.
        let frames = frames(data, budget)?;
        budget.charge(WORK_OF_BYTE * data.len() as u64 + WORK_OF_PIXEL * self.pixels * frames)?;
        let broken = |error: Error| corrupt(format!("AV1 data: {error}"));
        match self.decoder.send_data(data.to_vec(), None, None, None) {
            Ok(()) | Err(Error::Again) => {}
            Err(error) => return Err(broken(error)),
        }
        let picture = loop {
            match self.decoder.get_picture() {
                Ok(picture) => break picture,
                Err(Error::Again) => match self.decoder.send_pending_data() {
                    // Nothing is left, and nothing was shown.
                    Ok(()) => match self.decoder.get_picture() {
                        Ok(picture) => break picture,
                        Err(_) => return Err(corrupt("AV1 data without a picture")),
                    },
                    Err(Error::Again) => {}
                    Err(error) => return Err(broken(error)),
                },
                Err(error) => return Err(broken(error)),
            }
        };
        planes(&picture, told, budget)
    }
}

fn planes(
    picture: &Picture,
    told: Option<Colour>,
    budget: &Budget<'_>,
) -> Result<Planes, ImageError> {
    let depth = picture.bit_depth() as u32;
    let sampling = match picture.pixel_layout() {
        PixelLayout::I400 => Sampling::Monochrome,
        PixelLayout::I420 => Sampling::Halved(true, true),
        PixelLayout::I422 => Sampling::Halved(true, false),
        PixelLayout::I444 => Sampling::Halved(false, false),
    };
    let mut planes = Planes {
        width: picture.width() as usize,
        height: picture.height() as usize,
        depth,
        sampling,
        planes: Default::default(),
        // Only where it is needed: numbers that are reserved make the library panic.
        colour: told.unwrap_or_else(|| Colour {
            primaries: picture.color_primaries() as u16,
            matrix: picture.matrix_coefficients() as u16,
            full_range: picture.color_range() == re_rav1d::dav1d::pixel::YUVRange::Full,
        }),
    };
    use PlanarImageComponent::{U, V, Y};
    for (index, component) in [Y, U, V].into_iter().enumerate() {
        let (columns, rows) = planes.size(index);
        if columns == 0 {
            break;
        }
        budget.charge(2 * (columns * rows) as u64)?;
        let plane = picture.plane(component);
        let stride = picture.stride(component) as usize;
        let mut samples = Vec::with_capacity(columns * rows);
        for row in plane.chunks(stride).take(rows) {
            if depth == 8 {
                samples.extend(row.iter().take(columns).map(|&sample| u16::from(sample)));
            } else {
                let pairs = row.as_chunks::<2>().0.iter().take(columns);
                samples.extend(pairs.map(|&pair| u16::from_ne_bytes(pair)));
            }
        }
        if samples.len() != columns * rows {
            return Err(corrupt("AV1 data of another size"));
        }
        planes.planes[index] = samples;
    }
    Ok(planes)
}

/// Frames in the data: of each OBU (AV1 specification, 5.3) only the header is looked at.
fn frames(data: &[u8], budget: &Budget<'_>) -> Result<u64, ImageError> {
    const FRAME_HEADER: u8 = 3;
    const FRAME: u8 = 6;
    let mut frames = 0;
    let mut rest = data;
    while let Some((&header, mut body)) = rest.split_first() {
        budget.charge(16)?;
        if header & 4 != 0 {
            body = body.get(1..).unwrap_or_default();
        }
        let mut len = body.len();
        if header & 2 != 0 {
            len = 0;
            for shift in (0..56).step_by(7) {
                let Some((&byte, after)) = body.split_first() else {
                    break;
                };
                body = after;
                len |= usize::from(byte & 0x7F) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        frames += u64::from(matches!(header >> 3 & 15, FRAME_HEADER | FRAME));
        rest = body.get(len..).unwrap_or_default();
    }
    Ok(frames.max(1))
}
