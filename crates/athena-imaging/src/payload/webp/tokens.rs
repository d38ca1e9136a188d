//! Pictures with runs and repetitions: literals and copies of pixels before.

use super::{
    bits::BitWriter,
    groups::{Codes, Tiles},
    histogram::{Histogram, ONE_BIT, log2},
};

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A pixel: alpha, red, green and blue from the highest bits on.
    Literal(u32),
    /// So many pixels again, from a distance that is already told as the format tells it.
    Copy { len: u16, distance: u32 },
}

/// Longest copy that libwebp's own encoder makes; the format has room for more.
const LONGEST: usize = 4096;

impl Token {
    fn len(self) -> usize {
        match self {
            Self::Literal(_) => 1,
            Self::Copy { len, .. } => len.into(),
        }
    }

    fn count(self, histogram: &mut Histogram) {
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
                codes.green.put(green, out);
                codes.red.put(red, out);
                codes.blue.put(blue, out);
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
struct Distances {
    width: usize,
    /// Numbers of near pixels: seven rows up, from eight columns to the left to seven to the right.
    near: [[u8; 16]; 8],
}

impl Distances {
    fn new(width: usize) -> Self {
        let mut near = [[0; 16]; 8];
        for (number, (x, y)) in (1..).zip(NEAR) {
            near[y as usize][(8 - x) as usize] = number;
        }
        Self { width, near }
    }

    fn number(&self, distance: usize) -> u32 {
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

/// Splits pixels into tokens.
pub(super) fn split(pixels: &[u32], width: usize, depth: usize) -> Vec<Token> {
    let distances = Distances::new(width);
    let mut tokens = Vec::new();
    let mut finder = Finder::new(pixels, width, depth);
    let mut at = 0;
    // Pixels in a row for which nothing was found.
    let mut misses = 0;
    while at < pixels.len() {
        let mut found = finder.longest(at);
        finder.insert(at);
        if found.gain <= 0 {
            // Where nothing is found, look less often. What is alike but cheap anyway is not looked at again.
            misses += 1;
            let alike = if found.longest >= ENOUGH {
                found.longest
            } else {
                1
            };
            let literals = alike.max(1 + misses / 32).min(pixels.len() - at);
            tokens.extend(
                pixels[at..][..literals]
                    .iter()
                    .map(|pixel| Token::Literal(*pixel)),
            );
            at += literals;
            continue;
        }
        misses = 0;
        // A better one may begin with the next pixel.
        while found.len < ENOUGH && at + 1 < pixels.len() {
            let next = finder.longest(at + 1);
            if next.gain <= found.gain + BETTER {
                break;
            }
            tokens.push(Token::Literal(pixels[at]));
            at += 1;
            finder.insert(at);
            found = next;
        }
        let distance = distances.number(found.distance);
        let (whole, rest) = (found.len / LONGEST, found.len % LONGEST);
        let lens = std::iter::repeat_n(LONGEST, whole).chain((rest > 0).then_some(rest));
        tokens.extend(lens.map(|len| Token::Copy {
            len: len as u16,
            distance,
        }));
        finder.insert_copy(at + 1, at + found.len);
        at += found.len;
    }
    tokens
}

/// A copy of so many pixels is taken without looking for a better one.
const ENOUGH: usize = 64;
/// Bits that a copy must save over one that begins a pixel earlier.
const BETTER: i32 = 2;

#[derive(Debug, Clone, Copy)]
struct Found {
    len: usize,
    distance: usize,
    /// About the bits that it saves.
    gain: i32,
    /// The length of the longest, whether it saves bits or not.
    longest: usize,
}

/// Finds earlier pixels that are the same.
struct Finder<'a> {
    pixels: &'a [u32],
    width: usize,
    depth: usize,
    /// About the bits that pixels take as literals up to each place, in sixteenths.
    bits: Vec<u32>,
    /// One more than the last place of four pixels with this hash.
    last: Vec<u32>,
    /// One more than the place before, for each place.
    before: Vec<u32>,
}

const HASH_BITS: u32 = 14;

impl<'a> Finder<'a> {
    fn new(pixels: &'a [u32], width: usize, depth: usize) -> Self {
        Self {
            pixels,
            width,
            depth,
            bits: literal_bits(pixels),
            last: vec![0; 1 << HASH_BITS],
            before: vec![0; pixels.len()],
        }
    }

    fn hash(&self, at: usize) -> Option<usize> {
        let [a, b, c, d, ..] = self.pixels[at..] else {
            return None;
        };
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let first = (u64::from(a) << 32 | u64::from(b)).wrapping_mul(ODD);
        let all = (first.rotate_left(29) ^ (u64::from(c) << 32 | u64::from(d))).wrapping_mul(ODD);
        Some((all >> (64 - HASH_BITS)) as usize)
    }

    fn insert(&mut self, at: usize) {
        // Within a run all places are alike; the first one is enough.
        let is_in_run = |pixels: &[u32]| {
            pixels.len() == 5 && pixels[1..].iter().all(|pixel| *pixel == pixels[0])
        };
        if at > 0 && is_in_run(&self.pixels[at - 1..self.pixels.len().min(at + 4)]) {
            return;
        }
        if let Some(hash) = self.hash(at) {
            self.before[at] = std::mem::replace(&mut self.last[hash], at as u32 + 1);
        }
    }

    /// Inserts the places of a copy. Within long ones what they copy can still be found.
    fn insert_copy(&mut self, from: usize, to: usize) {
        const ENDS: usize = 16;
        if to - from <= 2 * ENDS {
            (from..to).for_each(|at| self.insert(at));
        } else {
            (from..from + ENDS)
                .chain(to - ENDS..to)
                .for_each(|at| self.insert(at));
        }
    }

    fn longest(&self, at: usize) -> Found {
        let most = self.pixels.len() - at;
        let rest = &self.pixels[at..][..most];
        let bits = &self.bits[at..][..most + 1];
        let mut best = Found {
            len: 0,
            distance: 0,
            gain: 0,
            longest: 0,
        };
        let mut consider = |distance: usize, told: u32| {
            let from = at - distance;
            if best.longest < most && self.pixels[from + best.longest] != rest[best.longest] {
                return best.longest;
            }
            let len = common(&self.pixels[from..], rest);
            best.longest = best.longest.max(len);
            let gain = (bits[len] - bits[0]) as i32 / 16 - told as i32;
            if gain > best.gain {
                best.len = len;
                best.distance = distance;
                best.gain = gain;
            }
            best.longest
        };
        if at >= self.width {
            consider(self.width, 10);
        }
        if at >= 1 {
            consider(1, 10);
        }
        let Some(hash) = self.hash(at) else {
            return best;
        };
        let mut next = self.last[hash];
        for _ in 0..self.depth {
            if next == 0 {
                break;
            }
            let from = next as usize - 1;
            if consider(at - from, 14 + (log2((at - from) as u32) >> 8)) >= LONG_ENOUGH {
                break;
            }
            next = self.before[from];
        }
        best
    }
}

const LONG_ENOUGH: usize = 512;

/// How many pixels are the same from the first on.
fn common(a: &[u32], b: &[u32]) -> usize {
    const STEP: usize = 8;
    let (a_chunks, _) = a.as_chunks::<STEP>();
    let (b_chunks, _) = b.as_chunks::<STEP>();
    let whole = a_chunks
        .iter()
        .zip(b_chunks)
        .take_while(|(a, b)| a == b)
        .count()
        * STEP;
    let rest = a[whole..].iter().zip(&b[whole..]).position(|(a, b)| a != b);
    whole + rest.unwrap_or(b.len() - whole)
}

/// About the bits that pixels take as literals up to each place, in sixteenths.
fn literal_bits(pixels: &[u32]) -> Vec<u32> {
    // Repetitions will not be literals.
    let mut histogram = Histogram::new(0);
    for pair in pixels.windows(2) {
        if pair[0] != pair[1] {
            Token::Literal(pair[1]).count(&mut histogram);
        }
    }
    let costs = Costs::of(&histogram);
    // A picture of one colour takes no bits; elsewhere each pixel takes some.
    let least = u32::from(histogram.red.iter().any(|count| *count > 0));
    let mut bits = Vec::with_capacity(pixels.len() + 1);
    let mut sum = 0;
    let mut last = (0, 0);
    for pixel in pixels {
        bits.push(sum);
        if *pixel != last.0 || last.1 == 0 {
            last = (*pixel, costs.of_token(Token::Literal(*pixel)).max(least));
        }
        sum += last.1;
    }
    bits.push(sum);
    bits
}

/// Writes a picture that is split into tokens.
pub(super) fn write(
    tokens: &[Token],
    width: usize,
    height: usize,
    tile_bits: u32,
    out: &mut BitWriter,
) {
    let columns = width.div_ceil(1 << tile_bits);
    let mut all = Histogram::new(0);
    for token in tokens {
        token.count(&mut all);
    }
    let costs = Costs::of(&all);
    let mut of_tiles = vec![0; columns * height.div_ceil(1 << tile_bits)];
    let mut at = Position::new(width);
    for token in tokens {
        of_tiles[(at.y >> tile_bits) * columns + (at.x >> tile_bits)] += costs.of_token(*token);
        at.advance(token.len());
    }
    let mut tiles = Tiles::by_cost(tile_bits, columns, &of_tiles);
    let mut histograms = vec![Histogram::new(0); tiles.groups];
    let mut at = Position::new(width);
    for token in tokens {
        token.count(&mut histograms[tiles.group_at(at.x, at.y)]);
        at.advance(token.len());
    }
    tiles.join(&mut histograms);
    // No colour cache.
    out.put(0, 1);
    tiles.write(out);
    let codes: Vec<Codes> = histograms
        .iter()
        .map(|histogram| Codes::write(histogram, out))
        .collect();
    let mut at = Position::new(width);
    for token in tokens {
        token.write(&codes[tiles.group_at(at.x, at.y)], out);
        at.advance(token.len());
    }
}

/// Writes a picture without entropy groups: those within pictures have none.
pub(super) fn write_small(pixels: Vec<u32>, width: usize, out: &mut BitWriter) {
    let tokens = split(&pixels, width, 8);
    let mut histogram = Histogram::new(0);
    for token in &tokens {
        token.count(&mut histogram);
    }
    // No colour cache.
    out.put(0, 1);
    let codes = Codes::write(&histogram, out);
    for token in tokens {
        token.write(&codes, out);
    }
}

struct Position {
    width: usize,
    x: usize,
    y: usize,
}

impl Position {
    fn new(width: usize) -> Self {
        Self { width, x: 0, y: 0 }
    }

    fn advance(&mut self, pixels: usize) {
        self.x += pixels;
        while self.x >= self.width {
            self.x -= self.width;
            self.y += 1;
        }
    }
}

/// About how many bits symbols take, in sixteenths.
struct Costs {
    green: Vec<u32>,
    red: Vec<u32>,
    blue: Vec<u32>,
    distance: Vec<u32>,
}

impl Costs {
    fn of(histogram: &Histogram) -> Self {
        let costs = |counts: &[u32]| {
            let total = log2(counts.iter().sum());
            counts
                .iter()
                .map(|count| (total - log2(*count).min(total)) / (ONE_BIT as u32 / 16))
                .collect()
        };
        Self {
            green: costs(&histogram.green),
            red: costs(&histogram.red),
            blue: costs(&histogram.blue),
            distance: costs(&histogram.distance),
        }
    }

    fn of_token(&self, token: Token) -> u32 {
        match token {
            Token::Literal(pixel) => {
                let [blue, green, red, _] = pixel.to_le_bytes().map(usize::from);
                self.green[green] + self.red[red] + self.blue[blue]
            }
            Token::Copy { len, distance } => {
                let (len, len_bits, _) = prefix_of(len.into());
                let (distance, distance_bits, _) = prefix_of(distance);
                self.green[256 + len] + self.distance[distance] + 16 * (len_bits + distance_bits)
            }
        }
    }
}
