//! WebP: chunks, frames, and pixels that cost next to no bytes.

use super::{File, Scale, file};

fn riff(chunks: &[u8]) -> Vec<u8> {
    let len = (chunks.len() as u32 + 4).to_le_bytes();
    [b"RIFF", &len[..], b"WEBP", chunks].concat()
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u32).to_le_bytes();
    let padding = vec![0; data.len() % 2];
    [name, &len[..], data, &padding].concat()
}

/// The header of an extended file: animated, with or without alpha and EXIF.
fn extended(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let side = |side: u32| (side - 1).to_le_bytes();
    chunk(
        b"VP8X",
        &[&[flags, 0, 0, 0], &side(width)[..3], &side(height)[..3]].concat(),
    )
}

const ANIMATED: u8 = 2;
const EXIF: u8 = 8;
const ALPHA: u8 = 16;

/// A bitmap of one colour, without a container: five codes of one symbol each.
fn lossless(width: u32, height: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.lossless_header(width, height);
    // No transform, no colour cache, no groups.
    bits.put(0, 1 + 1 + 1);
    (0..5).for_each(|_| bits.only_zero());
    bits.bytes
}

/// Names as many groups of prefix codes as it can, up to 65,536; the tables of each take 14 KB. Then it ends.
fn groups(bits: &mut Bits, width: u32, height: u32) {
    const CACHE_BITS: u32 = 11;
    // No transform; a colour cache; a group for each tile of 4 x 4.
    bits.put(0, 1);
    bits.put(1 | CACHE_BITS << 1, 1 + 4);
    bits.put(1, 1 + 3);
    // The image of tiles: no colour cache; green and red of 8 bits each, no blue, no alpha, no distances.
    bits.put(0, 1);
    bits.same_lengths(8);
    bits.same_lengths(8);
    (0..3).for_each(|_| bits.only_zero());
    let tiles = (width / 4) * (height / 4);
    for group in 0..tiles {
        // Green, then red; the highest bit of a code first.
        bits.put((group as u8).reverse_bits().into(), 8);
        bits.put(((group >> 8) as u8).reverse_bits().into(), 8);
    }
    for _ in 0..tiles.min(1 << 16) {
        bits.same_lengths(CACHE_BITS);
        (0..4).for_each(|_| bits.only_zero());
    }
}

/// Names the last group of all, so that libwebp reads the codes of those before it, which nobody uses.
fn unused_groups(bits: &mut Bits) {
    bits.put(0, 1);
    bits.put(1 | 11 << 1, 1 + 4);
    bits.put(1, 1 + 3);
    bits.put(0, 1);
    // One colour of red and green 255.
    for symbol in [255, 255, 0, 0, 0] {
        bits.only(symbol);
    }
    for _ in 0..1 << 16 {
        bits.same_lengths(11);
        (0..3).for_each(|_| bits.same_lengths(8));
        bits.only_zero();
    }
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
}

impl Bits {
    /// Without alpha, version 0.
    fn lossless_header(&mut self, width: u32, height: u32) {
        self.put(0x2F, 8);
        self.put(width - 1, 14);
        self.put(height - 1, 14);
        self.put(0, 1 + 3);
    }

    /// A code of one symbol, 0.
    fn only_zero(&mut self) {
        self.put(0b0001, 4);
    }

    /// A code of one symbol of 8 bits.
    fn only(&mut self, symbol: u32) {
        self.put(0b101, 3);
        self.put(symbol, 8);
    }

    /// A code whose first symbols, as many as there are codes of `len` bits, have these: 8 or 11.
    fn same_lengths(&mut self, len: u32) {
        const ORDER: [u32; 15] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11];
        // Code lengths have a code of one symbol, which takes no bits.
        self.put(0, 1);
        self.put(15 - 4, 4);
        ORDER
            .iter()
            .for_each(|symbol| self.put(u32::from(*symbol == len), 3));
        // So many code lengths follow: a number of 12 bits, to which two are added.
        self.put(1 | 5 << 1, 1 + 3);
        self.put((1 << len) - 2, 12);
    }

    fn put(&mut self, value: u32, count: u32) {
        for nth in 0..count {
            if self.held.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte");
            *last |= ((value >> nth & 1) as u8) << (self.held % 8);
            self.held += 1;
        }
    }
}

#[cfg(feature = "native")]
fn lossy(width: i32, height: i32) -> Vec<u8> {
    let pixels = vec![90; width as usize * height as usize * 3];
    let mut out = std::ptr::null_mut();
    // SAFETY: the pixels are there; libwebp's buffer is copied, then freed.
    unsafe {
        let len =
            libwebp_sys::WebPEncodeBGR(pixels.as_ptr(), width, height, width * 3, 1.0, &mut out);
        let bytes = std::slice::from_raw_parts(out, len).to_vec();
        libwebp_sys::WebPFree(out.cast());
        bytes
    }
}

/// A frame at the corner of a canvas, for a millisecond; composed and kept.
fn frame(side: u32, data: &[u8]) -> Vec<u8> {
    let side = (side - 1).to_le_bytes();
    let head = [&[0; 6], &side[..3], &side[..3], &[1, 0, 0, 0]].concat();
    chunk(b"ANMF", &[&head, data].concat())
}

/// A lossy image with lossless alpha that names groups.
#[cfg(feature = "native")]
fn groups_of_alpha(side: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // A header of 8 bits: compressed, no filter.
    bits.put(1, 8);
    groups(&mut bits, side, side);
    let lossy = lossy(side as i32, side as i32);
    [&chunk(b"ALPH", &bits.bytes), &lossy[12..]].concat()
}

pub(super) fn files(scale: Scale) -> Vec<File> {
    let Scale { flood, side } = scale;
    // 4 x 4 pixels for each group: 16,384 or all 65,536 that there may be.
    let tiled: u32 = if flood == 1 { 512 } else { 1024 };
    let groups = {
        let mut bits = Bits::default();
        bits.lossless_header(tiled, tiled);
        groups(&mut bits, tiled, tiled);
        chunk(b"VP8L", &bits.bytes)
    };
    let pixel = chunk(b"VP8L", &lossless(1, 1));
    let animation = |side, frames: &[u8]| {
        let control = chunk(b"ANIM", &[0; 6]);
        riff(
            &[
                &extended(ANIMATED | ALPHA, side, side),
                &control[..],
                frames,
            ]
            .concat(),
        )
    };
    let still = |flags, chunks: &[u8]| riff(&[&extended(flags, 1, 1), &pixel[..], chunks].concat());
    vec![
        file(
            "chunks of nothing",
            still(0, &chunk(b"junk", b"").repeat(300_000 * flood)),
        ),
        file(
            "EXIF chunks",
            still(EXIF, &chunk(b"EXIF", b"").repeat(300_000 * flood)),
        ),
        file(
            "frames of one pixel",
            animation(10, &frame(1, &pixel).repeat(40_000 * flood)),
        ),
        file(
            "frames of one pixel on a large canvas",
            animation(side.into(), &frame(1, &pixel).repeat(1000)),
        ),
        file("frames with chunks of nothing", {
            let parts = [&chunk(b"junk", b"").repeat(300_000 * flood), &pixel[..]].concat();
            animation(10, &frame(1, &parts))
        }),
        file("groups of prefix codes", riff(&groups)),
        file(
            "groups of prefix codes in frames",
            animation(tiled, &frame(tiled, &groups).repeat(4)),
        ),
        #[cfg(feature = "native")]
        file("groups of prefix codes of alpha", {
            let image = groups_of_alpha(tiled);
            riff(&[extended(ALPHA, tiled, tiled), image].concat())
        }),
        #[cfg(feature = "native")]
        file("groups of prefix codes of alpha in frames", {
            animation(tiled, &frame(tiled, &groups_of_alpha(tiled)).repeat(4))
        }),
        file("groups of prefix codes that are not used", {
            let mut bits = Bits::default();
            bits.lossless_header(4, 4);
            unused_groups(&mut bits);
            riff(&chunk(b"VP8L", &bits.bytes))
        }),
        file("one colour, lossless", {
            let image = chunk(b"VP8L", &lossless(side.into(), side.into()));
            riff(&[image, chunk(b"junk", &[0; 16])].concat())
        }),
        #[cfg(feature = "native")]
        file("one colour, lossy", lossy(side.into(), side.into())),
    ]
}
