//! AVIF as libavif gives it to OpenCV: the first frame, colours to 8 bits, alpha dropped, turned as its EXIF block says.
//!
//! The container is read here, within the budget; AV1 is decoded by rav1d, the Rust port of dav1d, whose output the AV1
//! specification prescribes to the bit.

mod av1;
mod boxes;
mod colour;
mod item;
mod track;

use std::borrow::Cow;

use self::av1::{Av1, Planes, Sampling};
use self::boxes::{Fields, find};
use self::item::{Items, Layout};
use self::track::Track;
use super::frames::Sampling as Frames;
use crate::{Budget, Format, Frame, ImageError, Limits, Orientation};

/// What the container says of a picture.
struct Properties {
    width: u32,
    height: u32,
    bit_depth: u8,
    colour: Option<Colour>,
    operating_point: u8,
}

/// Bits of a sample, by an `av1C` box.
fn bit_depth(av1c: Option<&[u8]>) -> u8 {
    const HIGH: u8 = 0x40;
    const TWELVE: u8 = 0x20;
    match av1c {
        Some([_, _, flags, ..]) if flags & (HIGH | TWELVE) == HIGH | TWELVE => 12,
        Some([_, _, flags, ..]) if flags & HIGH != 0 => 10,
        _ => 8,
    }
}

/// How samples stand for colours, by the numbers of ISO/IEC 23091-2 (H.273).
#[derive(Clone, Copy)]
struct Colour {
    primaries: u16,
    matrix: u16,
    full_range: bool,
}

impl Colour {
    /// A `colr` box that says so by numbers.
    fn read(colr: &[u8]) -> Option<Self> {
        let mut fields = Fields(colr.strip_prefix(b"nclx")?);
        let primaries = fields.u16()?;
        fields.u16()?;
        Some(Self {
            primaries,
            matrix: fields.u16()?,
            full_range: fields.u8()? & 0x80 != 0,
        })
    }

    /// The matrix, where it goes by the primaries that of theirs.
    fn luma_matrix(&self) -> u16 {
        const BY_PRIMARIES: u16 = 12;
        match (self.matrix, self.primaries) {
            (BY_PRIMARIES, 1 | 2) => 1,
            (BY_PRIMARIES, 5 | 6) => 6,
            (BY_PRIMARIES, 9) => 9,
            (matrix, _) => matrix,
        }
    }
}

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    if let Some(track) = track(bytes, 1, budget)? {
        let sample = *track
            .samples
            .first()
            .ok_or_else(|| corrupt("a track without samples"))?;
        let mut shown = Shown::of_track(&track, budget)?;
        let planes = shown.next(sample, budget)?;
        return shown.paint(&planes, budget);
    }
    let meta = find(bytes, b"meta").ok_or_else(|| corrupt("no items"))?;
    let items = Items::read(bytes, meta, budget)?;
    let primary = items.primary();
    let properties = items.describe(primary, budget)?;
    let alpha = items.alpha_of(primary, budget)?;
    admit(&properties, if alpha.is_some() { 26 } else { 22 }, budget)?;
    let planes = picture(&items, primary, &properties, budget)?;
    let premultiplied = match alpha {
        Some(alpha) => {
            refuse_grey_alpha(&planes)?;
            // Opacity has no colour.
            let described = Properties {
                colour: Some(planes.colour),
                ..items.describe(alpha, budget)?
            };
            let plane = picture(&items, alpha, &described, budget)?;
            let same = (plane.width, plane.height, plane.depth)
                == (planes.width, planes.height, planes.depth);
            if !same {
                return Err(corrupt("alpha of another size or depth"));
            }
            items.is_premultiplied(primary, alpha).then_some(plane)
        }
        None => None,
    };
    let mut frame = Frame::zeroed(properties.width, properties.height, budget)?;
    colour::paint(
        &planes,
        alpha.is_some(),
        premultiplied.as_ref(),
        &mut frame,
        budget,
    )?;
    let exif = items.exif_of(primary, budget);
    frame.upright(
        exif.map(|exif| Orientation::from_exif(&exif))
            .unwrap_or_default(),
        budget,
    )
}

/// Decodes all frames of a sequence and takes the wanted ones.
pub(super) fn sample(
    bytes: &[u8],
    frames: &mut Frames<'_>,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let most = budget.limits().max_frames;
    let track = track(bytes, most, budget)?.ok_or_else(|| corrupt("no track"))?;
    let mut shown = Shown::of_track(&track, budget)?;
    for (index, sample) in (0..).zip(&track.samples) {
        if frames.is_done(index) {
            break;
        }
        let planes = shown.next(sample, budget)?;
        if frames.wants(index) {
            frames.take(index, &shown.paint(&planes, budget)?)?;
        }
    }
    Ok(())
}

/// What the headers say.
pub(crate) struct Headers {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bit_depth: u8,
    pub(crate) orientation: Orientation,
    pub(crate) frames: u32,
}

impl Headers {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let limits = Limits::default();
        let budget = &Budget::new(Format::Avif, &limits, &|| false, None);
        if let Some(track) = track(bytes, u32::MAX, budget)? {
            return Ok(Self {
                width: track.properties.width,
                height: track.properties.height,
                bit_depth: track.properties.bit_depth,
                orientation: Orientation::Normal,
                frames: track.samples.len() as u32,
            });
        }
        let meta = find(bytes, b"meta").ok_or_else(|| corrupt("no items"))?;
        let items = Items::read(bytes, meta, budget)?;
        let properties = items.describe(items.primary(), budget)?;
        let exif = items.exif_of(items.primary(), budget);
        Ok(Self {
            width: properties.width,
            height: properties.height,
            bit_depth: properties.bit_depth,
            orientation: exif
                .map(|exif| Orientation::from_exif(&exif))
                .unwrap_or_default(),
            frames: 1,
        })
    }
}

/// The track of an image sequence, if the file says first of all that it is one.
fn track<'a>(
    bytes: &'a [u8],
    most: u32,
    budget: &Budget<'_>,
) -> Result<Option<Track<'a>>, ImageError> {
    // Boxes of no size worth mentioning are looked through as well.
    budget.charge(bytes.len() as u64)?;
    let major = find(bytes, b"ftyp").and_then(|ftyp| ftyp.get(..4));
    match find(bytes, b"moov") {
        Some(moov) if major == Some(b"avis") => Track::read(bytes, moov, most, budget),
        _ => Ok(None),
    }
}

/// Frames of a sequence, one after the other.
struct Shown {
    decoder: Av1,
    properties: Properties,
    has_alpha: bool,
}

impl Shown {
    fn of_track(track: &Track<'_>, budget: &Budget<'_>) -> Result<Self, ImageError> {
        let Properties { width, height, .. } = track.properties;
        admit(&track.properties, 70, budget)?;
        Ok(Self {
            decoder: Av1::new((width, height), 0, budget)?,
            properties: Properties { ..track.properties },
            has_alpha: track.has_alpha,
        })
    }

    fn next(&mut self, sample: &[u8], budget: &Budget<'_>) -> Result<Planes, ImageError> {
        let planes = self
            .decoder
            .decode(sample, self.properties.colour, budget)?;
        check_size(&planes, &self.properties)?;
        if self.has_alpha {
            refuse_grey_alpha(&planes)?;
        }
        Ok(planes)
    }

    fn paint(&self, planes: &Planes, budget: &Budget<'_>) -> Result<Frame, ImageError> {
        let Properties { width, height, .. } = self.properties;
        let mut frame = Frame::zeroed(width, height, budget)?;
        colour::paint(planes, self.has_alpha, None, &mut frame, budget)?;
        Ok(frame)
    }
}

/// Admits so many bytes for each pixel: up to six for the planes here, for those of rav1d and for alpha, three for the frame and
/// that turned; for a sequence what rav1d refers to as well.
fn admit(properties: &Properties, bytes: u64, budget: &Budget<'_>) -> Result<(), ImageError> {
    budget.check_size(properties.width, properties.height)?;
    budget.admit(bytes * u64::from(properties.width) * u64::from(properties.height))
}

/// OpenCV has no picture of two channels.
fn refuse_grey_alpha(planes: &Planes) -> Result<(), ImageError> {
    match planes.sampling {
        Sampling::Monochrome => Err(unsupported("grey with alpha")),
        Sampling::Halved(..) => Ok(()),
    }
}

fn check_size(planes: &Planes, properties: &Properties) -> Result<(), ImageError> {
    let (width, height) = (properties.width as usize, properties.height as usize);
    if (planes.width, planes.height) == (width, height) {
        return Ok(());
    }
    let (decoded_width, decoded_height) = (planes.width, planes.height);
    Err(unsupported(format!(
        "{decoded_width} x {decoded_height} pixels where {width} x {height} are told"
    )))
}

/// Decodes an item, or all that it is made of.
fn picture(
    items: &Items<'_>,
    id: u32,
    properties: &Properties,
    budget: &Budget<'_>,
) -> Result<Planes, ImageError> {
    let single = |id: u32, properties: &Properties, told: Option<Colour>| {
        let data: Cow<'_, [u8]> = items.data(id, budget)?;
        let size = (properties.width, properties.height);
        let planes =
            Av1::new(size, properties.operating_point, budget)?.decode(&data, told, budget)?;
        check_size(&planes, properties)?;
        Ok(planes)
    };
    let (rows, columns, tiles) = match items.layout(id, budget)? {
        Layout::Single(id) => return single(id, properties, properties.colour),
        Layout::Grid {
            rows,
            columns,
            tiles,
        } => (rows as usize, columns as usize, tiles),
    };
    let (width, height) = (properties.width as usize, properties.height as usize);
    let mut whole: Option<(Planes, usize, usize)> = None;
    for (index, &tile) in tiles.iter().enumerate() {
        let described = items.describe(tile, budget)?;
        admit(&described, 16, budget)?;
        let tile = single(tile, &described, properties.colour.or(described.colour))?;
        let (whole, tile_width, tile_height) = match &mut whole {
            Some(whole) => whole,
            None => {
                let covers = |tile: usize, count: usize, all: usize| {
                    tile * count >= all && tile * (count - 1) < all
                };
                if !covers(tile.width, columns, width) || !covers(tile.height, rows, height) {
                    return Err(corrupt("a grid that its tiles do not fill"));
                }
                let even = |x: usize| x.is_multiple_of(2);
                let fits = match tile.sampling {
                    Sampling::Monochrome => true,
                    Sampling::Halved(x, y) => {
                        (!x || even(tile.width) && even(width))
                            && (!y || even(tile.height) && even(height))
                    }
                };
                if !fits {
                    return Err(corrupt("a grid of odd size whose chroma is halved"));
                }
                whole.insert((blank(&tile, width, height), tile.width, tile.height))
            }
        };
        let alike =
            (tile.width, tile.height, tile.depth) == (*tile_width, *tile_height, whole.depth);
        if !alike || tile.sampling != whole.sampling {
            return Err(corrupt("tiles that differ"));
        }
        place(whole, &tile, index % columns, index / columns, budget)?;
    }
    whole
        .map(|(whole, ..)| whole)
        .ok_or_else(|| corrupt("a grid without tiles"))
}

fn blank(tile: &Planes, width: usize, height: usize) -> Planes {
    let mut whole = Planes {
        width,
        height,
        planes: Default::default(),
        ..*tile
    };
    for plane in 0..3 {
        let (columns, rows) = whole.size(plane);
        whole.planes[plane] = vec![0; columns * rows];
    }
    whole
}

/// Copies a tile to its place, as far as the picture goes.
fn place(
    whole: &mut Planes,
    tile: &Planes,
    column: usize,
    row: usize,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    for plane in 0..3 {
        let (columns, rows) = whole.size(plane);
        let (tile_columns, tile_rows) = tile.size(plane);
        let (x, y) = (column * tile_columns, row * tile_rows);
        if columns <= x || rows <= y {
            continue;
        }
        let len = tile_columns.min(columns - x);
        for line in 0..tile_rows.min(rows - y) {
            budget.charge(2 * len as u64)?;
            let to = &mut whole.planes[plane][(y + line) * columns + x..][..len];
            to.copy_from_slice(&tile.planes[plane][line * tile_columns..][..len]);
        }
    }
    Ok(())
}

fn corrupt(message: impl Into<Cow<'static, str>>) -> ImageError {
    ImageError::corrupt(Format::Avif, message)
}

fn unsupported(message: impl Into<Cow<'static, str>>) -> ImageError {
    ImageError::unsupported(Format::Avif, message)
}
