//! What a file consists of, as far as it costs memory or work.

use super::vp8l;
use crate::{Budget, ImageError};

/// Work and memory of libwebp's demuxer for a chunk, of which 8 bytes of a file can make one.
const WORK_OF_CHUNK: u64 = 256;
const BYTES_OF_CHUNK: u64 = 112;
/// A chunk's name and length.
const HEADER: usize = 8;
/// Bytes of an animation's frame before its chunks.
const FRAME_HEADER: usize = 16;
const VP8L_HEADER: usize = 5;
const ALPHA_IS_LOSSLESS: u8 = 1;

struct Chunk<'a> {
    name: &'a [u8; 4],
    /// Of the whole file.
    start: usize,
    /// What is there of it.
    data: &'a [u8],
}

/// The chunks behind position `at`; a frame's own follow it.
fn chunks(bytes: &[u8], mut at: usize) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let (name, rest) = rest.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len) as usize;
        let data = rest.get(..len).unwrap_or(rest);
        let start = at;
        let skipped = match name {
            b"ANMF" => FRAME_HEADER,
            _ => len.saturating_add(len % 2),
        };
        at = (at + HEADER).saturating_add(skipped);
        Some(Chunk { name, start, data })
    })
}

/// Pays for the chunks of a file and for what libwebp reads before the pixels of its image, or of the first `frames`; returns the
/// bytes that it holds for them at most, beside pixels.
pub(super) fn held(
    bytes: &[u8],
    size: (u32, u32),
    frames: Option<usize>,
    budget: &Budget<'_>,
) -> Result<u64, ImageError> {
    const FIRST_CHUNK: usize = 12;
    if !bytes.starts_with(b"RIFF") {
        return image(bytes, size, budget);
    }
    let mut held = 0;
    let (mut count, mut begun, mut seen) = (0, None, 0);
    for chunk in chunks(bytes, FIRST_CHUNK) {
        budget.charge(WORK_OF_CHUNK)?;
        count += 1;
        match chunk.name {
            b"ANMF" => begun = None,
            b"ALPH" => begun = begun.or(Some(chunk.start)),
            b"VP8 " | b"VP8L" if frames.is_some_and(|frames| seen < frames) => {
                seen += 1;
                let len = chunk.data.len();
                let end = bytes.len().min(chunk.start + HEADER + len + len % 2);
                let start = begun.take().unwrap_or(chunk.start);
                held = held.max(image(&bytes[start..end], size, budget)?);
            }
            _ => {}
        }
    }
    if frames.is_none() {
        held = image(bytes, size, budget)?;
    }
    Ok(held + BYTES_OF_CHUNK * count)
}

/// As [`held`] for one image, in a file of its own or as chunks.
fn image(bytes: &[u8], canvas: (u32, u32), budget: &Budget<'_>) -> Result<u64, ImageError> {
    let Some(image) = Image::find(bytes) else {
        return Ok(0);
    };
    // Others are refused by libwebp, before it takes memory for them.
    let fits =
        |(width, height)| (1..=canvas.0).contains(&width) && (1..=canvas.1).contains(&height);
    let as_usize = |(width, height)| (width as usize, height as usize);
    match image {
        Image::Lossless(stream) => match lossless_size(stream).filter(|size| fits(*size)) {
            Some(size) => vp8l::held(stream, 8 * VP8L_HEADER, as_usize(size), budget),
            None => Ok(0),
        },
        Image::Lossy {
            frame,
            alpha: Some([header, alpha @ ..]),
        } if header & 3 == ALPHA_IS_LOSSLESS => {
            match lossy_size(frame).filter(|size| fits(*size)) {
                // Alpha is decoded as pixels of four bytes, then kept as a plane.
                Some(size) => Ok(u64::from(size.0) * u64::from(size.1)
                    + vp8l::held(alpha, 0, as_usize(size), budget)?),
                None => Ok(0),
            }
        }
        Image::Lossy { .. } => Ok(0),
    }
}

enum Image<'a> {
    /// A stream with its header, and whatever follows it: libwebp sees no end of it but the file's.
    Lossless(&'a [u8]),
    Lossy {
        frame: &'a [u8],
        alpha: Option<&'a [u8]>,
    },
}

impl<'a> Image<'a> {
    /// Finds the image where libwebp's `ParseHeadersInternal` does.
    fn find(bytes: &'a [u8]) -> Option<Self> {
        const RIFF_HEADER: usize = 12;
        const VP8X: usize = HEADER + 10;
        let mut at = 0;
        let is_file = bytes.starts_with(b"RIFF");
        if is_file {
            at = RIFF_HEADER;
        }
        let is_extended = bytes.get(at..)?.starts_with(b"VP8X");
        if is_extended {
            at += VP8X;
        }
        let mut alpha = None;
        if is_file && is_extended || bytes.starts_with(b"ALPH") {
            for chunk in chunks(bytes, at) {
                at = chunk.start;
                match chunk.name {
                    b"VP8 " | b"VP8L" => break,
                    b"ALPH" => alpha = Some(chunk.data),
                    _ => {}
                }
            }
        }
        let rest = bytes.get(at..)?;
        Some(match rest.first_chunk()? {
            b"VP8L" => Self::Lossless(rest.get(HEADER..)?),
            b"VP8 " => Self::Lossy {
                frame: rest.get(HEADER..)?,
                alpha,
            },
            _ => Self::Lossless(rest),
        })
    }
}

/// The size that a lossless stream tells.
fn lossless_size(stream: &[u8]) -> Option<(u32, u32)> {
    let [0x2F, sizes @ ..] = stream.first_chunk::<VP8L_HEADER>()? else {
        return None;
    };
    let sizes = u32::from_le_bytes(*sizes);
    Some((1 + (sizes & 0x3FFF), 1 + (sizes >> 14 & 0x3FFF)))
}

/// The size that a lossy frame tells.
fn lossy_size(frame: &[u8]) -> Option<(u32, u32)> {
    let [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = frame.first_chunk::<10>()? else {
        return None;
    };
    let side = |bytes: [u8; 2]| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
    Some((side([*w0, *w1]), side([*h0, *h1])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::webp::libwebp;
    use crate::{Format, Limits};

    fn fixtures() -> impl Iterator<Item = Vec<u8>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
        let files = std::fs::read_dir(folder).expect("the fixtures");
        let paths = files.map(|file| file.expect("a file").path());
        let webp = paths.filter(|path| path.extension().is_some_and(|name| name == "webp"));
        webp.map(|path| std::fs::read(path).expect("a file"))
    }

    #[test]
    fn what_is_refused_before_libwebp_is_refused_by_libwebp() {
        let limits = Limits::default();
        let (mut sound, mut refused) = (0, 0);
        for bytes in fixtures() {
            for at in (0..bytes.len()).step_by(bytes.len() / 100 + 1) {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    let features = damaged.first_chunk::<32>();
                    let features = features.and_then(|start| libwebp::features(start));
                    let Some(features) = features.filter(|features| !features.animated) else {
                        continue;
                    };
                    let size = (features.width, features.height);
                    let pixels = u64::from(size.0) * u64::from(size.1);
                    if pixels > 1 << 20 {
                        continue;
                    }
                    let budget = Budget::new(Format::WebP, &limits, &|| false, None);
                    let held = held(&damaged, size, None, &budget);
                    let mut canvas = vec![0; 4 * pixels as usize];
                    let decoded = libwebp::decode_bgra(&damaged, &mut canvas, size.0);
                    assert!(held.is_ok() || decoded.is_none(), "byte {at}, bit {bit}");
                    sound += u32::from(decoded.is_some());
                    refused += u32::from(held.is_err());
                }
            }
        }
        assert!(
            sound > 1000 && refused > 100,
            "{sound} sound, {refused} refused"
        );
    }

    #[test]
    fn a_stream_without_groups_holds_the_tables_of_one() {
        // A header for 4 x 4 pixels; no transform, no cache, no groups; five codes of one symbol.
        let bits = [0x2F, 0x03, 0xC0, 0x00, 0x00, 0x88, 0x88, 0x08];
        let limits = Limits::default();
        let budget = Budget::new(Format::WebP, &limits, &|| false, None);
        let held = held(&bits, (4, 4), None, &budget).expect("a sound header");
        assert_eq!(held, 4 * (3 * 630 + 410 + 654) + 568);
    }
}
