//! Pictures with runs and repetitions: literals and copies of pixels before.

use super::{
    WebpEffort,
    bits::{BitWriter, Room},
    clusters,
    copies::{self, Segment, Split},
    groups::{BINS, Codes, Cost, Tiles, Told},
    histogram::Histogram,
    picture::Picture,
    prefix::{Code, PrefixCode},
};

/// Pixels of a side of the tiles that share codes, as a power of two.
const TILE_BITS: u32 = 4;
/// About the bits of a copy, in sixteenths.
const COPY: u32 = 18 * 16;

/// Writes a picture.
pub(super) fn write<const BYTES: usize>(
    picture: &Picture<BYTES>,
    effort: WebpEffort,
    out: &mut BitWriter,
) {
    if effort == WebpEffort::Fastest {
        // No colour cache, and no entropy groups.
        out.put(0_u8, 2);
        return write_as_one(picture, &copies::split(picture, effort).segments, out);
    }
    let split = copies::split(picture, effort);
    let mut told = by_cost(picture, &split);
    if effort == WebpEffort::Small {
        let other = clustered(picture, &split);
        if other.bits < told.bits {
            told = other;
        }
    }
    write_split(picture, &split, told, out);
}

/// Writes a picture in the entropy groups that take the fewest bits.
pub(super) fn write_clustered(picture: &Picture<4>, out: &mut BitWriter) {
    let split = copies::split(picture, WebpEffort::Small);
    let told = clustered(picture, &split);
    write_split(picture, &split, told, out);
}

fn by_cost<const BYTES: usize>(picture: &Picture<BYTES>, split: &Split) -> Told {
    let (columns, costs) = costs(picture, split, TILE_BITS, true);
    let mut tiles = Tiles::by_cost(TILE_BITS, columns, &costs, BINS);
    let mut histograms = clusters::count(picture, &split.segments, &tiles);
    tiles.join(&mut histograms);
    Told::of(tiles, &histograms)
}

fn clustered<const BYTES: usize>(picture: &Picture<BYTES>, split: &Split) -> Told {
    let (columns, costs) = costs(picture, split, clusters::TILE_BITS, false);
    let (tiles, histograms) = clusters::of(picture, &split.segments, columns, &costs);
    Told::of(tiles, &histograms)
}

fn write_split<const BYTES: usize>(
    picture: &Picture<BYTES>,
    split: &Split,
    told: Told,
    out: &mut BitWriter,
) {
    // No colour cache.
    out.put(0_u8, 1);
    let (tiles, codes) = told.write(out);
    write_segments(&split.segments, picture, &tiles, &codes, out);
}

/// How many tiles there are in a row, and about what each of them takes; `with_colours` tells apart those that have any.
fn costs<const BYTES: usize>(
    picture: &Picture<BYTES>,
    split: &Split,
    tile_bits: u32,
    with_colours: bool,
) -> (usize, Vec<Cost>) {
    let (width, pixels) = (picture.width, picture.pixels());
    let columns = width.div_ceil(1 << tile_bits);
    let rows = (pixels.len() / width).div_ceil(1 << tile_bits);
    let mut costs = vec![Cost::default(); columns * rows];
    let mut place = Place::new(width, tile_bits);
    for segment in &split.segments {
        place.pass(segment.literals, |tile, range| {
            let cost = &mut costs[tile];
            cost.sum += split.bits[range.end].wrapping_sub(split.bits[range.start]);
            cost.coloured =
                with_colours && (cost.coloured || pixels[range].iter().any(is_coloured));
        });
        if segment.copied > 0 {
            costs[place.tile()].sum += COPY;
            place.skip(segment.copied);
        }
    }
    (columns, costs)
}

/// Writes a picture without entropy groups: those within pictures have none.
pub(super) fn write_small<const BYTES: usize>(picture: &Picture<BYTES>, out: &mut BitWriter) {
    // No colour cache.
    out.put(0_u8, 1);
    let split = copies::split(picture, WebpEffort::Default);
    write_as_one(picture, &split.segments, out);
}

/// Writes all of a picture with the same codes.
fn write_as_one<const BYTES: usize>(
    picture: &Picture<BYTES>,
    segments: &[Segment],
    out: &mut BitWriter,
) {
    let mut histogram = Histogram::new();
    let mut at = 0;
    for segment in segments {
        let literals = &picture.pixels()[at..][..segment.literals as usize];
        histogram.count_literals(literals, 1);
        count_copy(segment, 1, &mut histogram);
        at += (segment.literals + segment.copied) as usize;
    }
    let codes = Codes::write(&histogram, out);
    write_segments(segments, picture, &Tiles::one(), &[codes], out);
}

/// Whether there is anything but green in a pixel.
fn is_coloured<const BYTES: usize>(pixel: &[u8; BYTES]) -> bool {
    matches!(pixel[..], [blue, _, red, _] if blue | red != 0)
}

pub(super) fn count_copy(segment: &Segment, times: u32, histogram: &mut Histogram) {
    if segment.copied > 0 {
        for count in [
            &mut histogram.green[256 + prefix_of(segment.copied).0],
            &mut histogram.distance[prefix_of(segment.distance).0],
        ] {
            *count = count.wrapping_add(times);
        }
    }
}

fn write_segments<const BYTES: usize>(
    segments: &[Segment],
    picture: &Picture<BYTES>,
    tiles: &Tiles,
    codes: &[Codes],
    out: &mut BitWriter,
) {
    let codes_of = |tile: usize| &codes[usize::from(tiles.group[tile])];
    // Where all tiles are of one group, all pixels are as well as in one tile.
    let bits = if tiles.groups > 1 { tiles.bits } else { 31 };
    let mut place = Place::new(picture.width, bits);
    for segment in segments {
        place.pass(segment.literals, |tile, range| {
            write_literals(&picture.pixels()[range], codes_of(tile), out);
        });
        if segment.copied > 0 {
            let codes = codes_of(place.tile());
            let (length, length_bits, length_extra) = prefix_of(segment.copied);
            let (distance, distance_bits, distance_extra) = prefix_of(segment.distance);
            let (length, distance) = (
                codes.green.codes()[256 + length],
                codes.distance.codes()[distance],
            );
            out.fill(16, |room| {
                room.put(
                    length.with(length_extra),
                    u32::from(length.len) + length_bits,
                );
                room.put(
                    distance.with(distance_extra),
                    u32::from(distance.len) + distance_bits,
                );
            });
            place.skip(segment.copied);
        }
    }
}

fn write_literals<const BYTES: usize>(pixels: &[[u8; BYTES]], codes: &Codes, out: &mut BitWriter) {
    let greens = codes.green.literals();
    if BYTES == 1 {
        let (threes, rest) = pixels.as_flattened().as_chunks::<3>();
        // Of 15 bits at most.
        out.fill(pixels.len() * 2 + 8, |room| {
            for three in threes {
                put(three.map(|green| greens[usize::from(green)]), room);
            }
            for green in rest {
                put([greens[usize::from(*green)]], room);
            }
        });
        return;
    }
    let [reds, blues, alphas] = [&codes.red, &codes.blue, &codes.alpha].map(PrefixCode::literals);
    // Four codes of 15 bits at most.
    out.fill(pixels.len() * 8 + 8, |room| {
        for pixel in pixels.as_flattened().as_chunks().0 {
            let [blue, green, red, alpha] = pixel.map(usize::from);
            put([greens[green], reds[red], blues[blue]], room);
            // In most pictures alpha takes no bits.
            if alphas[alpha].len > 0 {
                put([alphas[alpha]], room);
            }
        }
    });
}

/// Writes up to three codes, of 45 bits at most.
#[inline(always)]
fn put<const N: usize>(codes: [Code; N], room: &mut Room<'_>) {
    let (mut bits, mut len) = (0_u64, 0);
    for code in codes {
        bits |= u64::from(code.bits) << len;
        len += u32::from(code.len);
    }
    room.put(bits, len);
}

/// The prefix of a length or distance, how many bits follow it, and their value.
pub(super) fn prefix_of(value: u32) -> (usize, u32, u32) {
    let value = value - 1;
    if value < 4 {
        return (value as usize, 0, 0);
    }
    let highest = value.ilog2();
    let extra = highest - 1;
    let second = value >> extra & 1;
    (
        (2 * highest + second) as usize,
        extra,
        value & ((1 << extra) - 1),
    )
}

/// A place in a picture, with its tile.
pub(super) struct Place {
    width: usize,
    bits: u32,
    columns: usize,
    at: usize,
    x: usize,
    y: usize,
}

impl Place {
    pub(super) fn new(width: usize, bits: u32) -> Self {
        Self {
            width,
            bits,
            columns: width.div_ceil(1 << bits),
            at: 0,
            x: 0,
            y: 0,
        }
    }

    /// The number of the tile.
    pub(super) fn tile(&self) -> usize {
        (self.y >> self.bits) * self.columns + (self.x >> self.bits)
    }

    /// Goes on by some pixels.
    pub(super) fn skip(&mut self, pixels: u32) {
        let pixels = pixels as usize;
        self.at += pixels;
        self.x += pixels;
        if self.x >= 2 * self.width {
            self.y += self.x / self.width;
            self.x %= self.width;
        } else if self.x >= self.width {
            self.y += 1;
            self.x -= self.width;
        }
    }

    /// Goes on by some pixels, in parts that lie in one tile each.
    #[inline(always)]
    pub(super) fn pass(
        &mut self,
        pixels: u32,
        mut part: impl FnMut(usize, std::ops::Range<usize>),
    ) {
        let end = self.at + pixels as usize;
        while self.at < end {
            let edge = (((self.x >> self.bits) + 1) << self.bits).min(self.width);
            let pixels = (edge - self.x).min(end - self.at);
            part(self.tile(), self.at..self.at + pixels);
            self.skip(pixels as u32);
        }
    }
}
