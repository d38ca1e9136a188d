//! What libwebp will allocate for a lossless image (VP8L) beside its pixels.
//!
//! An image may name up to 65,536 groups of five prefix codes, and libwebp makes room for the tables of all of them: up to
//! 1.3 GB for a file of 200 kB. How many there are is told by an image of its own, in front of the pixels and behind the
//! transforms' images; so these are read here, as libwebp reads them. What is refused here is refused there.

mod bits;
mod pixels;
mod prefix;

use bits::Bits;

use super::broken;
use crate::{Budget, ImageError};

/// Colour caches have up to 2048 colours.
const MOST_CACHE_BITS: u32 = 11;
/// Symbols of green, which also tells lengths of copies and, on top of these, cached colours; red, blue, alpha; distances.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];

/// Entries of libwebp's tables for a group, by the bits of its colour cache (`kTableSize` in its vp8l_dec.c): 630 each for
/// red, blue and alpha, 410 for distances, and what green may take.
const ENTRIES: [u64; MOST_CACHE_BITS as usize + 1] = {
    const FIXED: u64 = 3 * 630 + 410;
    let green = [
        654, 656, 658, 662, 670, 686, 718, 782, 912, 1168, 1680, 2704,
    ];
    let mut entries = [0; MOST_CACHE_BITS as usize + 1];
    let mut bits = 0;
    while bits < entries.len() {
        entries[bits] = FIXED + green[bits];
        bits += 1;
    }
    entries
};
const BYTES_OF_ENTRY: u64 = 4;
/// libwebp's `HTreeGroup`: pointers to five tables, four flags and 64 packed entries of 8 bytes.
const BYTES_OF_GROUP: u64 = 5 * 8 + 4 * 4 + 64 * 8;
/// More groups than these are counted anew: libwebp keeps only those that are used.
const GROUPS_KEPT_UNUSED: usize = 1000;
const BYTES_OF_MAPPING: u64 = 4;
/// The shortest group: five codes of one symbol, below 2.
const BITS_OF_GROUP: usize = 5 * 4;
/// Work of a symbol of a group's alphabets, whose code's length is read, counted, sorted and entered.
const WORK_OF_SYMBOL: u64 = 4;

/// Pays for the prefix codes of an image whose bits begin at `position`; returns the bytes that libwebp holds for them and for
/// the small images in front of them.
pub(super) fn held(
    bytes: &[u8],
    position: usize,
    (width, height): (usize, usize),
    budget: &Budget<'_>,
) -> Result<u64, ImageError> {
    let mut bits = Bits::new(bytes, position);
    let (mut columns, mut seen, mut held) = (width, [false; 4], 0);
    while bits.flag() {
        let transform = bits.read(2);
        if std::mem::replace(&mut seen[transform], true) {
            return Err(broken());
        }
        match transform {
            // Predictors and cross-colour: a pixel for each tile.
            0 | 1 => held += 4 * tiles(columns, height, &mut bits, budget)?.len() as u64,
            2 => {}
            _ => {
                let colours = 1 + bits.read(8);
                pixels::read(colours, 1, &mut bits, budget)?;
                // Of few colours several pixels are packed into one.
                let packed = match colours {
                    1 | 2 => 8,
                    3 | 4 => 4,
                    5..=16 => 2,
                    _ => 1,
                };
                columns = columns.div_ceil(packed);
            }
        }
    }
    let cache_bits = cache_bits(&mut bits)?;
    let groups = if bits.flag() {
        let tiles = tiles(columns, height, &mut bits, budget)?;
        held += 4 * tiles.len() as u64;
        Groups::of(&tiles, columns * height)
    } else {
        Groups::ONE
    };
    if bits.are_exceeded() {
        return Err(broken());
    }
    let colours = cache_bits.map_or(0, |bits| 1 << bits);
    let symbols = ALPHABETS.iter().sum::<usize>() + colours;
    let readable = groups.read.min(bits.left() / BITS_OF_GROUP + 1);
    budget.charge(WORK_OF_SYMBOL * (readable * symbols) as u64)?;
    let entries = ENTRIES[cache_bits.unwrap_or(0) as usize];
    let group = BYTES_OF_ENTRY * entries + BYTES_OF_GROUP;
    Ok(held + group * groups.kept as u64 + BYTES_OF_MAPPING * groups.mapped as u64)
}

struct Groups {
    read: usize,
    kept: usize,
    mapped: usize,
}

impl Groups {
    const ONE: Self = Self {
        read: 1,
        kept: 1,
        mapped: 0,
    };

    /// Those that an image of them names in red and green.
    fn of(tiles: &[u32], pixels: usize) -> Self {
        let number = |tile: &u32| (tile >> 8 & 0xFFFF) as usize;
        let read = 1 + tiles.iter().map(number).max().unwrap_or(0);
        if read <= GROUPS_KEPT_UNUSED.min(pixels) {
            return Self {
                read,
                kept: read,
                mapped: 0,
            };
        }
        let mut used = vec![false; read];
        tiles.iter().for_each(|tile| used[number(tile)] = true);
        let kept = used.into_iter().filter(|used| *used).count();
        Self {
            read,
            kept,
            mapped: read,
        }
    }
}

/// An image with a pixel for each square tile of the whole.
fn tiles(
    width: usize,
    height: usize,
    bits: &mut Bits<'_>,
    budget: &Budget<'_>,
) -> Result<Vec<u32>, ImageError> {
    let side = 1 << (2 + bits.read(3));
    pixels::read(width.div_ceil(side), height.div_ceil(side), bits, budget)
}

/// The size of a colour cache, if there is one.
fn cache_bits(bits: &mut Bits<'_>) -> Result<Option<u32>, ImageError> {
    if !bits.flag() {
        return Ok(None);
    }
    let size = bits.read(4) as u32;
    match size {
        1..=MOST_CACHE_BITS => Ok(Some(size)),
        _ => Err(broken()),
    }
}
