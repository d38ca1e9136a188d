use super::alpha::Alpha;
use super::filter;
use super::header::{Colour, Header};
use crate::decode::pixels::{Bgr, expand_indices, grey_to_bgr, rgb_to_bgr, saturate};
use crate::{Budget, Frame, ImageError};

/// Rows are inflated this many bytes at a time.
const CHUNK: usize = 1 << 16;

/// Column and row of the first pixel and the steps between pixels, for each pass of an interlaced image.
const PASSES: [(usize, usize, usize, usize); 7] = [
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
];

/// Inflated image data.
pub(super) trait Samples {
    /// Fills `output`, with the end of the image if `last`, or as much of it as damaged data allow.
    fn read(&mut self, output: &mut [u8], last: bool) -> Result<usize, ImageError>;
}

/// What becomes of 16-bit samples.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SixteenBits {
    /// The upper byte.
    Cut,
    /// Divided by 255 and saturated: what OpenCV does for animations.
    Scale,
}

/// Where decoded rows go.
pub(super) struct Raster<'a> {
    frame: &'a mut Frame,
    sixteen_bits: SixteenBits,
    /// Where alpha goes, if it counts.
    alpha: Option<Alpha<'a>>,
}

impl<'a> Raster<'a> {
    pub(super) fn new(frame: &'a mut Frame, sixteen_bits: SixteenBits) -> Self {
        Self {
            frame,
            sixteen_bits,
            alpha: None,
        }
    }

    pub(super) fn with_alpha(self, alpha: Alpha<'a>) -> Self {
        Self {
            alpha: Some(alpha),
            ..self
        }
    }
}

/// Decodes an image of the frame's size.
pub(super) fn decode_rows(
    data: &mut impl Samples,
    header: &Header,
    palette: &[Bgr; 256],
    raster: &mut Raster<'_>,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let palette = &colours(header, palette);
    let (width, height) = (header.width as usize, header.height as usize);
    let convert = |row: &mut [u8], line: &[u8], sixteen_bits| {
        to_bgr(row, line, header, palette, sixteen_bits);
    };
    if !header.interlaced {
        let size = (width, height);
        return decode_pass(data, header, size, true, budget, |y, line| {
            convert(raster.frame.row_mut(y), line, raster.sixteen_bits);
            if let Some(alpha) = &mut raster.alpha {
                alpha.read(line, header, width, (y * width, 1));
            }
        });
    }
    let mut row = vec![0; 3 * width];
    let passes = PASSES.map(|pass @ (x, y, dx, dy)| (x, y, dx, dy, pass_size(header, pass)));
    let last = passes.iter().rposition(|pass| pass.4.0 > 0 && pass.4.1 > 0);
    for (index, &(x, y, dx, dy, size)) in passes.iter().enumerate() {
        if size.0 == 0 {
            continue;
        }
        decode_pass(
            data,
            header,
            size,
            Some(index) == last,
            budget,
            |nth, line| {
                let row = &mut row[..3 * size.0];
                convert(row, line, raster.sixteen_bits);
                let target = raster.frame.row_mut(y + nth * dy).as_chunks_mut::<3>().0;
                let pixels = row.as_chunks::<3>().0;
                for (to, from) in target[x..].iter_mut().step_by(dx).zip(pixels) {
                    *to = *from;
                }
                if let Some(alpha) = &mut raster.alpha {
                    alpha.read(line, header, size.0, ((y + nth * dy) * width + x, dx));
                }
            },
        )?;
    }
    Ok(())
}

/// Columns and rows of a pass.
fn pass_size(header: &Header, (x, y, dx, dy): (usize, usize, usize, usize)) -> (usize, usize) {
    let (width, height) = (header.width as usize, header.height as usize);
    (
        width.saturating_sub(x).div_ceil(dx),
        height.saturating_sub(y).div_ceil(dy),
    )
}

/// Bytes of the inflated image data.
pub(super) fn data_len(header: &Header) -> usize {
    let len = |(width, height): (usize, usize)| match width {
        0 => 0,
        _ => height * line_len(header, width),
    };
    if header.interlaced {
        PASSES.map(|pass| len(pass_size(header, pass))).iter().sum()
    } else {
        len((header.width as usize, header.height as usize))
    }
}

/// Bytes of a row with its filter type.
fn line_len(header: &Header, width: usize) -> usize {
    1 + (width * header.bits_per_pixel()).div_ceil(8)
}

/// Inflates and restores the rows of one pass and hands each on.
fn decode_pass(
    data: &mut impl Samples,
    header: &Header,
    (width, height): (usize, usize),
    last: bool,
    budget: &Budget<'_>,
    mut use_row: impl FnMut(usize, &[u8]),
) -> Result<(), ImageError> {
    let line = line_len(header, width);
    let stride = header.bits_per_pixel().div_ceil(8);
    let at_once = (CHUNK / line).clamp(1, height.max(1));
    // One row before the chunk: the one above its first.
    let mut buffer = vec![0; line * (at_once + 1)];
    let mut y = 0;
    while y < height {
        let count = at_once.min(height - y);
        budget.charge((line * count) as u64)?;
        let wanted = &mut buffer[line..line * (count + 1)];
        let complete = data.read(wanted, last && y + count == height)? / line;
        for nth in 1..=complete {
            let (above, row) = buffer[line * (nth - 1)..].split_at_mut(line);
            filter::restore(&mut row[..line], &above[1..], stride)?;
            use_row(y, &row[1..line]);
            y += 1;
        }
        if complete < count {
            break;
        }
        buffer.copy_within(line * count..line * (count + 1), 0);
    }
    Ok(())
}

/// The colours that indices and narrow greys stand for.
fn colours(header: &Header, palette: &[Bgr; 256]) -> [Bgr; 256] {
    if header.colour == Colour::Palette || header.depth >= 8 {
        return *palette;
    }
    let highest = (1 << header.depth) - 1;
    std::array::from_fn(|value| [(value.min(highest) * 255 / highest) as u8; 3])
}

fn to_bgr(
    row: &mut [u8],
    line: &[u8],
    header: &Header,
    palette: &[Bgr; 256],
    sixteen_bits: SixteenBits,
) {
    use Colour::*;
    if header.depth == 16 {
        return wide_to_bgr(row, line, header.colour, sixteen_bits);
    }
    match (header.colour, header.depth) {
        (Rgb, _) => rgb_to_bgr::<3>(row, line),
        (RgbAlpha, _) => rgb_to_bgr::<4>(row, line),
        (Grey, 8) => grey_to_bgr(row, line.iter().copied()),
        (GreyAlpha, _) => grey_to_bgr(row, line.iter().copied().step_by(2)),
        (Grey | Palette, depth) => expand_indices(row, line, depth.into(), palette),
    }
}

fn wide_to_bgr(row: &mut [u8], line: &[u8], colour: Colour, sixteen_bits: SixteenBits) {
    let narrow = |sample: [u8; 2]| match sixteen_bits {
        SixteenBits::Cut => sample[0],
        SixteenBits::Scale => {
            saturate(f32::from(u16::from_be_bytes(sample)) * (1.0_f64 / 255.0) as f32)
        }
    };
    let samples = line.as_chunks::<2>().0;
    let pixels = samples.chunks_exact(colour.channels());
    for (bgr, pixel) in row.as_chunks_mut().0.iter_mut().zip(pixels) {
        *bgr = match *pixel {
            [r, g, b] | [r, g, b, _] => [narrow(b), narrow(g), narrow(r)],
            [grey, ..] => [narrow(grey); 3],
            [] => [0; 3],
        };
    }
}
