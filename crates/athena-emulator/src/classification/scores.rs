//! Weights from pixels: repeatable, and of no meaning.
//!
//! The frame is averaged over a grid of cells, colour by colour, and each category's score is a
//! fixed pseudo-random projection of those averages. So equal pixels give equal weights, a slightly
//! different picture gives slightly different ones, and a swapped channel order gives others.

use std::sync::LazyLock;

use super::FRAME_SIDE;

pub(crate) const CATEGORIES: usize = 6;
const CHANNELS: usize = 3;
const ROW: usize = FRAME_SIDE * CHANNELS;
/// Side of a cell in pixels; 28 rows of bytes fit a `u16` sum, and are seven times four.
const CELL: usize = 28;
const CELLS: usize = FRAME_SIDE / CELL;
const FEATURES: usize = CELLS * CELLS * CHANNELS;
/// Spreads the scores so that photographs get clearly unequal weights.
const GAIN: f32 = 0.4;

type Projection = [[f32; CATEGORIES]; FEATURES];

static PROJECTION: LazyLock<Box<Projection>> = LazyLock::new(|| {
    let mut random = SplitMix64(0xA7E4_A000);
    let mut projection = Box::new([[0.0; CATEGORIES]; FEATURES]);
    for weight in projection.iter_mut().flatten() {
        *weight = random.next_signed_unit() * GAIN;
    }
    projection
});

/// The weights of the categories: a distribution, its sum is 1.
pub(crate) fn weights(bgr: &[u8]) -> [f32; CATEGORIES] {
    let mut scores = [0.0f32; CATEGORIES];
    for (feature, weights) in features(bgr).iter().zip(PROJECTION.iter()) {
        for (score, weight) in scores.iter_mut().zip(weights) {
            *score += feature * weight;
        }
    }
    softmax(scores)
}

/// The mean of each cell and colour, from -0.5 to 0.5.
fn features(bgr: &[u8]) -> [f32; FEATURES] {
    let mut features = [0.0; FEATURES];
    for (band, rows) in bgr.chunks_exact(ROW * CELL).enumerate() {
        let mut sums = [0u16; ROW];
        // Four rows at a time: most of the work is to read and write the sums.
        for four in rows.chunks_exact(4 * ROW) {
            let (upper, lower) = four.split_at(2 * ROW);
            let ((a, b), (c, d)) = (upper.split_at(ROW), lower.split_at(ROW));
            for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *sum += u16::from(*a) + u16::from(*b) + u16::from(*c) + u16::from(*d);
            }
        }
        for (cell, pixels) in sums.chunks_exact(CELL * CHANNELS).enumerate() {
            for channel in 0..CHANNELS {
                let total: u32 = pixels
                    .iter()
                    .skip(channel)
                    .step_by(CHANNELS)
                    .map(|&sum| u32::from(sum))
                    .sum();
                let mean = total as f32 / (CELL * CELL) as f32 / 255.0;
                features[(band * CELLS + cell) * CHANNELS + channel] = mean - 0.5;
            }
        }
    }
    features
}

fn softmax(scores: [f32; CATEGORIES]) -> [f32; CATEGORIES] {
    let highest = scores.iter().copied().fold(f32::MIN, f32::max);
    let exponentials = scores.map(|score| (score - highest).exp());
    let sum: f32 = exponentials.iter().sum();
    exponentials.map(|value| value / sum)
}

/// The Shannon entropy of the weights in nats: up to ln 6, about 1.79.
pub(crate) fn entropy(weights: &[f32; CATEGORIES]) -> f32 {
    weights
        .iter()
        .filter(|weight| **weight > 0.0)
        .map(|weight| -weight * weight.ln())
        .sum()
}

/// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014):
/// kept here because the weights must never change with a dependency's version.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next_signed_unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Vec<u8> {
        (0..ROW * FRAME_SIDE)
            .map(|i| (i / CHANNELS % FRAME_SIDE / 2 + i % CHANNELS * 20 + i / ROW / 8) as u8)
            .collect()
    }

    /// Recorded scores of clients' tests must stay valid from version to version.
    #[test]
    fn weights_never_change() {
        let weights = weights(&picture());
        let expected = [
            0.06499255,
            0.019609889,
            0.008262663,
            0.6682693,
            0.10658187,
            0.13228376,
        ];
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-5, "{weights:?}");
        }
    }

    #[test]
    fn weights_are_a_distribution_even_for_extreme_pictures() {
        for picture in [
            vec![0; ROW * FRAME_SIDE],
            vec![255; ROW * FRAME_SIDE],
            picture(),
        ] {
            let weights = weights(&picture);
            assert!(
                (weights.iter().sum::<f32>() - 1.0).abs() < 1e-5,
                "{weights:?}"
            );
            assert!(
                weights.iter().all(|weight| (0.0..=1.0).contains(weight)),
                "{weights:?}"
            );
            assert!((0.0..=6f32.ln()).contains(&entropy(&weights)));
        }
    }

    #[test]
    fn features_are_the_means_of_cells() {
        let mut picture = vec![0; ROW * FRAME_SIDE];
        // The red of the last cell.
        for y in FRAME_SIDE - CELL..FRAME_SIDE {
            for x in FRAME_SIDE - CELL..FRAME_SIDE {
                picture[y * ROW + x * CHANNELS + 2] = 255;
            }
        }
        let features = features(&picture);
        assert_eq!(features[FEATURES - 1], 0.5);
        assert!(
            features[..FEATURES - 1]
                .iter()
                .all(|feature| *feature == -0.5)
        );
    }
}
