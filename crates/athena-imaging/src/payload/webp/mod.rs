//! Lossless WebP, our own encoder: the format is that of RFC 9649.

use super::WebpEffort;
use crate::{Frame, scratch};

mod bits;
mod copies;
mod groups;
mod histogram;
mod literals;
mod palette;
mod predict;
mod prefix;
mod survey;
mod tokens;

use bits::BitWriter;
use palette::Palette;
use predict::{Planes, TILE_BITS, predict};
use survey::Survey;

/// Pixels, as they are or transformed: alpha, red, green and blue from the highest bits on.
#[derive(Debug)]
struct Picture {
    width: usize,
    pixels: Vec<u32>,
}

/// Pixels in a row, and rows, that the format has room for.
pub(super) const LARGEST_SIDE: u32 = 1 << 14;

impl Picture {
    /// A picture whose pixels are to be overwritten.
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            pixels: scratch::words_to_overwrite(width * height),
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        scratch::give_back_words(std::mem::take(&mut self.pixels));
    }
}

/// Encodes losslessly a frame that is not larger than the format allows.
pub(super) fn encode(frame: &Frame, effort: WebpEffort) -> Vec<u8> {
    let palette = Palette::of(frame);
    let survey = Survey::of(frame, palette.as_ref().map(Palette::indices));
    let depth = match effort {
        WebpEffort::Fastest => 0,
        WebpEffort::Default => 4,
        WebpEffort::Small => return smallest(frame, palette.as_ref(), &survey),
    };
    match palette {
        Some(palette) if palette.packs() || survey.favours_palette() => {
            encode_indices(frame, &palette, depth)
        }
        None if survey.favours_plain() => encode_plain(frame, depth),
        _ => encode_predicted(frame, survey.has_copies().then_some(depth)),
    }
}

/// With a longer search for copies, and the smaller of two ways where the survey may be wrong.
fn smallest(frame: &Frame, palette: Option<&Palette>, survey: &Survey) -> Vec<u8> {
    const DEPTH: usize = 32;
    let first = match palette {
        Some(palette) if palette.packs() || survey.favours_palette() => {
            encode_indices(frame, palette, DEPTH)
        }
        None if survey.favours_plain() => encode_plain(frame, DEPTH),
        _ if survey.has_copies() => encode_predicted(frame, Some(DEPTH)),
        _ => return encode_predicted(frame, None),
    };
    let second = encode_predicted(frame, None);
    if second.len() < first.len() {
        second
    } else {
        first
    }
}

fn encode_indices(frame: &Frame, palette: &Palette, depth: usize) -> Vec<u8> {
    let mut out = header(frame);
    put_transform(COLOUR_INDEXING, &mut out);
    palette.write(&mut out);
    put_no_transform(&mut out);
    write_tokens(&palette.pack(frame.width() as usize), depth, &mut out);
    finish(out)
}

fn encode_plain(frame: &Frame, depth: usize) -> Vec<u8> {
    let mut out = header(frame);
    put_no_transform(&mut out);
    write_tokens(&plain(frame), depth, &mut out);
    finish(out)
}

/// With copies, from so many places, or without any.
fn encode_predicted(frame: &Frame, copies: Option<usize>) -> Vec<u8> {
    let mut out = header(frame);
    let residuals = predict(&Planes::of(frame));
    put_transform(PREDICTOR, &mut out);
    residuals.write_predictors(&mut out);
    // Green is subtracted from what prediction leaves: from the pixels themselves, averages would go wrong where the
    // difference of two colours is about zero.
    put_transform(SUBTRACT_GREEN, &mut out);
    put_no_transform(&mut out);
    match copies {
        Some(depth) => write_tokens(&residuals.picture(), depth, &mut out),
        None => literals::write(&residuals, &mut out),
    }
    finish(out)
}

/// A frame's pixels as they are.
fn plain(frame: &Frame) -> Picture {
    let mut picture = Picture::new(frame.width() as usize, frame.height() as usize);
    let pixels = frame.data().as_chunks::<3>().0;
    for (out, [blue, green, red]) in picture.pixels.iter_mut().zip(pixels) {
        *out = u32::from_le_bytes([*blue, *green, *red, 255]);
    }
    picture
}

/// Writes a picture with copies, looked for in up to `depth` places.
fn write_tokens(picture: &Picture, depth: usize, out: &mut BitWriter) {
    let (tokens, bits) = copies::split(&picture.pixels, picture.width, depth);
    tokens::write(&tokens, &bits, picture.width, TILE_BITS, out);
    scratch::give_back_words(bits);
}

const PREDICTOR: u32 = 0;
const SUBTRACT_GREEN: u32 = 2;
const COLOUR_INDEXING: u32 = 3;

fn put_no_transform(out: &mut BitWriter) {
    out.put(0_u8, 1);
}

fn put_transform(number: u32, out: &mut BitWriter) {
    out.put(1_u8, 1);
    out.put(number, 2);
}

/// Up to the first transform.
fn header(frame: &Frame) -> BitWriter {
    // The lengths of the file and of the chunk follow at the end.
    let mut bytes = Vec::with_capacity(frame.data().len() / 2);
    bytes.extend_from_slice(b"RIFF....WEBPVP8L....\x2F");
    let mut out = BitWriter::after(bytes);
    out.put(frame.width() - 1, 14);
    out.put(frame.height() - 1, 14);
    // No alpha, version zero.
    out.put(0_u8, 4);
    out
}

fn finish(out: BitWriter) -> Vec<u8> {
    let mut bytes = out.finish();
    let chunk = bytes.len() as u32 - 20;
    // Chunks have an even length.
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let file = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&file.to_le_bytes());
    bytes[16..20].copy_from_slice(&chunk.to_le_bytes());
    bytes
}
