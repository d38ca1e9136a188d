//! Runs and repetitions: which pixels are copies of earlier ones.

use super::{
    WebpEffort,
    distance::Distances,
    finder::Finder,
    histogram::{Histogram, ONE_BIT, log2},
    picture::Picture,
};
use crate::scratch;

/// Pixels as they are, then pixels that were there before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) literals: u32,
    /// Pixels that are copied; only at the end of a picture none.
    pub(super) copied: u32,
    /// From where, already as the format tells it.
    pub(super) distance: u32,
}

/// A picture in segments.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) segments: Vec<Segment>,
    /// About the bits that pixels take as literals up to each place, in sixteenths.
    pub(super) bits: Vec<u32>,
}

impl Drop for Split {
    fn drop(&mut self) {
        scratch::give_back_words(std::mem::take(&mut self.bits));
    }
}

/// Splits a picture into segments.
pub(super) fn split<const BYTES: usize>(picture: &Picture<BYTES>, effort: WebpEffort) -> Split {
    match effort {
        WebpEffort::Fastest => split_by::<BYTES, 1>(picture),
        WebpEffort::Default | WebpEffort::Small => split_by::<BYTES, 4>(picture),
    }
}

fn split_by<const BYTES: usize, const WAYS: usize>(picture: &Picture<BYTES>) -> Split {
    let bits = literal_bits(picture.pixels());
    let distances = Distances::new(picture.width);
    let end = picture.pixels().len();
    let mut segments = Vec::with_capacity(end / 16);
    let mut finder: Finder<'_, BYTES, WAYS> = Finder::new(picture, &bits);
    let (mut at, mut literals_from) = (0, 0);
    let patience = if WAYS == 1 { PATIENCE / 4 } else { PATIENCE };
    let enough = if BYTES == 1 {
        ENOUGH_INDICES
    } else {
        ENOUGH_COLOURS
    };
    // How often nothing was found, less the pixels that were.
    let mut misses = 0;
    while at < end {
        let mut found = finder.find(at, 0);
        finder.insert(at, &found);
        if found.gain <= 0 {
            // Where little is found, look less often. What is alike but cheap anyway is not looked at again.
            misses += 1;
            let alike = if found.longest >= WORTH_PASSING {
                found.longest
            } else {
                1
            };
            at += alike.max(1 + misses / patience);
            continue;
        }
        misses -= misses.min(found.len * 2);
        // A better one may begin with the next pixel.
        while WAYS > 1 && found.len < enough && at + 1 < end {
            let next = finder.find(at + 1, found.len.saturating_sub(SHORTER));
            if next.gain <= found.gain + BETTER {
                break;
            }
            at += 1;
            finder.insert(at, &next);
            found = next;
        }
        let distance = distances.number(found.distance);
        let mut literals = (at - literals_from) as u32;
        push_copy(&mut literals, found.len, distance, &mut segments);
        finder.insert_copy(at + 1, at + found.len);
        at += found.len;
        literals_from = at;
    }
    if literals_from < end {
        segments.push(Segment {
            literals: (end - literals_from) as u32,
            copied: 0,
            distance: 0,
        });
    }
    drop(finder);
    Split { segments, bits }
}

/// Adds a copy after so many literals, of which none are left.
fn push_copy(literals: &mut u32, len: usize, distance: u32, segments: &mut Vec<Segment>) {
    let mut left = len;
    while left > 0 {
        let copied = left.min(LONGEST);
        segments.push(Segment {
            literals: std::mem::take(literals),
            copied: copied as u32,
            distance,
        });
        left -= copied;
    }
}

/// So often is looked for a copy in vain before every second pixel is passed over.
const PATIENCE: usize = 10;
/// Longest copy that there is a prefix for.
const LONGEST: usize = 4096;
/// A copy of so many indices is taken without looking for a better one.
const ENOUGH_INDICES: usize = 12;
/// The same of colours, which take more bits each.
const ENOUGH_COLOURS: usize = 5;
/// So many pixels are passed over at once where copying them saves nothing.
const WORTH_PASSING: usize = 16;
/// So many pixels shorter a copy from nearer may be and still save more bits.
const SHORTER: usize = 2;
/// Bits that a copy must save over one that begins a pixel earlier.
const BETTER: i32 = 2;

/// Pixels that are compared at once with those before them.
const ALIKE: usize = 8;

/// About the bits that pixels take as literals up to each place, in sixteenths.
fn literal_bits<const BYTES: usize>(pixels: &[[u8; BYTES]]) -> Vec<u32> {
    // Repetitions will not be literals. A part of the pixels tells enough.
    let mut histogram = Histogram::new();
    for part in pixels.chunks(256) {
        for pair in part[..part.len().min(64)].windows(2) {
            if pair[0] != pair[1] {
                histogram.count_literals(&pair[1..], 1);
            }
        }
    }
    let mut costs = [&histogram.green[..256], &histogram.red, &histogram.blue].map(costs);
    // A picture of one colour takes no bits; elsewhere each pixel takes some.
    if histogram.green.iter().any(|count| *count > 0) {
        for cost in &mut costs[0] {
            *cost = (*cost).max(1);
        }
    }
    let mut bits = scratch::words_to_overwrite(pixels.len() + 1);
    let mut sum = 0_u32;
    let (steps, rest) = pixels.as_chunks::<ALIKE>();
    let (sums, sums_of_rest) = bits[..pixels.len()].as_chunks_mut::<ALIKE>();
    let mut last = 0;
    // Of very large pictures a number of bits is not worth a wider sum: differences come out right all the same.
    for (i, (step, sums)) in steps.iter().zip(sums).enumerate() {
        // In drawings most pixels are like the one before.
        if i > 0 && pixels[i * ALIKE - 1..].first_chunk() == Some(step) {
            for (bits, place) in sums.iter_mut().zip(0..) {
                *bits = sum.wrapping_add(last * place);
            }
            sum = sum.wrapping_add(last * ALIKE as u32);
            continue;
        }
        for (pixel, bits) in step.iter().zip(sums) {
            *bits = sum;
            last = literal_cost(*pixel, &costs);
            sum = sum.wrapping_add(last);
        }
    }
    for (pixel, bits) in rest.iter().zip(sums_of_rest) {
        *bits = sum;
        sum = sum.wrapping_add(literal_cost(*pixel, &costs));
    }
    bits[pixels.len()] = sum;
    bits
}

/// About how many bits symbols take, in sixteenths.
fn costs(counts: &[u32]) -> [u32; 256] {
    let total = log2(counts.iter().sum());
    std::array::from_fn(|symbol| (total - log2(counts[symbol]).min(total)) / (ONE_BIT as u32 / 16))
}

fn literal_cost<const BYTES: usize>(pixel: [u8; BYTES], costs: &[[u32; 256]; 3]) -> u32 {
    let [greens, reds, blues] = costs;
    match pixel[..] {
        [blue, green, red, _] => {
            greens[usize::from(green)] + reds[usize::from(red)] + blues[usize::from(blue)]
        }
        _ => greens[usize::from(pixel[0])],
    }
}
