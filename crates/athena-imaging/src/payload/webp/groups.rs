//! Entropy groups: tiles that are about equally hard to predict share their codes.

use super::{
    bits::BitWriter,
    histogram::{Histogram, ONE_BIT, log2, n_log_n},
    picture::Picture,
    prefix::{self, PrefixCode},
    tokens,
};

/// Bins of tiles, before they are joined to groups.
pub(super) const BINS: u32 = 16;

/// What an entropy group more should save: about what its codes take that is not counted, and the time of decoders, which
/// make tables of them and find those in their caches less often.
pub(super) const WORTH_A_GROUP: u64 = 150 * ONE_BIT;

/// What a tile takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Some measure of all of it.
    pub(super) sum: u32,
    /// Whether there is anything but green in it: where there is not, red and blue take no bits in a group of their own.
    pub(super) coloured: bool,
}

/// The tiles of a picture, each with the number of its bin or group.
#[derive(Debug)]
pub(super) struct Tiles {
    pub(super) bits: u32,
    pub(super) columns: usize,
    pub(super) group: Vec<u8>,
    pub(super) groups: usize,
}

impl Tiles {
    /// Puts tiles in bins by some measure of their cost: in so many, and as many more for tiles without colour.
    pub(super) fn by_cost(bits: u32, columns: usize, costs: &[Cost], bins: u32) -> Self {
        let logarithms = || costs.iter().map(|cost| log2(cost.sum + 1));
        let least = logarithms().min().unwrap_or(0);
        let most = logarithms().max().unwrap_or(0);
        // Of sixteen bins, each is a third of an octave, or more where that would be too many.
        let step = ((most - least) / bins + 1).max(256 / 3 * 16 / bins);
        let group = costs
            .iter()
            .map(|cost| ((log2(cost.sum + 1) - least) / step) as u8 + u8::from(cost.coloured) * 128)
            .collect();
        let mut tiles = Self {
            bits,
            columns,
            group,
            groups: 0,
        };
        tiles.renumber();
        tiles
    }

    /// One tile, of one group.
    pub(super) fn one() -> Self {
        Self {
            bits: 0,
            columns: 1,
            group: vec![0],
            groups: 1,
        }
    }

    /// Numbers the groups that have tiles without gaps.
    pub(super) fn renumber(&mut self) {
        let mut number = [None; 256];
        for group in &self.group {
            number[usize::from(*group)] = Some(0);
        }
        let mut groups = 0;
        for number in number.iter_mut().flatten() {
            *number = groups;
            groups += 1;
        }
        for group in &mut self.group {
            *group = number[usize::from(*group)].unwrap_or(0);
        }
        self.groups = groups.into();
    }

    /// Joins neighbouring groups as long as that saves bits; `histograms` are theirs.
    pub(super) fn join(&mut self, histograms: &mut Vec<Histogram>) {
        let mut tiles = vec![0; self.groups];
        for group in &self.group {
            tiles[usize::from(*group)] += 1;
        }
        let mut costs: Vec<u64> = histograms.iter().map(Histogram::cost).collect();
        let mut number: Vec<u8> = (0..self.groups as u8).collect();
        let mut joint: Vec<u64> = histograms
            .windows(2)
            .map(|pair| pair[0].cost_with(&pair[1]))
            .collect();
        loop {
            // Half of what the tiles' groups would take, were each written without regard to its neighbours.
            let told = |i: usize| {
                (n_log_n(tiles[i] + tiles[i + 1]) - n_log_n(tiles[i]) - n_log_n(tiles[i + 1])) / 2
            };
            let saving = |i: usize| {
                (costs[i] + costs[i + 1] + told(i) + WORTH_A_GROUP).checked_sub(joint[i])
            };
            let best = (0..joint.len())
                .filter_map(|i| Some((saving(i)?, i)))
                .max_by_key(|(saving, i)| (*saving, usize::MAX - i));
            let Some((_, i)) = best else { break };
            let gone = histograms.remove(i + 1);
            histograms[i].add(&gone);
            tiles[i] += tiles.remove(i + 1);
            costs.remove(i + 1);
            costs[i] = joint.remove(i);
            if i < joint.len() {
                joint[i] = histograms[i].cost_with(&histograms[i + 1]);
            }
            if i > 0 {
                joint[i - 1] = histograms[i - 1].cost_with(&histograms[i]);
            }
            for number in &mut number {
                *number -= u8::from(usize::from(*number) > i);
            }
        }
        for group in &mut self.group {
            *group = number[usize::from(*group)];
        }
        self.groups = histograms.len();
    }

    /// Writes which tile is in which group.
    pub(super) fn write(&self, out: &mut BitWriter) {
        out.put(u8::from(self.groups > 1), 1);
        if self.groups > 1 {
            out.put(self.bits - 2, 3);
            let groups = self.group.as_chunks().0;
            tokens::write_small::<1>(&Picture::of(groups, self.columns), out);
        }
    }
}

/// Entropy groups and their codes, as they are told.
pub(super) struct Told {
    pub(super) tiles: Tiles,
    pub(super) codes: Vec<Codes>,
    head: BitWriter,
    /// Bits of the groups, the codes and the symbols, but for those that follow prefixes.
    pub(super) bits: u64,
}

impl Told {
    pub(super) fn of(tiles: Tiles, histograms: &[Histogram]) -> Self {
        let mut head = BitWriter::after(&[], 1 << 12);
        tiles.write(&mut head);
        let mut symbols = 0;
        let codes = histograms
            .iter()
            .map(|histogram| {
                let codes = Codes::write(histogram, &mut head);
                symbols += codes.bits_of(histogram);
                codes
            })
            .collect();
        Self {
            tiles,
            codes,
            bits: head.len() + symbols,
            head,
        }
    }

    /// Writes it, and returns the groups and their codes.
    pub(super) fn write(self, out: &mut BitWriter) -> (Tiles, Vec<Codes>) {
        out.append(self.head);
        (self.tiles, self.codes)
    }
}

/// The codes of a group.
#[derive(Debug)]
pub(super) struct Codes {
    pub(super) green: PrefixCode,
    pub(super) red: PrefixCode,
    pub(super) blue: PrefixCode,
    pub(super) alpha: PrefixCode,
    pub(super) distance: PrefixCode,
}

impl Codes {
    /// Writes the codes for symbols that occur so often.
    pub(super) fn write(histogram: &Histogram, out: &mut BitWriter) -> Self {
        let green = prefix::write(&histogram.green, out);
        let red = prefix::write(&histogram.red, out);
        let blue = prefix::write(&histogram.blue, out);
        let alpha = prefix::write(&histogram.alpha, out);
        let distance = prefix::write(&histogram.distance, out);
        Self {
            green,
            red,
            blue,
            alpha,
            distance,
        }
    }

    /// Bits of symbols that occur so often; alpha takes none where there are groups to choose from.
    fn bits_of(&self, histogram: &Histogram) -> u64 {
        self.green.bits_of(&histogram.green)
            + self.red.bits_of(&histogram.red)
            + self.blue.bits_of(&histogram.blue)
            + self.distance.bits_of(&histogram.distance)
    }
}
