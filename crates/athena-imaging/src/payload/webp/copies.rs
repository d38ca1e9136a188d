//! Runs and repetitions: which pixels are copies of earlier ones.

use crate::scratch;

use super::{
    histogram::{Histogram, ONE_BIT, log2},
    tokens::{Distances, Token},
};

/// Splits pixels into tokens.
pub(super) fn split(pixels: &[u32], width: usize, depth: usize) -> (Vec<Token>, Vec<u32>) {
    let distances = Distances::new(width);
    let mut tokens = Vec::with_capacity(pixels.len() / 8);
    let mut finder = Finder::new(pixels, width, depth);
    let mut at = 0;
    // How often nothing was found, less the pixels that were.
    let mut misses = 0;
    while at < pixels.len() {
        let mut found = finder.longest(at);
        finder.insert(at);
        if found.gain <= 0 {
            // Where little is found, look less often. What is alike but cheap anyway is not looked at again.
            misses += 1;
            let alike = if found.longest >= ENOUGH {
                found.longest
            } else {
                1
            };
            let literals = alike.max(1 + misses / PATIENCE).min(pixels.len() - at);
            tokens.extend(
                pixels[at..][..literals]
                    .iter()
                    .map(|pixel| Token::Literal(*pixel)),
            );
            at += literals;
            continue;
        }
        misses -= misses.min(found.len * 2);
        // A better one may begin with the next pixel.
        while found.len < finder.enough && at + 1 < pixels.len() {
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
        finder.insert_copy(at + 1, at + found.len, found.distance);
        at += found.len;
    }
    scratch::give_back_words(finder.before);
    (tokens, finder.bits)
}

/// So often is looked for a copy in vain before every second pixel is passed over.
const PATIENCE: usize = 24;
/// Longest copy that libwebp's own encoder makes; the format has room for more.
const LONGEST: usize = 4096;
/// A copy of so many pixels is taken without looking for a better one.
const ENOUGH: usize = 64;
/// Bits that a copy must save over one that begins a pixel earlier.
const BETTER: i32 = 2;

#[derive(Debug, Clone, Copy, Default)]
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
    enough: usize,
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
            enough: if depth > 8 { ENOUGH } else { ENOUGH / 4 },
            bits: literal_bits(pixels),
            last: vec![0; 1 << HASH_BITS],
            // Read where it was written alone.
            before: scratch::words_to_overwrite(pixels.len()),
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

    /// Inserts the places of a copy. What a long one copies can be found where it was before: only its ends are new.
    fn insert_copy(&mut self, from: usize, to: usize, distance: usize) {
        const START: usize = 16;
        const END: usize = 3;
        let start = if distance < to - from { 0 } else { START };
        if to - from <= start + END {
            (from..to).for_each(|at| self.insert(at));
        } else {
            (from..from + start)
                .chain(to - END..to)
                .for_each(|at| self.insert(at));
        }
    }

    fn longest(&self, at: usize) -> Found {
        let mut search = Search {
            pixels: self.pixels,
            bits: &self.bits,
            at,
            best: Found::default(),
        };
        if at >= self.width {
            search.consider(self.width, NEAR);
        }
        if at >= 1 {
            search.consider(1, NEAR);
        }
        if search.best.longest >= self.enough {
            return search.best;
        }
        let Some(hash) = self.hash(at) else {
            return search.best;
        };
        let mut next = self.last[hash];
        for _ in 0..self.depth {
            if next == 0 || search.best.longest >= LONG_ENOUGH {
                break;
            }
            let distance = at + 1 - next as usize;
            search.consider(distance, FAR + (log2(distance as u32) >> 8));
            next = self.before[at - distance];
        }
        search.best
    }
}

/// About the bits of a copy, less those that tell how far away it is.
const FAR: u32 = 14;
/// About the bits of a copy from next to the pixel.
const NEAR: u32 = 10;
/// Where so many pixels are the same, no further place is looked at.
const LONG_ENOUGH: usize = 512;

struct Search<'a> {
    pixels: &'a [u32],
    bits: &'a [u32],
    at: usize,
    best: Found,
}

impl Search<'_> {
    #[inline(always)]
    fn consider(&mut self, distance: usize, told: u32) {
        let (at, from) = (self.at, self.at - distance);
        let longest = self.best.longest;
        if at + longest < self.pixels.len()
            && self.pixels[from + longest] != self.pixels[at + longest]
        {
            return;
        }
        let len = common(&self.pixels[from..], &self.pixels[at..]);
        self.best.longest = longest.max(len);
        let gain = (self.bits[at + len].wrapping_sub(self.bits[at]) / 16) as i32 - told as i32;
        if gain > self.best.gain {
            self.best.len = len;
            self.best.distance = distance;
            self.best.gain = gain;
        }
    }
}

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
    // Repetitions will not be literals. A part of the pixels tells enough.
    let mut histogram = Histogram::new(0);
    for part in pixels.chunks(256) {
        for pair in part[..part.len().min(64)].windows(2) {
            if pair[0] != pair[1] {
                Token::Literal(pair[1]).count(&mut histogram);
            }
        }
    }
    let costs = Costs::new(&histogram);
    // A picture of one colour takes no bits; elsewhere each pixel takes some.
    let least = u32::from(histogram.red.iter().any(|count| *count > 0));
    let mut bits = scratch::words_to_overwrite(pixels.len() + 1);
    let mut sum = 0_u32;
    let mut last = (0, 0);
    for (pixel, bits) in pixels.iter().zip(&mut bits) {
        *bits = sum;
        if *pixel != last.0 || last.1 == 0 {
            last = (*pixel, costs.of(*pixel).max(least));
        }
        // Of very large pictures a number of bits is not worth a wider sum: differences come out right all the same.
        sum = sum.wrapping_add(last.1);
    }
    bits[pixels.len()] = sum;
    bits
}

/// About how many bits symbols take, in sixteenths.
struct Costs {
    green: Vec<u32>,
    red: Vec<u32>,
    blue: Vec<u32>,
}

impl Costs {
    fn new(histogram: &Histogram) -> Self {
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
        }
    }

    fn of(&self, pixel: u32) -> u32 {
        let [blue, green, red, _] = pixel.to_le_bytes().map(usize::from);
        self.green[green] + self.red[red] + self.blue[blue]
    }
}
