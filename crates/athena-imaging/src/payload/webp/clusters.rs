//! Entropy groups for the fewest bits: each tile goes to the group whose codes suit it best, over and over.

use super::{
    copies::Segment,
    groups::{Cost, Tiles, WORTH_A_GROUP},
    histogram::{Histogram, ONE_BIT, log2, n_log_n},
    picture::Picture,
    tokens::{Place, count_copy, prefix_of},
};
use crate::simd;

/// Groups at first: as many as there are prices in two vectors of AVX2.
const GROUPS: usize = 32;
/// The same of pictures with copies, whose default is encoded, too: to join many groups takes long.
const GROUPS_WITH_COPIES: usize = 18;
/// How often tiles may change their groups.
const ROUNDS: usize = 2;
/// When fewer than one tile in so many has changed its group, that was the last time.
const FEW: usize = 32;

/// Groups that are further apart in the order of costs are not joined, until those between them are.
const NEAR: usize = 8;

/// Pixels of a side of a tile, as a power of two. Prices of a row of pixels have no more than 16 bits.
pub(super) const TILE_BITS: u32 = 3;

/// The groups that take the fewest bits, and their histograms. `costs` are some measure of what each tile takes.
pub(super) fn of<const BYTES: usize>(
    picture: &Picture<BYTES>,
    segments: &[Segment],
    columns: usize,
    costs: &[Cost],
) -> (Tiles, Vec<Histogram>) {
    let bins = if segments.len() > 1 {
        GROUPS_WITH_COPIES
    } else {
        GROUPS
    };
    let mut tiles = Tiles::by_cost(TILE_BITS, columns, costs, bins as u32);
    let mut histograms = count(picture, segments, &tiles);
    for _ in 0..ROUNDS {
        if histograms.len() < 2
            || choose(picture, segments, &mut tiles, &mut histograms) < costs.len() / FEW
        {
            break;
        }
    }
    let used: Vec<bool> = (0..tiles.groups)
        .map(|group| tiles.group.contains(&(group as u8)))
        .collect();
    let mut used = used.iter();
    histograms.retain(|_| used.next() == Some(&true));
    tiles.renumber();
    join(&mut tiles, &mut histograms);
    join_all_if_smaller(&mut tiles, &mut histograms);
    (tiles, histograms)
}

/// What lies in one tile.
enum Part<'a, const BYTES: usize> {
    Literals(&'a [[u8; BYTES]]),
    Copy(&'a Segment),
}

impl<const BYTES: usize> Part<'_, BYTES> {
    /// Counts it so often; wrapping, so that it can be taken off again.
    fn count(&self, times: u32, histogram: &mut Histogram) {
        match self {
            Self::Literals(pixels) => histogram.count_literals(pixels, times),
            Self::Copy(segment) => count_copy(segment, times, histogram),
        }
    }
}

fn for_each_part<const BYTES: usize>(
    picture: &Picture<BYTES>,
    segments: &[Segment],
    tile_bits: u32,
    mut act: impl FnMut(usize, Part<'_, BYTES>),
) {
    let mut place = Place::new(picture.width, tile_bits);
    for segment in segments {
        place.pass(segment.literals, |tile, range| {
            act(tile, Part::Literals(&picture.pixels()[range]));
        });
        if segment.copied > 0 {
            act(place.tile(), Part::Copy(segment));
            place.skip(segment.copied);
        }
    }
}

/// How often symbols occur in each group.
pub(super) fn count<const BYTES: usize>(
    picture: &Picture<BYTES>,
    segments: &[Segment],
    tiles: &Tiles,
) -> Vec<Histogram> {
    let mut histograms = vec![Histogram::new(); tiles.groups];
    for_each_part(picture, segments, tiles.bits, |tile, part| {
        part.count(1, &mut histograms[usize::from(tiles.group[tile])]);
    });
    histograms
}

/// Puts each tile in the group whose codes suit it best, and returns how many have changed theirs.
fn choose<const BYTES: usize>(
    picture: &Picture<BYTES>,
    segments: &[Segment],
    tiles: &mut Tiles,
    histograms: &mut [Histogram],
) -> usize {
    let sums = Prices::of(histograms).of_tiles(picture, segments, tiles);
    let all = log2(tiles.group.len() as u32);
    let mut told = [0; GROUPS];
    for group in &tiles.group {
        told[usize::from(*group)] += 1;
    }
    let told = told.map(|tiles| (all - log2(tiles)) / SIXTEENTH);
    let before = tiles.group.clone();
    for (group, sums) in tiles.group.iter_mut().zip(&sums) {
        let best = (0..histograms.len()).min_by_key(|i| sums[*i] + told[*i]);
        *group = best.unwrap_or(0) as u8;
    }
    for_each_part(picture, segments, tiles.bits, |tile, part| {
        let (from, to) = (before[tile], tiles.group[tile]);
        if from != to {
            part.count(u32::MAX, &mut histograms[usize::from(from)]);
            part.count(1, &mut histograms[usize::from(to)]);
        }
    });
    let moved = before.iter().zip(&tiles.group).filter(|(a, b)| a != b);
    moved.count()
}

/// Bits in sixteenths, for each group.
type Lanes = [u16; GROUPS];
/// Of a bit, in the unit of logarithms.
const SIXTEENTH: u32 = ONE_BIT as u32 / 16;

/// What symbols take in each group.
struct Prices {
    green: Vec<Lanes>,
    red: Vec<Lanes>,
    blue: Vec<Lanes>,
    distance: Vec<Lanes>,
}

impl Prices {
    fn of(histograms: &[Histogram]) -> Self {
        let of = |counts: fn(&Histogram) -> &[u32]| {
            let symbols = histograms.first().map_or(0, |first| counts(first).len());
            let mut prices = vec![[0; GROUPS]; symbols];
            for (group, histogram) in histograms.iter().enumerate() {
                let counts = counts(histogram);
                // What does not occur in a group yet may: it is as rare as a quarter of what occurs once.
                let total = log2(counts.iter().sum::<u32>() * 4 + 256);
                for (price, count) in prices.iter_mut().zip(counts) {
                    price[group] = ((total - log2(count * 4 + 1)) / SIXTEENTH) as u16;
                }
            }
            prices
        };
        Self {
            green: of(|histogram| &histogram.green),
            red: of(|histogram| &histogram.red),
            blue: of(|histogram| &histogram.blue),
            distance: of(|histogram| &histogram.distance),
        }
    }

    /// What each tile would take in each group.
    fn of_tiles<const BYTES: usize>(
        &self,
        picture: &Picture<BYTES>,
        segments: &[Segment],
        tiles: &Tiles,
    ) -> Vec<[u32; GROUPS]> {
        let mut sums = vec![[0; GROUPS]; tiles.group.len()];
        for_each_part(picture, segments, tiles.bits, |tile, part| match part {
            Part::Literals(pixels) => {
                let bytes = pixels.as_flattened();
                if BYTES == 1 {
                    add_greens(bytes, &self.green, &mut sums[tile]);
                } else {
                    let pixels = bytes.as_chunks().0;
                    add_pixels(pixels, &self.green, &self.red, &self.blue, &mut sums[tile]);
                }
            }
            Part::Copy(segment) => {
                let lengths = &self.green[256 + prefix_of(segment.copied).0];
                let distances = &self.distance[prefix_of(segment.distance).0];
                for ((sum, length), distance) in sums[tile].iter_mut().zip(lengths).zip(distances) {
                    *sum += u32::from(length + distance);
                }
            }
        });
        sums
    }
}

simd::kernel! {
    /// Adds what some pixels of a row take in each group.
    fn add_pixels(pixels: &[[u8; 4]], green: &[Lanes], red: &[Lanes], blue: &[Lanes], sums: &mut [u32; GROUPS]) {
        let (green, red, blue) = (&green[..256], &red[..256], &blue[..256]);
        let mut sum = [0; GROUPS];
        for pixel in pixels {
            let [b, g, r, _] = pixel.map(usize::from);
            let (g, r, b) = (&green[g], &red[r], &blue[b]);
            for i in 0..GROUPS {
                sum[i] += g[i] + r[i] + b[i];
            }
        }
        for i in 0..GROUPS {
            sums[i] += u32::from(sum[i]);
        }
    }
}

simd::kernel! {
    /// The same for pixels of green alone.
    fn add_greens(pixels: &[u8], green: &[Lanes], sums: &mut [u32; GROUPS]) {
        let green = &green[..256];
        let mut sum = [0; GROUPS];
        for pixel in pixels {
            let g = &green[usize::from(*pixel)];
            for i in 0..GROUPS {
                sum[i] += g[i];
            }
        }
        for i in 0..GROUPS {
            sums[i] += u32::from(sum[i]);
        }
    }
}

/// Joins groups, any two of them, as long as that saves bits.
fn join(tiles: &mut Tiles, histograms: &mut Vec<Histogram>) {
    let mut counts = vec![0; tiles.groups];
    for group in &tiles.group {
        counts[usize::from(*group)] += 1;
    }
    let mut costs: Vec<u64> = histograms.iter().map(Histogram::cost).collect();
    let saving = |histograms: &[Histogram], costs: &[u64], counts: &[u32], i: usize, j: usize| {
        if j - i > NEAR {
            return 0;
        }
        let told = n_log_n(counts[i] + counts[j]) - n_log_n(counts[i]) - n_log_n(counts[j]);
        let joint = histograms[i].cost_with(&histograms[j]);
        (costs[i] + costs[j] + told + WORTH_A_GROUP).saturating_sub(joint)
    };
    let mut savings: Vec<Vec<u64>> = (0..histograms.len())
        .map(|j| {
            (0..j)
                .map(|i| saving(histograms, &costs, &counts, i, j))
                .collect()
        })
        .collect();
    loop {
        let pairs = savings
            .iter()
            .enumerate()
            .flat_map(|(j, row)| row.iter().enumerate().map(move |(i, s)| (*s, i, j)));
        let best = pairs.max_by_key(|(saving, i, j)| (*saving, usize::MAX - i, usize::MAX - j));
        let Some((1.., i, j)) = best else { break };
        let gone = histograms.remove(j);
        histograms[i].add(&gone);
        counts[i] += counts.remove(j);
        costs.remove(j);
        costs[i] = histograms[i].cost();
        savings.remove(j);
        for row in &mut savings[j..] {
            row.remove(j);
        }
        for other in 0..histograms.len() {
            if other != i {
                savings[i.max(other)][i.min(other)] =
                    saving(histograms, &costs, &counts, i.min(other), i.max(other));
            }
        }
        for group in &mut tiles.group {
            let (from, to) = (j as u8, i as u8);
            *group = if *group == from {
                to
            } else {
                *group - u8::from(*group > from)
            };
        }
        tiles.groups -= 1;
    }
}

/// Joins all groups at once if that saves bits: of little groups, pair by pair may not.
fn join_all_if_smaller(tiles: &mut Tiles, histograms: &mut Vec<Histogram>) {
    let Some((first, others)) = histograms.split_first() else {
        return;
    };
    let mut all = first.clone();
    others.iter().for_each(|histogram| all.add(histogram));
    let mut counts = [0; GROUPS];
    for group in &tiles.group {
        counts[usize::from(*group)] += 1;
    }
    let told = n_log_n(tiles.group.len() as u32) - counts.map(n_log_n).iter().sum::<u64>();
    // The groups of neighbours are mostly the same: half of what they would take without regard to each other.
    if all.cost() <= histograms.iter().map(Histogram::cost).sum::<u64>() + told / 2 {
        tiles.group.fill(0);
        tiles.groups = 1;
        *histograms = vec![all];
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{assert_same, rows};

    #[test]
    fn every_instruction_set_adds_prices_alike() {
        let most = u16::MAX / (3 << TILE_BITS);
        let prices = rows(256 * GROUPS, 0, most, |bits| bits as u16 % most);
        let prices = prices
            .each_ref()
            .map(|prices| prices.as_chunks::<GROUPS>().0);
        for count in 0..=1 << TILE_BITS {
            let pixels: Vec<[u8; 4]> = (0..count)
                .map(|i| [i as u8 * 31, 255 - i as u8, i as u8, 0])
                .collect();
            assert_same!(add_pixels(&pixels, prices[3], prices[1], prices[2]; [5; GROUPS]));
            assert_same!(add_greens(pixels.as_flattened().get(..count).unwrap_or(&[]), prices[3]; [5; GROUPS]));
        }
    }
}
