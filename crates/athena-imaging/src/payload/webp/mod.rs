//! Lossless WebP, our own encoder: the format is that of RFC 9649.

use super::WebpEffort;
use crate::Frame;

mod bits;
mod clusters;
mod copies;
mod cross_colour;
mod distance;
mod finder;
mod groups;
mod histogram;
mod literals;
mod palette;
mod picture;
mod predict;
mod predictors;
mod prefix;
mod survey;
mod thorough;
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
    if let Some(palette) = Palette::of_few(frame) {
        return encode_indices(frame, &palette, effort);
    }
    let (way, survey) = Way::of(frame);
    if effort == WebpEffort::Small {
        smallest(frame, &way, &survey)
    } else {
        encode_in(&way, frame, &survey, effort)
    }
}

/// What a frame's pixels are taken for.
enum Way {
    /// Indices of a palette.
    Indices(Box<Palette>),
    /// Colours as they are.
    Plain,
    /// What prediction leaves.
    Predicted,
}

impl Way {
    /// The one that some rows of a frame make out to be the best, and what else they tell.
    fn of(frame: &Frame) -> (Self, Survey) {
        let mut survey = Survey::of(frame);
        if survey.favours_palette() {
            match Palette::of(frame) {
                Some(palette) => return (Self::Indices(palette.into()), survey),
                None => survey = survey.without_palette(),
            }
        }
        let way = if survey.favours_plain() {
            Self::Plain
        } else {
            Self::Predicted
        };
        (way, survey)
    }
}

fn encode_in(way: &Way, frame: &Frame, survey: &Survey, effort: WebpEffort) -> Vec<u8> {
    match way {
        Way::Indices(palette) => encode_indices(frame, palette, effort),
        Way::Plain => encode_plain(frame, effort),
        Way::Predicted => encode_predicted(frame, survey, effort),
    }
}

/// The smallest of the ways that may be it, of which one is that of the default, so that it is never larger: with
/// the default's groups, or, where that is the only way, with others that take fewer bits.
fn smallest(frame: &Frame, way: &Way, survey: &Survey) -> Vec<u8> {
    if !matches!(way, Way::Predicted) && !survey.may_favour_prediction() {
        return encode_in(way, frame, survey, WebpEffort::Small);
    }
    let mut files = vec![
        encode_in(way, frame, survey, WebpEffort::Default),
        encode_thoroughly(frame, survey.has_copies(WebpEffort::Small)),
    ];
    if matches!(way, Way::Predicted) && survey.may_favour_plain() {
        files.push(encode_plain(frame, WebpEffort::Small));
    }
    // Of equal ones the first: decoders are quicker with fewer groups and predictors.
    files.into_iter().min_by_key(Vec::len).unwrap_or_default()
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
    tokens::write(&Picture::of_frame(frame), effort, &mut out);
    finish(out)
}

fn encode_predicted(frame: &Frame, survey: &Survey, effort: WebpEffort) -> Vec<u8> {
    let mut out = header(frame);
    let residuals = predict(&Planes::of(frame), effort);
    put_transform(PREDICTOR, &mut out);
    residuals.predictors.write(&mut out);
    // Green is subtracted from what prediction leaves: from the pixels themselves, averages would go wrong where the
    // difference of two colours is about zero.
    put_transform(SUBTRACT_GREEN, &mut out);
    put_no_transform(&mut out);
    if survey.has_copies(effort) && (effort != WebpEffort::Fastest || survey.favours_copies()) {
        tokens::write(&residuals.picture(), effort, &mut out);
    } else {
        literals::write(&residuals, &mut out);
    }
    finish(out)
}

/// Predicted in more ways, for fewer bytes.
fn encode_thoroughly(frame: &Frame, has_copies: bool) -> Vec<u8> {
    let mut out = header(frame);
    let (residuals, cross_colour) = thorough::predict(&Planes::of(frame));
    put_transform(PREDICTOR, &mut out);
    residuals.predictors.write(&mut out);
    put_transform(CROSS_COLOUR, &mut out);
    cross_colour.write(&mut out);
    put_no_transform(&mut out);
    if has_copies {
        tokens::write_clustered(&residuals.picture(), &mut out);
    } else {
        literals::write_clustered(&residuals, &mut out);
    }
    finish(out)
}

const PREDICTOR: u32 = 0;
const CROSS_COLOUR: u32 = 1;
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
