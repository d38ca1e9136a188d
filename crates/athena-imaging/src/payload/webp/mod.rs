//! Lossless WebP, our own encoder: the format is that of RFC 9649.

use super::WebpEffort;
use crate::Frame;

mod bits;
mod copies;
mod distance;
mod finder;
mod groups;
mod histogram;
mod literals;
mod palette;
mod picture;
mod predict;
mod prefix;
mod survey;
mod tokens;

use bits::BitWriter;
use palette::Palette;
use picture::Picture;
use predict::{Planes, predict};
use survey::Survey;

/// Pixels in a row, and rows, that the format has room for.
pub(super) const LARGEST_SIDE: u32 = 1 << 14;

/// Encodes losslessly a frame that is not larger than the format allows.
pub(super) fn encode(frame: &Frame, effort: WebpEffort) -> Vec<u8> {
    let palette = Palette::of(frame);
    let survey = Survey::of(frame, palette.as_ref().map(Palette::indices));
    if effort == WebpEffort::Small {
        return smallest(frame, palette.as_ref(), &survey);
    }
    match palette {
        Some(palette) if palette.packs() || survey.favours_palette() => {
            encode_indices(frame, &palette, effort)
        }
        None if survey.favours_plain() => encode_plain(frame, effort),
        _ => encode_predicted(frame, survey.has_copies(), effort),
    }
}

/// The smaller of two ways where both may be.
fn smallest(frame: &Frame, palette: Option<&Palette>, survey: &Survey) -> Vec<u8> {
    let effort = WebpEffort::Small;
    let has_copies = survey.has_copies();
    let predicted = || encode_predicted(frame, has_copies, effort);
    let other = match palette {
        Some(palette) if palette.packs() => return encode_indices(frame, palette, effort),
        Some(palette) if has_copies || survey.favours_palette() => {
            encode_indices(frame, palette, effort)
        }
        None if has_copies || survey.favours_plain() => encode_plain(frame, effort),
        _ => return predicted(),
    };
    let predicted = predicted();
    if predicted.len() < other.len() {
        predicted
    } else {
        other
    }
}

fn encode_indices(frame: &Frame, palette: &Palette, effort: WebpEffort) -> Vec<u8> {
    let mut out = header(frame);
    put_transform(COLOUR_INDEXING, &mut out);
    palette.write(&mut out);
    put_no_transform(&mut out);
    tokens::write(&palette.pack(frame.width() as usize), effort, &mut out);
    finish(out)
}

fn encode_plain(frame: &Frame, effort: WebpEffort) -> Vec<u8> {
    let mut out = header(frame);
    put_no_transform(&mut out);
    tokens::write(&plain(frame), effort, &mut out);
    finish(out)
}

fn encode_predicted(frame: &Frame, has_copies: bool, effort: WebpEffort) -> Vec<u8> {
    let mut out = header(frame);
    let residuals = predict(&Planes::of(frame));
    put_transform(PREDICTOR, &mut out);
    residuals.write_predictors(&mut out);
    // Green is subtracted from what prediction leaves: from the pixels themselves, averages would go wrong where the
    // difference of two colours is about zero.
    put_transform(SUBTRACT_GREEN, &mut out);
    put_no_transform(&mut out);
    if has_copies {
        tokens::write(&residuals.picture(), effort, &mut out);
    } else {
        literals::write(&residuals, &mut out);
    }
    finish(out)
}

/// A frame's pixels as they are.
fn plain(frame: &Frame) -> Picture<4> {
    let mut picture = Picture::new(frame.width() as usize, frame.height() as usize);
    let pixels = frame.data().as_chunks::<3>().0;
    for (out, [blue, green, red]) in picture.pixels_mut().iter_mut().zip(pixels) {
        *out = [*blue, *green, *red, 255];
    }
    picture
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
    let mut out = BitWriter::after(b"RIFF....WEBPVP8L....\x2F", frame.data().len() / 2);
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
