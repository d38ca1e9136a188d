//! What kind of picture this is, as far as some of its rows tell.

use super::{
    WebpEffort,
    histogram::{ONE_BIT, n_log_n},
    palette::{MOST, Table},
};
use crate::Frame;

/// One row in so many is looked at.
const STEP: usize = 16;

/// What was seen in some rows.
#[derive(Debug)]
pub(super) struct Survey {
    /// Pixels that were looked at.
    pixels: u32,
    /// Those that are the same as their left neighbour or the one above.
    flat: u32,
    /// Those that begin four pixels that were in the picture before, other than in a row.
    repeated: u32,
    /// Bits that the pixels that are not flat take as they are.
    plain: u64,
    /// The same as indices of a palette, if there are few enough colours for one.
    indexed: Option<u64>,
    /// Bits that pixels take as what prediction leaves of them, where it leaves something.
    predicted: u64,
}

impl Survey {
    /// Looks at a frame.
    pub(super) fn of(frame: &Frame) -> Self {
        let (mut pixels, mut flat) = (0, 0);
        let mut repeated = Repeated::new();
        let mut plain = [[0; 256]; 3];
        let mut colours = Some((Table::new(MOST), [0; MOST]));
        let mut predicted = [[0; 256]; 3];
        for y in (STEP / 2..frame.height() as usize).step_by(STEP) {
            let row = frame.row(y).as_chunks::<3>().0;
            let above = frame.row(y - 1).as_chunks::<3>().0;
            for x in 1..row.len() {
                let (pixel, left, top, top_left) = (row[x], row[x - 1], above[x], above[x - 1]);
                if (pixel == left && top == top_left) || (pixel == top && left == top_left) {
                    // Prediction leaves nothing.
                    flat += 1;
                    continue;
                }
                if pixel == left || pixel == top {
                    flat += 1;
                } else {
                    count(&mut plain, pixel);
                    if let Some((table, counts)) = &mut colours {
                        match table.index(pixel) {
                            Some(index) => counts[usize::from(index)] += 1,
                            None => colours = None,
                        }
                    }
                }
                let [blue, green, red] = left_over(pixel, left, top, top_left);
                if [blue, green, red] != [0; 3] {
                    count(
                        &mut predicted,
                        [blue.wrapping_sub(green), green, red.wrapping_sub(green)],
                    );
                }
            }
            pixels += row.len() as u32 - 1;
            repeated.look(row);
        }
        Self {
            pixels,
            flat,
            repeated: repeated.found,
            plain: plain.iter().map(bits).sum(),
            indexed: colours.map(|(_, counts)| bits(&counts)),
            predicted: predicted.iter().map(bits).sum(),
        }
    }

    /// The same of a frame that has turned out to have too many colours for a palette.
    pub(super) fn without_palette(self) -> Self {
        Self {
            indexed: None,
            ..self
        }
    }

    /// Whether runs and repetitions are worth a search, which takes longer than all else.
    pub(super) fn has_copies(&self, effort: WebpEffort) -> bool {
        // Photographs have up to two fifths of flat pixels where they are black or white, and next to no repetitions; of
        // grey photographs, which have few colours, more happens to be the same.
        if self.indexed.is_some() {
            return self.flat * 5 > self.pixels * 4;
        }
        // Where a third is flat, the search saves one to four bytes in a hundred.
        let is_flat = match effort {
            WebpEffort::Small => self.flat * 4 > self.pixels,
            WebpEffort::Fastest | WebpEffort::Default => self.flat * 20 > self.pixels * 7,
        };
        is_flat || self.repeats(10)
    }

    /// Whether so much is flat or repeated that copies are worth more than groups of tiles.
    pub(super) fn favours_copies(&self) -> bool {
        self.flat * 5 > self.pixels * 3 || self.repeats(30)
    }

    /// Whether indices take fewer bits than prediction leaves, should the whole frame have few enough colours.
    pub(super) fn favours_palette(&self) -> bool {
        // Indices of smooth pictures are repeated more often than this tells.
        let indexed = |bits| bits * 15 <= self.predicted * 16 || self.repeats(2);
        self.indexed.is_some_and(indexed)
    }

    /// Whether pixels take fewer bits as they are than prediction leaves.
    pub(super) fn favours_plain(&self) -> bool {
        self.indexed.is_none()
            && (self.plain * 10 < self.predicted * 9 || self.repeated * 5 > self.pixels * 2)
    }

    /// Whether pixels may take fewer bits as they are than prediction leaves, when more is tried and copied.
    pub(super) fn may_favour_plain(&self) -> bool {
        self.indexed.is_none() && self.plain > 0 && self.repeats(25)
    }

    /// Whether prediction may leave fewer bits than pixels or indices take, when more is tried and copied.
    pub(super) fn may_favour_prediction(&self) -> bool {
        match self.indexed {
            Some(bits) => bits * 10 > self.predicted * 9,
            None => self.plain * 10 > self.predicted * 6 && self.repeated * 5 < self.pixels * 2,
        }
    }

    /// Whether more than one pixel in `n` is repeated.
    fn repeats(&self, n: u32) -> bool {
        self.repeated > self.pixels / n
    }
}

/// Finds groups of four pixels that come again.
struct Repeated {
    seen: Vec<u32>,
    found: u32,
}

impl Repeated {
    const BITS: u32 = 12;

    fn new() -> Self {
        Self {
            seen: vec![0; 1 << Self::BITS],
            found: 0,
        }
    }

    fn look(&mut self, row: &[[u8; 3]]) {
        for four in row.windows(4).filter(|four| four[0] != four[1]) {
            let hash = four
                .as_flattened()
                .as_chunks::<4>()
                .0
                .iter()
                .fold(0_u32, |hash, bytes| {
                    (hash.rotate_left(11) ^ u32::from_le_bytes(*bytes)).wrapping_mul(0x9E37_79B1)
                });
            let slot = &mut self.seen[(hash >> (32 - Self::BITS)) as usize];
            self.found += u32::from(*slot == hash);
            *slot = hash;
        }
    }
}

/// What the gradient predictor leaves.
fn left_over(pixel: [u8; 3], left: [u8; 3], top: [u8; 3], top_left: [u8; 3]) -> [u8; 3] {
    std::array::from_fn(|c| {
        let predicted = left[c]
            .saturating_add(top[c].saturating_sub(top_left[c]))
            .saturating_sub(top_left[c].saturating_sub(top[c]));
        pixel[c].wrapping_sub(predicted)
    })
}

fn count(counts: &mut [[u32; 256]; 3], pixel: [u8; 3]) {
    for (counts, value) in counts.iter_mut().zip(pixel) {
        counts[usize::from(value)] += 1;
    }
}

/// Shannon's bound.
fn bits(counts: &[u32; 256]) -> u64 {
    let each: u64 = counts.iter().map(|count| n_log_n(*count)).sum();
    n_log_n(counts.iter().sum()).saturating_sub(each) / ONE_BIT
}
