//! What the tags say of the first image, checked as libtiff and OpenCV check it.

use super::directory::{Array, ByteOrder, Directory, tag};
use super::{corrupt, unsupported};
use crate::{Budget, ImageError, Orientation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    Lab,
}

impl Photometric {
    fn channels(self) -> u16 {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Rgb | Self::YCbCr | Self::Lab => 3,
            Self::Cmyk => 4,
        }
    }

    pub(super) fn is_grey(self) -> bool {
        matches!(self, Self::WhiteIsZero | Self::BlackIsZero)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    Associated,
    Unassociated,
}

pub(super) struct Image<'a> {
    pub(super) directory: Directory<'a>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bits: u16,
    pub(super) samples: u16,
    pub(super) photometric: Photometric,
    pub(super) compression: u16,
    pub(super) predictor: u16,
    pub(super) reversed_bits: bool,
    pub(super) separate: bool,
    pub(super) alpha: Alpha,
    pub(super) orientation: Orientation,
    pub(super) colour_map: Option<Vec<u64>>,
    pub(super) subsampling: (u16, u16),
    pub(super) subsampling_is_known: bool,
    /// JPEG data hold YCbCr, which its decoder converts.
    pub(super) jpeg_ycbcr: bool,
    pub(super) layout: Layout<'a>,
}

/// Where strips or tiles are, or how long.
#[derive(Clone, Copy)]
pub(super) enum Table<'a> {
    /// As the file tells; missing entries are zero.
    Stored { array: Array<'a>, count: usize },
    /// As it can be guessed.
    Estimated { each: u64, last: u64, count: usize },
}

impl<'a> Table<'a> {
    /// Exactly `count` offsets or byte counts.
    fn read(directory: &Directory<'a>, tag: u16, count: usize) -> Option<Self> {
        let array = directory.array(tag, count as u64)?;
        // More than a few missing entries are not a table.
        let known = count <= array.len() || count <= 1 << 20;
        known.then_some(Self::Stored { array, count })
    }

    fn len(&self) -> usize {
        match *self {
            Self::Stored { count, .. } | Self::Estimated { count, .. } => count,
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<u64> {
        (index < self.len()).then(|| match *self {
            Self::Stored { array, .. } => array.get(index).unwrap_or(0),
            Self::Estimated { last, count, .. } if index + 1 == count => last,
            Self::Estimated { each, .. } => each,
        })
    }
}

/// Strips or tiles.
pub(super) struct Layout<'a> {
    pub(super) tiled: bool,
    /// Size of a strip or tile. A strip is as wide as the image.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) offsets: Table<'a>,
    pub(super) byte_counts: Table<'a>,
    /// Strips or tiles in one plane.
    pub(super) per_plane: usize,
}

impl<'a> Layout<'a> {
    /// All but the byte counts, which the kind of the data has a say in.
    fn read(
        directory: &Directory<'a>,
        (image_width, image_height): (u32, u32),
        planar: bool,
        samples: u16,
    ) -> Result<Self, ImageError> {
        let tiled = directory.contains(tag::TILE_WIDTH) || directory.contains(tag::TILE_HEIGHT);
        let side = |tag| directory.one(tag).and_then(|side| u32::try_from(side).ok());
        let (width, height) = if tiled {
            let sides = side(tag::TILE_WIDTH).zip(side(tag::TILE_HEIGHT));
            sides.ok_or_else(|| corrupt("a tile without a size"))?
        } else {
            let rows = match directory.contains(tag::ROWS_PER_STRIP) {
                true => side(tag::ROWS_PER_STRIP).ok_or_else(|| corrupt("rows per strip"))?,
                false => u32::MAX,
            };
            (
                image_width,
                if rows == u32::MAX { image_height } else { rows },
            )
        };
        // OpenCV's own limits, and the buffer it takes for one strip or tile.
        const MAX_SIDE: u32 = 1 << 24;
        let area = u64::from(width) * u64::from(height);
        if width == 0 || height == 0 || width.max(height) > MAX_SIDE || 4 * area >= 1 << 30 {
            return Err(corrupt(format!("strips or tiles of {width} x {height}")));
        }
        let across = image_width.div_ceil(width) as usize;
        let per_plane = across * image_height.div_ceil(height) as usize;
        let planes = if planar { usize::from(samples) } else { 1 };
        let count = per_plane.saturating_mul(planes);
        let offsets = directory.either(tag::STRIP_OFFSETS, tag::TILE_OFFSETS);
        let offsets = Table::read(directory, offsets, count);
        let offsets = offsets.ok_or_else(|| corrupt("no offsets"))?;
        Ok(Self {
            tiled,
            width,
            height,
            offsets,
            // Until they are read: see [`Image::byte_counts`].
            byte_counts: offsets,
            per_plane,
        })
    }
}

impl<'a> Image<'a> {
    pub(super) fn read(directory: Directory<'a>, budget: &Budget<'_>) -> Result<Self, ImageError> {
        let side = |tag| {
            let value = directory
                .one(tag)
                .and_then(|value| u32::try_from(value).ok());
            value.ok_or_else(|| corrupt("no width or height"))
        };
        let (width, height) = (side(tag::WIDTH)?, side(tag::HEIGHT)?);
        budget.check_size(width, height)?;
        let or = |tag, default| match directory.contains(tag) {
            true => directory.short(tag),
            false => Some(default),
        };
        let samples = or(tag::SAMPLES_PER_PIXEL, 1)
            .filter(|&samples| samples > 0)
            .ok_or_else(|| corrupt("samples per pixel"))?;
        let per_sample = |tag, default| match directory.contains(tag) {
            true => directory.per_sample(tag, samples),
            false => Some(default),
        };
        let bits = per_sample(tag::BITS_PER_SAMPLE, 1).ok_or_else(|| corrupt("bits per sample"))?;
        let compression = per_sample(tag::COMPRESSION, 1).ok_or_else(|| corrupt("compression"))?;
        let sample_format =
            per_sample(tag::SAMPLE_FORMAT, 1).ok_or_else(|| corrupt("sample format"))?;
        let planar = or(tag::PLANAR_CONFIGURATION, 1).ok_or_else(|| corrupt("planes"))?;
        if !(1..=2).contains(&planar) {
            return Err(corrupt(format!("planar configuration {planar}")));
        }
        let colour_map = colour_map(&directory, bits);
        let photometric = photometric(&directory, samples, bits, colour_map.is_some())?;
        let extra = extra_samples(&directory, samples, photometric)?;
        check_pixels(
            &directory,
            photometric,
            samples,
            &extra,
            bits,
            sample_format,
        )?;
        let separate = planar == 2 && samples > 1;
        let alpha = match extra.first() {
            Some(0) if samples > 3 => Alpha::Associated,
            Some(1) => Alpha::Associated,
            Some(2) => Alpha::Unassociated,
            _ => Alpha::None,
        };
        let subsampling = match directory.numbers(tag::YCBCR_SUBSAMPLING, 3).as_deref() {
            Some(&[h, v]) => Some((h as u16, v as u16)),
            _ => None,
        };
        let orientation = directory.short(tag::ORIENTATION).unwrap_or(1);
        let jpeg_ycbcr = photometric == Photometric::YCbCr && compression == 7 && !separate;
        let photometric = if jpeg_ycbcr {
            Photometric::Rgb
        } else {
            photometric
        };
        let layout = Layout::read(&directory, (width, height), planar == 2, samples)?;
        let mut image = Self {
            width,
            height,
            bits,
            samples,
            photometric,
            compression,
            predictor: or(tag::PREDICTOR, 1).unwrap_or(1),
            reversed_bits: directory.short(tag::FILL_ORDER) == Some(2),
            separate,
            alpha,
            orientation: Orientation::from_tag(orientation),
            colour_map,
            subsampling: subsampling.unwrap_or((2, 2)),
            subsampling_is_known: subsampling.is_some(),
            jpeg_ycbcr,
            layout,
            directory,
        };
        image.layout.byte_counts = image.byte_counts(planar == 2)?;
        Ok(image)
    }

    fn byte_counts(&self, planar: bool) -> Result<Table<'a>, ImageError> {
        let (directory, count) = (&self.directory, self.layout.offsets.len());
        let planes = if planar { usize::from(self.samples) } else { 1 };
        let tag = directory.either(tag::STRIP_BYTE_COUNTS, tag::TILE_BYTE_COUNTS);
        if directory.contains(tag) {
            let counts = Table::read(directory, tag, count);
            let counts = counts.ok_or_else(|| corrupt("no byte counts"))?;
            if !self.counts_look_wrong(&counts, planar) {
                return Ok(counts);
            }
        } else if count != planes {
            return Err(corrupt("no byte counts"));
        }
        self.estimate_counts(planes)
    }

    fn counts_look_wrong(&self, counts: &Table<'_>, planar: bool) -> bool {
        let uncompressed = self.compression == 1;
        let count = |index| counts.get(index).unwrap_or(0);
        match counts.len() {
            1 if !self.layout.tiled => {
                let (count, offset) = (count(0), self.layout.offsets.get(0).unwrap_or(0));
                let file = self.directory.file.len() as u64;
                let needed = self.row_len() as u64 * u64::from(self.height);
                let short =
                    uncompressed && (offset <= file && count > file - offset || count < needed);
                offset != 0 && (count == 0 || short)
            }
            3.. if uncompressed && !planar => {
                let (first, second) = (count(0), count(1));
                first != second && first != 0 && second != 0
            }
            _ => false,
        }
    }

    fn estimate_counts(&self, planes: usize) -> Result<Table<'a>, ImageError> {
        let layout = &self.layout;
        let count = layout.offsets.len();
        if self.compression == 1 {
            let rows = if layout.tiled {
                u64::from(layout.height)
            } else {
                u64::from(self.height) / layout.per_plane as u64
            };
            let each = self.row_len() as u64 * rows;
            let last = each;
            return Ok(Table::Estimated { each, last, count });
        }
        if self.directory.has_unknown_type {
            return Err(corrupt("no byte counts, and a value of unknown size"));
        }
        let file = self.directory.file.len() as u64;
        let overhead = self.directory.overhead;
        let space = if file < overhead {
            file
        } else {
            file - overhead
        };
        let each = space / planes as u64;
        let offset = layout.offsets.get(count.saturating_sub(1)).unwrap_or(0);
        let last = each.min(file.saturating_sub(offset));
        Ok(Table::Estimated { each, last, count })
    }

    pub(super) fn has_alpha(&self) -> bool {
        self.alpha != Alpha::None
    }

    /// Samples that lie side by side in a buffer.
    pub(super) fn interleaved(&self) -> u16 {
        if self.separate { 1 } else { self.samples }
    }

    /// Whether chroma is stored for blocks of pixels rather than for each.
    pub(super) fn is_subsampled(&self) -> bool {
        self.photometric == Photometric::YCbCr && !self.separate && self.compression != 7
    }

    /// Bytes of a row of a strip or tile, a mean if chroma is subsampled.
    pub(super) fn row_len(&self) -> usize {
        let width = self.layout.width as usize;
        if self.is_subsampled() {
            let (h, v) = (
                usize::from(self.subsampling.0),
                usize::from(self.subsampling.1),
            );
            return width.div_ceil(h.max(1)) * (h * v + 2) / v.max(1);
        }
        (width * usize::from(self.interleaved()) * usize::from(self.bits)).div_ceil(8)
    }

    /// Bytes of `rows` rows.
    pub(super) fn block_len(&self, rows: usize) -> usize {
        if self.is_subsampled() {
            let (h, v) = (
                usize::from(self.subsampling.0),
                usize::from(self.subsampling.1),
            );
            let across = (self.layout.width as usize).div_ceil(h.max(1));
            return across * (h * v + 2) * rows.div_ceil(v.max(1));
        }
        rows * self.row_len()
    }

    /// Tables that the JPEG data of all strips or tiles share.
    pub(super) fn jpeg_tables(&self) -> Option<&'a [u8]> {
        self.directory.bytes(tag::JPEG_TABLES)
    }

    /// Whether lines of group 3 fax may refer to the one above.
    pub(super) fn fax_is_two_dimensional(&self) -> bool {
        self.directory.one(tag::FAX_OPTIONS).unwrap_or(0) & 1 == 1
    }

    pub(super) fn swapped(&self) -> bool {
        self.directory.order == ByteOrder::Big
    }
}

/// Three times as many 16-bit values as an index can have.
fn colour_map(directory: &Directory<'_>, bits: u16) -> Option<Vec<u64>> {
    let count = 3_u64.checked_shl(bits.into()).filter(|_| bits <= 16)?;
    let known = directory.contains(tag::BITS_PER_SAMPLE);
    (known && directory.count(tag::COLOUR_MAP) == Some(count)).then_some(())?;
    directory.numbers(tag::COLOUR_MAP, count)
}

fn photometric(
    directory: &Directory<'_>,
    samples: u16,
    bits: u16,
    has_map: bool,
) -> Result<Photometric, ImageError> {
    let value = directory.short(tag::PHOTOMETRIC);
    Ok(
        match value.ok_or_else(|| corrupt("no photometric interpretation"))? {
            0 => Photometric::WhiteIsZero,
            1 => Photometric::BlackIsZero,
            2 => Photometric::Rgb,
            3 if has_map => Photometric::Palette,
            3 if bits >= 8 && samples == 3 => Photometric::Rgb,
            3 if bits >= 8 => Photometric::BlackIsZero,
            3 => return Err(corrupt("no colour map")),
            5 => Photometric::Cmyk,
            6 => Photometric::YCbCr,
            8 => Photometric::Lab,
            other => return Err(unsupported(format!("photometric interpretation {other}"))),
        },
    )
}

fn extra_samples(
    directory: &Directory<'_>,
    samples: u16,
    photometric: Photometric,
) -> Result<Vec<u64>, ImageError> {
    let mut extra = if directory.contains(tag::EXTRA_SAMPLES) {
        directory
            .numbers(tag::EXTRA_SAMPLES, u64::from(samples) + 1)
            .filter(|extra| extra.len() <= samples.into())
            .ok_or_else(|| corrupt("extra samples"))?
    } else {
        Vec::new()
    };
    const COREL_UNASSOCIATED: u64 = 999;
    for kind in &mut extra {
        if *kind == COREL_UNASSOCIATED {
            *kind = 2;
        }
        if *kind > 2 {
            return Err(corrupt(format!("extra samples of kind {kind}")));
        }
    }
    let colours = usize::from(samples) - extra.len();
    if colours > photometric.channels().into() {
        extra.resize(usize::from(samples - photometric.channels()), 0);
    }
    Ok(extra)
}

/// What OpenCV's header check and libtiff's RGBA reader refuse.
fn check_pixels(
    directory: &Directory<'_>,
    photometric: Photometric,
    samples: u16,
    extra: &[u64],
    bits: u16,
    sample_format: u16,
) -> Result<(), ImageError> {
    use Photometric::*;
    let palette = directory.short(tag::PHOTOMETRIC) == Some(3);
    let bits_known = match bits {
        1 | 8 | 16 => true,
        4 => palette,
        _ => false,
    };
    if samples > 4 || !bits_known || !(1..=2).contains(&sample_format) {
        return Err(unsupported(format!(
            "{samples} samples of {bits} bits, sample format {sample_format}"
        )));
    }
    let planar = directory.short(tag::PLANAR_CONFIGURATION) == Some(2);
    let colours = usize::from(samples).saturating_sub(extra.len());
    let supported = match photometric {
        WhiteIsZero | BlackIsZero | Palette => planar || samples == 1 || bits >= 8,
        Rgb => colours >= 3,
        Cmyk => samples >= 4 && directory.short(tag::INK_SET).unwrap_or(1) == 1,
        YCbCr => true,
        Lab => samples == 3 && colours == 3 && bits >= 8,
    };
    if supported {
        Ok(())
    } else {
        Err(unsupported(format!(
            "{samples} samples of {bits} bits as {photometric:?}"
        )))
    }
}
