//! How often symbols occur, and about how many bits they take.

/// Literal values, then prefixes of lengths.
pub(super) const GREEN_SYMBOLS: usize = 256 + 24;
/// Prefixes of distances.
pub(super) const DISTANCE_SYMBOLS: usize = 40;

/// Bits are counted in this fraction.
pub(super) const ONE_BIT: u64 = 1 << 8;

/// Counts of the symbols of one entropy group.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    pub(super) green: [u32; GREEN_SYMBOLS],
    pub(super) red: [u32; 256],
    pub(super) blue: [u32; 256],
    /// Without groups alone: elsewhere all pixels have the same.
    pub(super) alpha: [u32; 256],
    pub(super) distance: [u32; DISTANCE_SYMBOLS],
}

impl Histogram {
    /// Counts of nothing.
    pub(super) fn new() -> Self {
        Self {
            green: [0; GREEN_SYMBOLS],
            red: [0; 256],
            blue: [0; 256],
            alpha: [0; 256],
            distance: [0; DISTANCE_SYMBOLS],
        }
    }

    /// Counts pixels so often; wrapping, so that they can be taken off again.
    #[inline(always)]
    pub(super) fn count_literals<const BYTES: usize>(
        &mut self,
        pixels: &[[u8; BYTES]],
        times: u32,
    ) {
        let add = |count: &mut u32, times| *count = count.wrapping_add(times);
        // Nearly all pixels have the alpha of the one before: each would wait for the count that the last one wrote.
        let (mut alpha, mut same) = (0, 0);
        for pixel in pixels {
            match pixel[..] {
                [blue, green, red, a] => {
                    add(&mut self.green[usize::from(green)], times);
                    add(&mut self.red[usize::from(red)], times);
                    add(&mut self.blue[usize::from(blue)], times);
                    if a != alpha {
                        add(&mut self.alpha[usize::from(alpha)], same);
                        (alpha, same) = (a, 0);
                    }
                    add(&mut same, times);
                }
                _ => add(&mut self.green[usize::from(pixel[0])], times),
            }
        }
        add(&mut self.alpha[usize::from(alpha)], same);
    }

    /// Adds another's counts.
    pub(super) fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u32], counts: &[u32]| {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        };
        add(&mut self.green, &other.green);
        add(&mut self.red, &other.red);
        add(&mut self.blue, &other.blue);
        add(&mut self.distance, &other.distance);
    }

    /// The symbols' bits, and about those of their codes, in fractions of [`ONE_BIT`].
    pub(super) fn cost(&self) -> u64 {
        cost(&self.green) + cost(&self.red) + cost(&self.blue) + cost(&self.distance)
    }

    /// What [`cost`](Self::cost) would be of both together.
    pub(super) fn cost_with(&self, other: &Self) -> u64 {
        cost_of_both(&self.green, &other.green)
            + cost_of_both(&self.red, &other.red)
            + cost_of_both(&self.blue, &other.blue)
            + cost_of_both(&self.distance, &other.distance)
    }
}

fn cost(counts: &[u32]) -> u64 {
    cost_of(counts.iter().copied())
}

fn cost_of_both(a: &[u32], b: &[u32]) -> u64 {
    cost_of(a.iter().zip(b).map(|(a, b)| a + b))
}

/// About what prefix codes take for the symbols, and what it takes to tell the codes.
fn cost_of(counts: impl Iterator<Item = u32> + Clone) -> u64 {
    /// Of a code of one symbol or none.
    const LONE: u64 = 4 * ONE_BIT;
    /// Of codes in general, of each symbol used, and of each gap between those.
    const CODES: u64 = 30 * ONE_BIT;
    const USED: u64 = 3 * ONE_BIT;
    const GAP: u64 = 5 * ONE_BIT;
    // Many have none: red and blue of indices, and of what has no colour.
    let total: u32 = counts.clone().sum();
    if total == 0 {
        return LONE;
    }
    let (mut most, mut used, mut gaps, mut saved) = (0, 0, 0, 0);
    let mut last = true;
    for count in counts {
        most = most.max(count);
        used += u64::from(count > 0);
        gaps += u64::from(last && count == 0);
        last = count > 0;
        saved += n_log_n(count);
    }
    let symbols = if most > total / 2 {
        // The commonest symbol takes a bit, and not less as Shannon's bound would have it; the others one more.
        u64::from(total) * ONE_BIT + n_log_n(total - most) + n_log_n(most) - saved
    } else {
        n_log_n(total) - saved
    };
    match used {
        0 | 1 => LONE,
        2 => 12 * ONE_BIT + u64::from(total) * ONE_BIT,
        _ => CODES + used * USED + gaps * GAP + symbols,
    }
}

/// `n` times its logarithm to the base of two, in fractions of [`ONE_BIT`]. In integers: machines differ in logarithms.
pub(super) fn n_log_n(n: u32) -> u64 {
    u64::from(n) * u64::from(log2(n))
}

/// The logarithm to the base of two, in fractions of [`ONE_BIT`]; zero for zero.
pub(super) fn log2(n: u32) -> u32 {
    if n < 2 {
        return 0;
    }
    let whole = n.ilog2();
    // The first bit is implied, the eight after it look up the fraction.
    let mantissa = (n << (31 - whole)) >> 23 & 0xFF;
    whole << 8 | u32::from(FRACTION[mantissa as usize])
}

/// log2(1 + i / 256) * 256, rounded down.
static FRACTION: [u8; 256] = fractions();

const fn fractions() -> [u8; 256] {
    let mut fractions = [0; 256];
    let mut i = 0;
    while i < 256 {
        // Squaring doubles the logarithm: each time it passes two, that is a binary digit of it.
        let mut x: u64 = (256 + i as u64) << 22;
        let mut digits = 0;
        while digits < 8 {
            x = (x * x) >> 30;
            fractions[i] <<= 1;
            if x >= 2 << 30 {
                fractions[i] |= 1;
                x >>= 1;
            }
            digits += 1;
        }
        i += 1;
    }
    fractions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_the_last_place() {
        for n in (1..2_000).chain([65_535, 1 << 20, u32::MAX]) {
            let exact = f64::from(n).log2() * ONE_BIT as f64;
            let off = exact - f64::from(log2(n));
            assert!((-0.01..2.5).contains(&off), "log2({n}) is off by {off}");
        }
    }
}
