//! JPEG strips and tiles: abbreviated streams whose tables are in a tag.

use super::image::{Image, Photometric};
use crate::decode::jpeg;
use crate::{Budget, ImageError};

const START: [u8; 2] = [0xFF, 0xD8];
const END: [u8; 2] = [0xFF, 0xD9];
/// Work for a stream whatever it holds.
const WORK_OF_STREAM: u64 = 32 << 10;

/// Decodes one strip or tile into samples of `row_len` bytes a row; `None` if it does not fit the tags.
pub(super) fn decode(
    image: &Image<'_>,
    bytes: &[u8],
    output: &mut [u8],
    rows: usize,
    budget: &Budget<'_>,
) -> Result<Option<()>, ImageError> {
    // Both are copied, and a decoder is made for them.
    let len = bytes.len() + image.jpeg_tables().map_or(0, <[u8]>::len);
    budget.charge(WORK_OF_STREAM + len as u64)?;
    let Some((stream, size)) = complete(image, bytes) else {
        return Ok(None);
    };
    let width = image.layout.width as usize;
    let too_high = size.height > rows && (image.layout.tiled || size.width != width);
    let count_differs = size.sampling.len() != usize::from(image.interleaved());
    if count_differs || size.width > width || too_high || !sampling_fits(image, &size.sampling) {
        return Ok(None);
    }
    let channels = usize::from(image.interleaved());
    let row_len = width * channels;
    let rows = output.chunks_exact_mut(row_len).take(size.height);
    if channels == 4 {
        let samples = four_components(&stream, budget)?;
        for (row, samples) in rows.zip(samples.chunks_exact(4 * size.width)) {
            row[..samples.len()].copy_from_slice(samples);
        }
        return Ok(Some(()));
    }
    let frame = jpeg::decode(&stream, budget)?;
    for (y, row) in rows.enumerate() {
        let pixels = frame.row(y).as_chunks::<3>().0;
        for (samples, &[b, g, r]) in row.chunks_exact_mut(channels).zip(pixels) {
            samples.copy_from_slice(&[r, g, b][..channels]);
        }
    }
    Ok(Some(()))
}

/// Only YCbCr may be subsampled, as the tags say if they do.
fn sampling_fits(image: &Image<'_>, sampling: &[u8]) -> bool {
    let Some((&first, rest)) = sampling.split_first() else {
        return false;
    };
    let expected = match image.subsampling {
        _ if !image.jpeg_ycbcr => 0x11,
        (h @ 1..=4, v @ 1..=4) if image.subsampling_is_known => (h << 4 | v) as u8,
        _ => first,
    };
    first == expected && rest.iter().all(|&sampling| sampling == 0x11)
}

#[cfg(feature = "native")]
fn four_components(stream: &[u8], budget: &Budget<'_>) -> Result<Vec<u8>, ImageError> {
    jpeg::components(stream, budget)
}

#[cfg(not(feature = "native"))]
fn four_components(_stream: &[u8], _budget: &Budget<'_>) -> Result<Vec<u8>, ImageError> {
    Err(super::unsupported(
        "JPEG of four inks needs the feature `native`",
    ))
}

struct Size {
    width: usize,
    height: usize,
    /// Factors across and down of each component, four bits each.
    sampling: Vec<u8>,
}

/// The stream with its tables, without application data, which would have a say in its colours.
fn complete(image: &Image<'_>, bytes: &[u8]) -> Option<(Vec<u8>, Size)> {
    let converted = image.photometric == Photometric::Rgb && image.jpeg_ycbcr;
    let mut stream = START.to_vec();
    let colour_transform = u8::from(converted);
    stream.extend([0xFF, 0xEE, 0, 14]);
    stream.extend(*b"Adobe\0\x64\0\0\0\0");
    stream.push(colour_transform);
    if let Some(tables) = image.jpeg_tables() {
        segments(tables, &mut stream);
    }
    let (size, rest) = segments(bytes, &mut stream);
    stream.extend_from_slice(rest);
    // libtiff forgives data that end early.
    stream.extend(END);
    Some((stream, size?))
}

/// Copies the segments that count, up to the first scan, and gives the size and the scans.
fn segments<'a>(mut bytes: &'a [u8], stream: &mut Vec<u8>) -> (Option<Size>, &'a [u8]) {
    bytes = bytes.strip_prefix(&START).unwrap_or(bytes);
    let mut size = None;
    while let [0xFF, marker, high, low, body @ ..] = bytes {
        if matches!(marker, 0xDA | 0xD9) {
            break;
        }
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(next) = bytes.get(2 + len..) else {
            break;
        };
        if let (0xC0..=0xC2 | 0xC9 | 0xCA, [8, h0, h1, w0, w1, count, components @ ..]) =
            (marker, body)
        {
            let components = components.as_chunks::<3>().0.iter();
            size = Some(Size {
                width: u16::from_be_bytes([*w0, *w1]).into(),
                height: u16::from_be_bytes([*h0, *h1]).into(),
                sampling: components.map(|c| c[1]).take((*count).into()).collect(),
            });
        }
        if !matches!(marker, 0xE0..=0xEF | 0xFE) {
            stream.extend_from_slice(&bytes[..2 + len]);
        }
        bytes = next;
    }
    (size, bytes)
}
