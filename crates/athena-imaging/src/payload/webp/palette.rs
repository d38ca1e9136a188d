//! Pictures of few colours: indices in place of pixels, several of them in one where they are small.

use super::{bits::BitWriter, picture::Picture, tokens};
use crate::Frame;

/// Colours that an index can tell apart.
const MOST: usize = 256;

/// Pixels that are compared at once with those before them.
const STEP: usize = 8;

/// Colours as they turn up, each with its index.
struct Table {
    /// Slots that were never used hold zero, which is not an opaque colour.
    slots: [(u32, u8); 1 << Self::BITS],
    colours: Vec<u32>,
}

impl Table {
    /// Sixteen slots for each colour, so that nearly all are in the one where they are looked for first.
    const BITS: u32 = 12;

    fn new() -> Self {
        Self {
            slots: [(0, 0); 1 << Self::BITS],
            colours: Vec::with_capacity(MOST),
        }
    }

    /// The index of a pixel's colour; none where there are too many.
    #[inline(always)]
    fn index(&mut self, [blue, green, red]: [u8; 3]) -> Option<u8> {
        let colour = u32::from_le_bytes([blue, green, red, 255]);
        let slot = (colour.wrapping_mul(0x9E37_79B1) >> (32 - Self::BITS)) as usize;
        let (found, index) = self.slots[slot];
        if found == colour {
            return Some(index);
        }
        self.search(colour, slot)
    }

    #[cold]
    fn search(&mut self, colour: u32, mut slot: usize) -> Option<u8> {
        while self.slots[slot].0 != 0 {
            if self.slots[slot].0 == colour {
                return Some(self.slots[slot].1);
            }
            slot = (slot + 1) % self.slots.len();
        }
        if self.colours.len() == MOST {
            return None;
        }
        let index = self.colours.len() as u8;
        self.slots[slot] = (colour, index);
        self.colours.push(colour);
        Some(index)
    }
}

/// The colours of a picture.
#[derive(Debug)]
pub(super) struct Palette {
    /// Blue, green, red and alpha: like colours next to each other, so that their differences are small.
    colours: Vec<[u8; 4]>,
    /// The place in `colours` for each index.
    numbers: [u8; MOST],
    indices: Vec<u8>,
}

impl Palette {
    /// The palette of a frame, if it has few enough colours.
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        let mut table = Table::new();
        let mut indices = vec![0; frame.data().len() / 3];
        let mut last = 0;
        let (steps, rest) = frame.data().as_chunks::<{ STEP * 3 }>();
        let (places, places_of_rest) = indices.as_chunks_mut::<STEP>();
        for (i, (step, places)) in steps.iter().zip(places).enumerate() {
            // In drawings most pixels are like the one before.
            if i > 0 && frame.data()[i * STEP * 3 - 3..][..STEP * 3] == step[..] {
                places.fill(last);
                continue;
            }
            for (pixel, place) in step.as_chunks::<3>().0.iter().zip(places) {
                last = table.index(*pixel)?;
                *place = last;
            }
        }
        for (pixel, place) in rest.as_chunks::<3>().0.iter().zip(places_of_rest) {
            *place = table.index(*pixel)?;
        }
        let mut colours = table.colours;
        let mut order: Vec<u8> = (0..=(colours.len() - 1) as u8).collect();
        order.sort_unstable_by_key(|i| colours[usize::from(*i)]);
        let mut numbers = [0; MOST];
        for (number, index) in (0..=255).zip(&order) {
            numbers[usize::from(*index)] = number;
        }
        colours.sort_unstable();
        Some(Self {
            colours: colours.into_iter().map(u32::to_le_bytes).collect(),
            numbers,
            indices,
        })
    }

    /// The index of each pixel's colour, in no order.
    pub(super) fn indices(&self) -> &[u8] {
        &self.indices
    }

    /// Whether indices are so small that several make one pixel.
    pub(super) fn packs(&self) -> bool {
        self.colours.len() <= 16
    }

    /// Writes the colours.
    pub(super) fn write(&self, out: &mut BitWriter) {
        out.put(self.colours.len() as u32 - 1, 8);
        let before = std::iter::once(&[0; 4]).chain(&self.colours);
        let differences = self.colours.iter().zip(before);
        let differences: Vec<[u8; 4]> = differences
            .map(|(colour, before)| std::array::from_fn(|c| colour[c].wrapping_sub(before[c])))
            .collect();
        tokens::write_small(&Picture::of(&differences, self.colours.len()), out);
    }

    /// The picture of indices.
    pub(super) fn pack(&self, width: usize) -> Picture<1> {
        let bits = match self.colours.len() {
            0..=2 => 1_u32,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        let together = (8 / bits) as usize;
        let packed_width = width.div_ceil(together);
        let mut picture = Picture::new(packed_width, self.indices.len() / width);
        let rows = picture.pixels_mut().chunks_exact_mut(packed_width);
        for (row, out) in self.indices.chunks(width).zip(rows) {
            for (indices, [out]) in row.chunks(together).zip(out) {
                let pack = |packed: u8, index: &u8| {
                    packed.unbounded_shl(bits) | self.numbers[usize::from(*index)]
                };
                *out = indices.iter().rev().fold(0, pack);
            }
        }
        picture
    }
}
