//! Pictures of few colours: indices in place of pixels, several of them in one where they are small.

use super::{bits::BitWriter, finder::common, picture::Picture, tokens};
use crate::Frame;

/// Colours that an index can tell apart.
pub(super) const MOST: usize = 256;
/// Colours whose indices are so small that several make one pixel.
const FEW: usize = 16;

/// Pixels that are compared at once with those before them.
const STEP: usize = 8;

/// Colours as they turn up, each with its index.
pub(super) struct Table {
    most: usize,
    /// Slots that were never used hold zero, which is not an opaque colour.
    slots: [(u32, u8); 1 << Self::BITS],
    colours: Vec<u32>,
}

impl Table {
    /// Sixteen slots for each colour, so that nearly all are in the one where they are looked for first.
    const BITS: u32 = 12;

    /// Room for so many colours.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            slots: [(0, 0); 1 << Self::BITS],
            colours: Vec::with_capacity(most),
        }
    }

    /// The index of a pixel's colour; none where there are too many.
    #[inline(always)]
    pub(super) fn index(&mut self, [blue, green, red]: [u8; 3]) -> Option<u8> {
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
        if self.colours.len() == self.most {
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
        Self::of_at_most(MOST, frame)
    }

    /// The palette of a frame that has so few colours that several indices make one pixel.
    pub(super) fn of_few(frame: &Frame) -> Option<Self> {
        Self::of_at_most(FEW, frame)
    }

    fn of_at_most(most: usize, frame: &Frame) -> Option<Self> {
        let mut table = Table::new(most);
        let (bytes, pixels) = (frame.data(), frame.data().as_chunks::<3>().0);
        let mut indices = Vec::with_capacity(pixels.len());
        let mut last = 0;
        while let Some(step) = bytes[indices.len() * 3..].first_chunk::<{ STEP * 3 }>() {
            let at = indices.len();
            // In drawings most pixels are like the one before.
            if at > 0 && bytes[at * 3 - 3..].first_chunk() == Some(step) {
                let alike = common(&bytes[at * 3 - 3..], &bytes[at * 3..]) / 3;
                indices.resize(at + alike, last);
                continue;
            }
            let mut places = [0; STEP];
            for (pixel, place) in step.as_chunks::<3>().0.iter().zip(&mut places) {
                last = table.index(*pixel)?;
                *place = last;
            }
            indices.extend_from_slice(&places);
        }
        for pixel in &pixels[indices.len()..] {
            indices.push(table.index(*pixel)?);
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
        match self.colours.len() {
            0..=2 => self.pack_by::<8>(width),
            3..=4 => self.pack_by::<4>(width),
            5..=FEW => self.pack_by::<2>(width),
            _ => self.pack_by::<1>(width),
        }
    }

    /// The same of so many indices in one.
    fn pack_by<const TOGETHER: usize>(&self, width: usize) -> Picture<1> {
        // Those in no order are packed first, so that one look-up puts several in order.
        let in_order: [u8; MOST] = std::array::from_fn(|packed| {
            let indices = unpack::<TOGETHER>(packed as u8);
            pack(&indices.map(|index| self.numbers[usize::from(index)]))
        });
        let packed_width = width.div_ceil(TOGETHER);
        let mut picture = Picture::new(packed_width, self.indices.len() / width);
        let rows = picture.pixels_mut().chunks_exact_mut(packed_width);
        for (row, out) in self.indices.chunks(width).zip(rows) {
            let (whole, rest) = row.as_chunks::<TOGETHER>();
            for (indices, [out]) in whole.iter().zip(&mut *out) {
                *out = in_order[usize::from(pack(indices))];
            }
            if let [_, ..] = rest {
                let mut numbers = [0; TOGETHER];
                for (number, index) in numbers.iter_mut().zip(rest) {
                    *number = self.numbers[usize::from(*index)];
                }
                out[whole.len()] = [pack(&numbers)];
            }
        }
        picture
    }
}

/// Several numbers in one byte, the first one in its lowest bits.
#[inline(always)]
fn pack<const TOGETHER: usize>(numbers: &[u8; TOGETHER]) -> u8 {
    let bits = 8 / TOGETHER as u32;
    let add = |packed: u8, number: &u8| packed.unbounded_shl(bits) | number;
    numbers.iter().rev().fold(0, add)
}

/// The numbers that were packed.
fn unpack<const TOGETHER: usize>(packed: u8) -> [u8; TOGETHER] {
    let bits = 8 / TOGETHER;
    std::array::from_fn(|i| packed >> (i * bits) & (u8::MAX >> (8 - bits)))
}
