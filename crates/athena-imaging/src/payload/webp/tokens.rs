//! Pictures with runs and repetitions: literals and copies of pixels before.

use super::{
    bits::BitWriter,
    copies,
    groups::{Codes, Tiles},
    histogram::Histogram,
};

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A pixel: alpha, red, green and blue from the highest bits on.
    Literal(u32),
    /// So many pixels again, from a distance that is already told as the format tells it.
    Copy { len: u16, distance: u32 },
}

impl Token {
    fn len(self) -> usize {
        match self {
            Self::Literal(_) => 1,
            Self::Copy { len, .. } => len.into(),
        }
    }

    pub(super) fn count(self, histogram: &mut Histogram) {
        match self {
            Self::Literal(pixel) => {
                let [blue, green, red, alpha] = pixel.to_le_bytes().map(usize::from);
                histogram.green[green] += 1;
                histogram.red[red] += 1;
                histogram.blue[blue] += 1;
                histogram.alpha[alpha] += 1;
            }
            Self::Copy { len, distance } => {
                histogram.green[256 + prefix_of(len.into()).0] += 1;
                histogram.distance[prefix_of(distance).0] += 1;
            }
        }
    }

    fn write(self, codes: &Codes, out: &mut BitWriter) {
        match self {
            Self::Literal(pixel) => {
                let [blue, green, red, alpha] = pixel.to_le_bytes().map(usize::from);
                let [green, red, blue] = [
                    &codes.green.codes()[green],
                    &codes.red.codes()[red],
                    &codes.blue.codes()[blue],
                ];
                let first = green.len + red.len;
                let joined = u64::from(green.bits)
                    | u64::from(red.bits) << green.len
                    | u64::from(blue.bits) << first;
                out.put(joined, u32::from(first + blue.len));
                codes.alpha.put(alpha, out);
            }
            Self::Copy { len, distance } => {
                let (prefix, bits, extra) = prefix_of(len.into());
                codes.green.put(256 + prefix, out);
                out.put(extra, bits);
                let (prefix, bits, extra) = prefix_of(distance);
                codes.distance.put(prefix, out);
                out.put(extra, bits);
            }
        }
    }
}

/// The prefix of a length or distance, how many bits follow it, and their value.
fn prefix_of(value: u32) -> (usize, u32, u32) {
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

/// Distances to near pixels have numbers of their own: (columns to the left, rows up) of the numbers 1 to 120.
#[rustfmt::skip]
const NEAR: [(i8, i8); 120] = [
    (0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (1, 2), (-1, 2), (2, 1), (-2, 1), (2, 2), (-2, 2), (0, 3), (3, 0), (1, 3),
    (-1, 3), (3, 1), (-3, 1), (2, 3), (-2, 3), (3, 2), (-3, 2), (0, 4), (4, 0), (1, 4), (-1, 4), (4, 1), (-4, 1), (3, 3), (-3, 3),
    (2, 4), (-2, 4), (4, 2), (-4, 2), (0, 5), (3, 4), (-3, 4), (4, 3), (-4, 3), (5, 0), (1, 5), (-1, 5), (5, 1), (-5, 1), (2, 5),
    (-2, 5), (5, 2), (-5, 2), (4, 4), (-4, 4), (3, 5), (-3, 5), (5, 3), (-5, 3), (0, 6), (6, 0), (1, 6), (-1, 6), (6, 1), (-6, 1),
    (2, 6), (-2, 6), (6, 2), (-6, 2), (4, 5), (-4, 5), (5, 4), (-5, 4), (3, 6), (-3, 6), (6, 3), (-6, 3), (0, 7), (7, 0), (1, 7),
    (-1, 7), (5, 5), (-5, 5), (7, 1), (-7, 1), (4, 6), (-4, 6), (6, 4), (-6, 4), (2, 7), (-2, 7), (7, 2), (-7, 2), (3, 7), (-3, 7),
    (7, 3), (-7, 3), (5, 6), (-5, 6), (6, 5), (-6, 5), (8, 0), (4, 7), (-4, 7), (7, 4), (-7, 4), (8, 1), (8, 2), (6, 6), (-6, 6),
    (8, 3), (5, 7), (-5, 7), (7, 5), (-7, 5), (8, 4), (6, 7), (-6, 7), (7, 6), (-7, 6), (8, 5), (7, 7), (-7, 7), (8, 6), (8, 7),
];

/// How a distance is told in a picture of some width.
#[derive(Debug)]
pub(super) struct Distances {
    width: usize,
    /// Numbers of near pixels: seven rows up, from eight columns to the left to seven to the right.
    near: [[u8; 16]; 8],
}

impl Distances {
    pub(super) fn new(width: usize) -> Self {
        let mut near = [[0; 16]; 8];
        for (number, (x, y)) in (1..).zip(NEAR) {
            near[y as usize][(8 - x) as usize] = number;
        }
        Self { width, near }
    }

    pub(super) fn number(&self, distance: usize) -> u32 {
        let (rows, columns) = (distance / self.width, distance % self.width);
        let near = |rows: usize, column: usize| match self
            .near
            .get(rows)
            .and_then(|row| row.get(column))
        {
            Some(&number) if number > 0 => Some(u32::from(number)),
            _ => None,
        };
        let left = (columns <= 8).then(|| near(rows, 8 - columns)).flatten();
        let right = || {
            let right = self.width - columns;
            (right < 8).then(|| near(rows + 1, 8 + right)).flatten()
        };
        left.or_else(right).unwrap_or(distance as u32 + 120)
    }
}

/// Writes a picture that is split into tokens; `bits` are about those of its pixels up to each place, in sixteenths.
pub(super) fn write(
    tokens: &[Token],
    bits: &[u32],
    width: usize,
    tile_bits: u32,
    out: &mut BitWriter,
) {
    let height = (bits.len() - 1) / width;
    let columns = width.div_ceil(1 << tile_bits);
    let mut costs = vec![0; columns * height.div_ceil(1 << tile_bits)];
    let mut place = Place::new(width);
    let mut at = 0;
    for token in tokens {
        costs[(place.y >> tile_bits) * columns + (place.x >> tile_bits)] += match token {
            Token::Literal(_) => bits[at + 1].wrapping_sub(bits[at]),
            Token::Copy { .. } => 16 * COPY,
        };
        at += token.len();
        place.advance(token.len());
    }
    let mut tiles = Tiles::by_cost(tile_bits, columns, &costs);
    let mut histograms = vec![Histogram::new(0); tiles.groups];
    let mut place = Place::new(width);
    for token in tokens {
        token.count(&mut histograms[tiles.group_at(place.x, place.y)]);
        place.advance(token.len());
    }
    tiles.join(&mut histograms);
    // No colour cache.
    out.put(0_u8, 1);
    tiles.write(out);
    let codes: Vec<Codes> = histograms
        .iter()
        .map(|histogram| Codes::write(histogram, out))
        .collect();
    let mut place = Place::new(width);
    for token in tokens {
        token.write(&codes[tiles.group_at(place.x, place.y)], out);
        place.advance(token.len());
    }
}

/// About the bits of a copy.
const COPY: u32 = 18;

/// Writes a picture without entropy groups: those within pictures have none.
pub(super) fn write_small(pixels: Vec<u32>, width: usize, out: &mut BitWriter) {
    let (tokens, _) = copies::split(&pixels, width, 8);
    let mut histogram = Histogram::new(0);
    for token in &tokens {
        token.count(&mut histogram);
    }
    // No colour cache.
    out.put(0_u8, 1);
    let codes = Codes::write(&histogram, out);
    for token in tokens {
        token.write(&codes, out);
    }
}

struct Place {
    width: usize,
    x: usize,
    y: usize,
}

impl Place {
    fn new(width: usize) -> Self {
        Self { width, x: 0, y: 0 }
    }

    fn advance(&mut self, pixels: usize) {
        self.x += pixels;
        if self.x >= self.width {
            self.y += self.x / self.width;
            self.x %= self.width;
        }
    }
}
