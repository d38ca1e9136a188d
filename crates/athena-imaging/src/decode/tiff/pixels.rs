//! Samples to BGR, with the arithmetic of libtiff's RGBA reader.

use super::block::Planes;
use super::colour::{Lab, YCbCr};
use super::image::{Alpha, Image, Photometric};
use super::{block, unsupported};
use crate::decode::pixels::{Bgr, expand_indices, rgb_to_bgr};
use crate::{Budget, ImageError};

/// Where the pixels of a strip or tile go: a part of the frame.
pub(super) struct Target<'a> {
    pub(super) pixels: &'a mut [u8],
    /// Bytes from row to row.
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Target<'_> {
    pub(super) fn row(&mut self, y: usize) -> &mut [u8] {
        &mut self.pixels[y * self.stride..][..3 * self.width]
    }
}

/// Turns the samples of one strip or tile into pixels.
pub(super) struct Painter<'a> {
    image: &'a Image<'a>,
    kind: Kind,
}

enum Kind {
    /// One index or grey of at most eight bits, or the upper byte of a grey of sixteen.
    Indexed(Box<[Bgr; 256]>),
    Rgb,
    Cmyk,
    YCbCr(Box<YCbCr>),
    Lab(Box<Lab>),
}

impl<'a> Painter<'a> {
    pub(super) fn new(image: &'a Image<'a>) -> Result<Self, ImageError> {
        block::check_codec(image)?;
        let kind = match (image.photometric, image.bits, image.separate) {
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, 8 | 16, true) => Kind::Rgb,
            (Photometric::WhiteIsZero | Photometric::BlackIsZero, _, false) => {
                Kind::Indexed(Box::new(greys(image)))
            }
            (Photometric::Palette, 1..=8, false) => Kind::Indexed(Box::new(palette(image))),
            (Photometric::Rgb, 8 | 16, _) => Kind::Rgb,
            (Photometric::Cmyk, 8, _) if !image.separate || image.samples == 4 => Kind::Cmyk,
            (Photometric::YCbCr, 8, _) if image.samples == 3 => {
                let (h, v) = image.subsampling;
                let known = match (h, v) {
                    (1, 1) => true,
                    (1 | 2, 2) | (2 | 4, 1) | (4, 2 | 4) => !image.separate,
                    _ => false,
                };
                if !known {
                    return Err(unsupported(format!("chroma subsampled {h} x {v}")));
                }
                Kind::YCbCr(Box::new(YCbCr::new(&image.directory)?))
            }
            (Photometric::Lab, 8 | 16, false) => Kind::Lab(Box::new(Lab::new(&image.directory)?)),
            (photometric, bits, separate) => {
                let planes = if separate { "separate" } else { "interleaved" };
                let message = format!("{photometric:?} of {bits} bits, {planes}");
                return Err(unsupported(message));
            }
        };
        Ok(Self { image, kind })
    }

    /// Paints the target, which may be smaller than a tile.
    pub(super) fn paint(
        &self,
        target: &mut Target<'_>,
        planes: &Planes,
        budget: &Budget<'_>,
    ) -> Result<(), ImageError> {
        let skipped = self.image.layout.width as usize - target.width;
        let work = target.width as u64 * self.work();
        if let (Kind::YCbCr(colour), false) = (&self.kind, self.image.separate) {
            return self
                .paint_subsampled(target, skipped, &planes[0], colour, || budget.charge(work));
        }
        let stride = self.stride(target.width, skipped);
        for y in 0..target.height {
            budget.charge(work)?;
            let planes = planes
                .iter()
                .map(|plane| plane.get(y * stride..).unwrap_or_default());
            self.paint_row(target.row(y), planes);
        }
        Ok(())
    }

    /// Units of work for a pixel.
    fn work(&self) -> u64 {
        match self.kind {
            // Floating point, with divisions: some 30 ns.
            Kind::Lab(_) => 64,
            _ => 1,
        }
    }

    /// Bytes from row to row. libtiff's own arithmetic, which skips too little at the right edge for some kinds.
    fn stride(&self, width: usize, skipped: usize) -> usize {
        let samples = usize::from(self.image.interleaved());
        let bits = usize::from(self.image.bits);
        match self.kind {
            Kind::Indexed(_) if bits < 8 => (width * bits).div_ceil(8) + skipped * bits / 8,
            Kind::Indexed(_) => width * samples * bits / 8 + skipped,
            _ => (width + skipped) * samples * bits / 8,
        }
    }

    fn paint_row<'s>(&self, row: &mut [u8], mut planes: impl Iterator<Item = &'s [u8]>) {
        let bits = self.image.bits;
        let first = planes.next().unwrap_or_default();
        let pixels = row.as_chunks_mut::<3>().0.iter_mut();
        match &self.kind {
            Kind::Indexed(palette) if bits < 8 => expand_indices(row, first, bits.into(), palette),
            Kind::Indexed(palette) => {
                let width = usize::from(self.image.samples * bits / 8);
                for (pixel, samples) in pixels.zip(first.chunks(width)) {
                    *pixel = palette[usize::from(samples[usize::from(bits / 8) - 1])];
                }
            }
            Kind::Lab(lab) => {
                for (pixel, samples) in pixels.zip(first.chunks_exact(3 * usize::from(bits / 8))) {
                    *pixel = lab.to_bgr(samples);
                }
            }
            Kind::Rgb if self.is_plain_rgb() => match self.image.samples {
                3 => rgb_to_bgr::<3>(row, first),
                _ => rgb_to_bgr::<4>(row, first),
            },
            _ if self.image.separate => {
                let rest: Vec<&[u8]> = planes.collect();
                let plane = |index: usize| rest.get(index).copied();
                let (g, b, fourth) = match *rest.as_slice() {
                    [] => (first, first, None),
                    [fourth] => (first, first, Some(fourth)),
                    [g, b, ..] => (g, b, plane(2)),
                };
                for (x, pixel) in pixels.enumerate() {
                    let sample = |plane: &[u8]| sample(plane, x, bits);
                    let colours = [sample(first), sample(g), sample(b)];
                    *pixel = self.finish(colours, fourth.map(sample));
                }
            }
            _ => {
                let samples = usize::from(self.image.samples);
                for (x, pixel) in pixels.enumerate() {
                    let sample = |nth| sample(first, x * samples + nth, bits);
                    let colours = [sample(0), sample(1), sample(2)];
                    *pixel = self.finish(colours, (samples > 3).then(|| sample(3)));
                }
            }
        }
    }

    /// Bytes side by side that no alpha changes.
    fn is_plain_rgb(&self) -> bool {
        self.image.bits == 8 && !self.image.separate && self.image.alpha != Alpha::Unassociated
    }

    fn finish(&self, [r, g, b]: [u8; 3], fourth: Option<u8>) -> Bgr {
        match (&self.kind, fourth) {
            (Kind::Cmyk, Some(k)) => {
                let k = u16::from(255 - k);
                [b, g, r].map(|ink| (k * u16::from(255 - ink) / 255) as u8)
            }
            (Kind::YCbCr(colour), _) => colour.to_bgr(r, g, b),
            (_, Some(a)) if self.image.alpha == Alpha::Unassociated => {
                let a = u16::from(a);
                [b, g, r].map(|c| ((u16::from(c) * a + 127) / 255) as u8)
            }
            _ => [b, g, r],
        }
    }

    /// Blocks of luma samples, each followed by its two chroma samples.
    fn paint_subsampled(
        &self,
        target: &mut Target<'_>,
        skipped: usize,
        data: &[u8],
        colour: &YCbCr,
        before_row: impl Fn() -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let (width, height) = (target.width, target.height);
        let (h, v) = (
            usize::from(self.image.subsampling.0),
            usize::from(self.image.subsampling.1),
        );
        let block = h * v + 2;
        // libtiff reckons blocks of 4 x 4 as small as those of 4 x 2 here.
        let skip = skipped / h * if (h, v) == (4, 4) { 10 } else { block };
        let mut at = 0;
        for top in (0..height).step_by(v) {
            (0..v).try_for_each(|_| before_row())?;
            for left in (0..width).step_by(h) {
                let samples = data.get(at..at + block).unwrap_or(&[0; 18]);
                let (cb, cr) = (samples[h * v], samples[h * v + 1]);
                for y in 0..v.min(height - top) {
                    let row = target.row(top + y)[3 * left..].as_chunks_mut().0;
                    for (x, pixel) in row.iter_mut().take(h).enumerate() {
                        *pixel = colour.to_bgr(samples[y * h + x], cb, cr);
                    }
                }
                at += block;
            }
            at += skip;
        }
        Ok(())
    }
}

/// A sample in eight bits.
fn sample(plane: &[u8], index: usize, bits: u16) -> u8 {
    if bits == 16 {
        let pair = plane.get(2 * index..2 * index + 2).unwrap_or(&[0; 2]);
        let value = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
        ((value + 128) / 257) as u8
    } else {
        plane.get(index).copied().unwrap_or(0)
    }
}

fn greys(image: &Image<'_>) -> [Bgr; 256] {
    let range = (1_usize << image.bits.min(8)) - 1;
    std::array::from_fn(|value| {
        let value = value.min(range);
        let value = match image.photometric {
            Photometric::WhiteIsZero => range - value,
            _ => value,
        };
        [(value * 255 / range) as u8; 3]
    })
}

fn palette(image: &Image<'_>) -> [Bgr; 256] {
    let map = image.colour_map.as_deref().unwrap_or_default();
    let count = map.len() / 3;
    // Some writers fill the map with bytes.
    let wide = map.iter().any(|&value| value >= 256);
    let byte = |index: usize| {
        let value = map.get(index).copied().unwrap_or(0);
        (if wide { value >> 8 } else { value }) as u8
    };
    std::array::from_fn(|index| {
        let index = index.min(count.saturating_sub(1));
        [byte(2 * count + index), byte(count + index), byte(index)]
    })
}
