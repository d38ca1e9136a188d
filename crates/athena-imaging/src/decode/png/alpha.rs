//! Alpha, which counts only where a frame of an animation is blended with those before it.

use super::header::{Colour, Header};

/// What a `tRNS` chunk says of images without an alpha channel.
pub(super) enum Transparency {
    None,
    /// Alpha for each index of the palette.
    Palette(Box<[u8; 256]>),
    /// The one colour that is not to be seen, of as many samples as a pixel has.
    Colour([u16; 3]),
}

impl Transparency {
    pub(super) fn read(data: &[u8], colour: Colour) -> Self {
        match (colour, data) {
            (Colour::Palette, _) => {
                let mut alpha = Box::new([255; 256]);
                alpha
                    .iter_mut()
                    .zip(data)
                    .for_each(|(to, from)| *to = *from);
                Self::Palette(alpha)
            }
            (Colour::Grey, &[a, b, ..]) => Self::Colour([u16::from_be_bytes([a, b]); 3]),
            (Colour::Rgb, &[a, b, c, d, e, f, ..]) => {
                Self::Colour([[a, b], [c, d], [e, f]].map(u16::from_be_bytes))
            }
            _ => Self::None,
        }
    }
}

/// The alpha of an image, a byte for each pixel.
pub(super) struct Alpha<'a> {
    pub(super) plane: &'a mut [u8],
    pub(super) transparency: &'a Transparency,
}

impl Alpha<'_> {
    /// Reads the alpha of `count` pixels of a row; `start` and `step` say where it goes.
    pub(super) fn read(
        &mut self,
        line: &[u8],
        header: &Header,
        count: usize,
        (start, step): (usize, usize),
    ) {
        let channels = header.colour.channels();
        let depth = usize::from(header.depth);
        let sample = |pixel: usize, channel: usize| {
            let nth = pixel * channels + channel;
            match depth {
                16 => u16::from_be_bytes([line[2 * nth], line[2 * nth + 1]]),
                8 => line[nth].into(),
                _ => {
                    let shift = 8 - depth - nth * depth % 8;
                    u16::from(line[nth * depth / 8] >> shift) & ((1 << depth) - 1)
                }
            }
        };
        let has_alpha = matches!(header.colour, Colour::GreyAlpha | Colour::RgbAlpha);
        let targets = self.plane[start..].iter_mut().step_by(step);
        for (pixel, to) in targets.take(count).enumerate() {
            *to = match self.transparency {
                _ if has_alpha => (sample(pixel, channels - 1) >> (depth - 8)) as u8,
                Transparency::Palette(alpha) => alpha[usize::from(sample(pixel, 0))],
                Transparency::Colour(hidden) => {
                    let hides = (0..channels).all(|nth| sample(pixel, nth) == hidden[nth]);
                    if hides { 0 } else { 255 }
                }
                Transparency::None => 255,
            };
        }
    }
}
