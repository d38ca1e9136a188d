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
    bits.put(0x2F, 8);
    bits.put(width - 1, 14);
    bits.put(height - 1, 14);
    // No alpha, version 0; no transform, no colour cache, no meta codes.
    bits.put(0, 1 + 3 + 1 + 1 + 1);
    for _ in 0..5 {
        // A simple code of one symbol of one bit: 0.
        bits.put(0b0001, 4);
    }
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
}

impl Bits {
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

fn frame(data: &[u8]) -> Vec<u8> {
    // At the corner, of one pixel, for a millisecond; composed and kept.
    let head = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    chunk(b"ANMF", &[&head, data].concat())
}

pub(super) fn files(scale: Scale) -> Vec<File> {
    let Scale { flood, side } = scale;
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
            animation(10, &frame(&pixel).repeat(40_000 * flood)),
        ),
        file(
            "frames of one pixel on a large canvas",
            animation(side.into(), &frame(&pixel).repeat(1000)),
        ),
        file("frames with chunks of nothing", {
            let parts = [&chunk(b"junk", b"").repeat(300_000 * flood), &pixel[..]].concat();
            animation(10, &frame(&parts))
        }),
        file("one colour, lossless", {
            let image = chunk(b"VP8L", &lossless(side.into(), side.into()));
            riff(&[image, chunk(b"junk", &[0; 16])].concat())
        }),
        #[cfg(feature = "native")]
        file("one colour, lossy", lossy(side.into(), side.into())),
    ]
}
