//! The samples of a strip or tile: fetched, decompressed, undifferenced, in the byte order of the machine.

use std::borrow::Cow;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::fax::{self, Variant};
use super::image::{Image, Photometric};
use super::{corrupt, jpeg, lzw, packbits, unsupported};
use crate::{Budget, ImageError};

/// Work for a strip or tile, whatever it holds: buffers, look-ups, the state of a decoder.
const WORK_OF_BLOCK: u64 = 512;
const WORK_OF_INFLATE: u64 = 8192;
/// Bytes that are inflated at once.
const PIECE: usize = 64 << 10;

mod compression {
    pub(super) const NONE: u16 = 1;
    pub(super) const FAX_BYTES: u16 = 2;
    pub(super) const FAX_GROUP3: u16 = 3;
    pub(super) const FAX_GROUP4: u16 = 4;
    pub(super) const LZW: u16 = 5;
    pub(super) const OLD_JPEG: u16 = 6;
    pub(super) const JPEG: u16 = 7;
    pub(super) const DEFLATE: u16 = 8;
    pub(super) const FAX_WORDS: u16 = 32771;
    pub(super) const PACK_BITS: u16 = 32773;
    pub(super) const OLD_DEFLATE: u16 = 32946;
}

/// One buffer, or one for each plane that is used: three colours (or the same grey thrice) and maybe a fourth.
pub(super) type Planes = Vec<Vec<u8>>;

/// Refuses what libtiff has no decoder for, or one that cannot do what the tags ask.
pub(super) fn check_codec(image: &Image<'_>) -> Result<(), ImageError> {
    use compression::*;
    match (image.compression, image.predictor) {
        (NONE | PACK_BITS, _) | (LZW | DEFLATE | OLD_DEFLATE, 1) => Ok(()),
        (LZW | DEFLATE | OLD_DEFLATE, 2) if image.bits >= 8 => Ok(()),
        (LZW | DEFLATE | OLD_DEFLATE, predictor) => Err(corrupt(format!("predictor {predictor}"))),
        (FAX_BYTES | FAX_WORDS | FAX_GROUP3 | FAX_GROUP4, _) if image.bits == 1 => Ok(()),
        (JPEG, _) if image.bits == 8 && image.interleaved() != 2 => Ok(()),
        (FAX_BYTES | FAX_WORDS | FAX_GROUP3 | FAX_GROUP4 | JPEG, _) => {
            let (bits, samples) = (image.bits, image.interleaved());
            Err(unsupported(format!(
                "compression {} of {samples} x {bits} bits",
                image.compression
            )))
        }
        // The schemes that libtiff can name: in OpenCV without a decoder, or rare and without one here.
        (
            OLD_JPEG | 32766 | 32809 | 32909 | 34661 | 34676 | 34677 | 34887 | 34925 | 50000
            | 50001,
            _,
        ) => Err(unsupported(format!("compression {}", image.compression))),
        // An unknown scheme decodes to nothing, which is black or white.
        _ => Ok(()),
    }
}

/// Reads one strip or tile after the other.
pub(super) struct Blocks<'a> {
    image: &'a Image<'a>,
    budget: &'a Budget<'a>,
    fax_without_ends: bool,
    lzw: lzw::Decoder,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(image: &'a Image<'a>, budget: &'a Budget<'a>) -> Self {
        Self {
            image,
            budget,
            fax_without_ends: false,
            lzw: lzw::Decoder::default(),
        }
    }

    /// Memory that decoding takes beside samples and pixels.
    pub(super) fn working_bytes(image: &Image<'_>) -> u64 {
        use compression::*;
        match image.compression {
            FAX_BYTES | FAX_WORDS | FAX_GROUP3 | FAX_GROUP4 => {
                fax::working_bytes(image.layout.width)
            }
            _ => 0,
        }
    }

    /// Reads strip or tile `index`, `rows` high, of every plane.
    pub(super) fn read(&mut self, index: usize, rows: usize) -> Result<Planes, ImageError> {
        let image = self.image;
        self.budget.charge(WORK_OF_BLOCK)?;
        let len = image.block_len(rows);
        let capacity = image.block_len(image.layout.height as usize).max(len);
        let missing = || {
            corrupt(format!(
                "strip or tile {index} is outside the file or damaged"
            ))
        };
        let first = raw(image, index, self.budget)?.ok_or_else(missing)?;
        // libtiff compares the size of its own read buffer, in units of 1,024 bytes, with that of the tile.
        let tiled = image.layout.tiled;
        let uncompressed = image.compression == compression::NONE;
        if uncompressed && tiled && first.len().next_multiple_of(1024) != len {
            let stored = first.len();
            return Err(unsupported(format!(
                "uncompressed tiles of {len} bytes, {stored} stored"
            )));
        }
        let size = Size {
            rows,
            len,
            capacity,
        };
        let mut planes = vec![self.decoded(&first, &size)?.ok_or_else(missing)?];
        if !image.separate {
            return Ok(planes);
        }
        let colours = if image.photometric.is_grey() { 1 } else { 3 };
        for plane in 1..colours + usize::from(has_fourth(image)) {
            let index = index + plane * image.layout.per_plane;
            self.budget.charge(WORK_OF_BLOCK)?;
            let decoded = match raw(image, index, self.budget)? {
                _ if uncompressed && !tiled => Some(uncompressed_strip(image, index, &size)),
                Some(bytes) => self.decoded(&bytes, &size)?,
                None => None,
            };
            planes.push(decoded.unwrap_or_else(|| vec![0; capacity]));
        }
        Ok(planes)
    }

    /// Decompresses; what cannot be decoded is zero, and what was stays in the file's byte order. `None` if the data do
    /// not start.
    fn decoded(&mut self, bytes: &[u8], size: &Size) -> Result<Option<Vec<u8>>, ImageError> {
        use compression::*;
        let (image, budget) = (self.image, self.budget);
        let mut buffer = vec![0; size.capacity];
        let output = &mut buffer[..size.len];
        let complete = match image.compression {
            NONE => {
                budget.charge(size.len as u64)?;
                bytes.get(..size.len).is_some_and(|bytes| {
                    output.copy_from_slice(bytes);
                    true
                })
            }
            LZW => self.lzw.decode(bytes, output, budget)?,
            DEFLATE | OLD_DEFLATE => inflate(bytes, output, budget)?,
            PACK_BITS => packbits::decode(bytes, output, budget)?,
            JPEG => {
                let decoded = jpeg::decode(image, bytes, output, size.rows, budget)?;
                return Ok(decoded.map(|()| buffer));
            }
            FAX_BYTES | FAX_WORDS | FAX_GROUP3 | FAX_GROUP4 => {
                let width = image.layout.width as usize;
                let without_ends = &mut self.fax_without_ends;
                fax::decode(
                    fax_variant(image),
                    bytes,
                    output,
                    width,
                    without_ends,
                    budget,
                )?;
                return Ok(Some(buffer));
            }
            _ => false,
        };
        if complete {
            let differenced = image.predictor == 2 && has_predictor(image.compression);
            let accumulated = !differenced || accumulate(image, output, budget)?;
            if image.swapped() && image.bits == 16 && accumulated && !differenced {
                swap(output);
            }
        }
        Ok(Some(buffer))
    }
}

/// Whether a plane follows the colours that counts: alpha, or the black of CMYK.
fn has_fourth(image: &Image<'_>) -> bool {
    image.photometric == Photometric::Cmyk || image.has_alpha()
}

/// The stored bytes; `None` if the file does not have them.
fn raw<'a>(
    image: &Image<'a>,
    index: usize,
    budget: &Budget<'_>,
) -> Result<Option<Cow<'a, [u8]>>, ImageError> {
    let Some(bytes) = stored(image, index) else {
        return Ok(None);
    };
    if !image.reversed_bits {
        return Ok(Some(bytes.into()));
    }
    budget.charge(bytes.len() as u64)?;
    let reversed = bytes.iter().map(|byte| byte.reverse_bits());
    Ok(Some(reversed.collect()))
}

fn stored<'a>(image: &Image<'a>, index: usize) -> Option<&'a [u8]> {
    let offset = usize::try_from(image.layout.offsets.get(index)?).ok()?;
    let mut count = usize::try_from(image.layout.byte_counts.get(index)?).ok()?;
    // Far more than the pixels could need: libtiff reads as much as they might.
    if count > 1 << 20 {
        let size = image.block_len(image.layout.height as usize);
        if (count - 4096) / 10 > size {
            count = 10 * size + 4096;
        }
    }
    let bytes = image
        .directory
        .file
        .get(offset..offset.checked_add(count)?)?;
    (!bytes.is_empty()).then_some(bytes)
}

/// The part of a strip or tile that is decoded, and the room for it.
struct Size {
    rows: usize,
    len: usize,
    capacity: usize,
}

/// A strip of a plane but the first: libtiff reads it whatever its byte count says.
fn uncompressed_strip(image: &Image<'_>, index: usize, size: &Size) -> Vec<u8> {
    let mut buffer = vec![0; size.capacity];
    let offset = image.layout.offsets.get(index).unwrap_or(0);
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let bytes = image.directory.file.get(start..).unwrap_or_default();
    let len = bytes.len().min(size.len);
    let output = &mut buffer[..size.len];
    output[..len].copy_from_slice(&bytes[..len]);
    if len == size.len {
        if image.reversed_bits {
            output
                .iter_mut()
                .for_each(|byte| *byte = byte.reverse_bits());
        }
        if image.swapped() && image.bits == 16 {
            swap(output);
        }
    }
    buffer
}

fn fax_variant(image: &Image<'_>) -> Variant {
    match image.compression {
        compression::FAX_BYTES => Variant::Bytes,
        compression::FAX_WORDS => Variant::Words,
        compression::FAX_GROUP4 => Variant::Group4,
        _ if image.fax_is_two_dimensional() => Variant::Group3TwoDimensional,
        _ => Variant::Group3,
    }
}

fn has_predictor(compression: u16) -> bool {
    use compression::*;
    matches!(compression, LZW | DEFLATE | OLD_DEFLATE)
}

fn inflate(bytes: &[u8], output: &mut [u8], budget: &Budget<'_>) -> Result<bool, ImageError> {
    budget.charge(WORK_OF_INFLATE)?;
    let mut inflate = Inflate::new(true, 15);
    let mut input = bytes;
    let mut filled = 0;
    while filled < output.len() {
        let before = inflate.total_in();
        let piece = &input[..input.len().min(PIECE)];
        let end = output.len().min(filled + 16 * PIECE);
        let status = inflate.decompress(piece, &mut output[filled..end], InflateFlush::SyncFlush);
        let consumed = (inflate.total_in() - before) as usize;
        let produced = inflate.total_out() as usize - filled;
        budget.charge((consumed + produced) as u64)?;
        input = &input[consumed..];
        filled += produced;
        match status {
            Ok(Status::Ok) => {}
            Ok(Status::StreamEnd) if filled == output.len() => {}
            _ => {
                output[filled..].fill(0);
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Adds up what is stored as differences, row by row, in the byte order of the machine; `false` if rows do not come out
/// even.
fn accumulate(
    image: &Image<'_>,
    output: &mut [u8],
    budget: &Budget<'_>,
) -> Result<bool, ImageError> {
    let row_len = image.row_len();
    let stride = usize::from(image.interleaved());
    if row_len == 0 || !output.len().is_multiple_of(row_len) {
        return Ok(false);
    }
    for row in output.chunks_exact_mut(row_len) {
        budget.charge(row_len as u64)?;
        if image.bits == 8 {
            if !row_len.is_multiple_of(stride) {
                return Ok(false);
            }
            match stride {
                1 => sum::<1>(row),
                3 => sum::<3>(row),
                4 => sum::<4>(row),
                _ => {
                    for at in stride..row_len {
                        row[at] = row[at].wrapping_add(row[at - stride]);
                    }
                }
            }
        } else {
            if !row_len.is_multiple_of(2 * stride) {
                return Ok(false);
            }
            if image.swapped() {
                swap(row);
            }
            let samples = row.as_chunks_mut::<2>().0;
            for at in stride..samples.len() {
                let [sample, before] = [samples[at], samples[at - stride]].map(u16::from_le_bytes);
                samples[at] = sample.wrapping_add(before).to_le_bytes();
            }
        }
    }
    Ok(true)
}

/// Running sums of each of `N` samples, held in registers.
fn sum<const N: usize>(row: &mut [u8]) {
    let mut sums = [0_u8; N];
    for samples in row.as_chunks_mut::<N>().0 {
        for (sum, sample) in sums.iter_mut().zip(samples) {
            *sum = sum.wrapping_add(*sample);
            *sample = *sum;
        }
    }
}

fn swap(bytes: &mut [u8]) {
    for pair in bytes.as_chunks_mut::<2>().0 {
        pair.swap(0, 1);
    }
}
