//! Pictures of few colours: indices in place of pixels, several of them in one where they are small.

use super::{Picture, bits::BitWriter, tokens};
use crate::Frame;

/// Colours that an index can tell apart.
const MOST: usize = 256;

/// Slots of the table in which colours are looked up, four for each that it may hold.
const SLOTS_BITS: u32 = 10;

/// The colours of a picture, in order.
#[derive(Debug)]
pub(super) struct Palette {
    colours: Vec<u32>,
    indices: Vec<u8>,
}

impl Palette {
    /// The palette of a frame, if it has few enough colours.
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        let pixels = frame.data().as_chunks::<3>().0;
        let mut slots = [(0, 0); 1 << SLOTS_BITS];
        let mut colours = Vec::with_capacity(MOST);
        let mut indices = Vec::with_capacity(pixels.len());
        let mut last = (0, 0);
        for &[blue, green, red] in pixels {
            let colour = u32::from_le_bytes([blue, green, red, 255]);
            if colour != last.0 {
                let mut slot = (colour.wrapping_mul(0x9E37_79B1) >> (32 - SLOTS_BITS)) as usize;
                // Slots that were never used hold zero, which is no opaque colour.
                while slots[slot].0 != colour {
                    if slots[slot].0 == 0 {
                        if colours.len() == MOST {
                            return None;
                        }
                        slots[slot] = (colour, colours.len() as u8);
                        colours.push(colour);
                    } else {
                        slot = (slot + 1) % slots.len();
                    }
                }
                last = slots[slot];
            }
            indices.push(last.1);
        }
        Some(Self { colours, indices }.sorted())
    }

    /// With like colours next to each other, so that their differences are small.
    fn sorted(mut self) -> Self {
        let mut order: Vec<u8> = (0..=(self.colours.len() - 1) as u8).collect();
        order.sort_unstable_by_key(|i| self.colours[usize::from(*i)]);
        let mut number = [0; MOST];
        for (new, old) in (0..=255).zip(&order) {
            number[usize::from(*old)] = new;
        }
        for index in &mut self.indices {
            *index = number[usize::from(*index)];
        }
        self.colours.sort_unstable();
        self
    }

    /// The number of each pixel's colour.
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
        let before = std::iter::once(&0).chain(&self.colours);
        let differences = self.colours.iter().zip(before).map(|(colour, before)| {
            let [a, b] = [colour, before].map(|colour| colour.to_le_bytes());
            u32::from_le_bytes(std::array::from_fn(|c| a[c].wrapping_sub(b[c])))
        });
        tokens::write_small(differences.collect(), self.colours.len(), out);
    }

    /// The picture of indices.
    pub(super) fn pack(&self, width: usize) -> Picture {
        let bits = match self.colours.len() {
            0..=2 => 1,
            3..=4 => 2,
            5..=16 => 4,
            _ => 8,
        };
        let together = 8 / bits;
        let height = self.indices.len() / width;
        let mut picture = Picture::new(width.div_ceil(together), height);
        let out = picture.pixels.chunks_exact_mut(width.div_ceil(together));
        for (row, out) in self.indices.chunks(width).zip(out) {
            for (indices, out) in row.chunks(together).zip(out) {
                let pack = |packed, index: &u8| packed << bits | u32::from(*index);
                *out = indices.iter().rev().fold(0, pack) << 8;
            }
        }
        picture
    }
}
