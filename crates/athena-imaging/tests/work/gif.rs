//! GIF: blocks, codes and frames.

use super::{File, Scale, file};

fn screen(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    bytes.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    bytes
}

fn image(left: u16, width: u16, height: u16, data: &[u8]) -> Vec<u8> {
    let place = [left, 0, width, height].map(u16::to_le_bytes).concat();
    [&[0x2C], &place[..], &[0], data].concat()
}

fn blocks(code_size: u8, data: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = vec![code_size];
    for block in data.chunks(len) {
        bytes.push(block.len() as u8);
        bytes.extend(block);
    }
    bytes.push(0);
    bytes
}

/// Clear, index 1, end: codes of three bits.
const PIXEL: [u8; 2] = [0b01_001_100, 0b1];

/// One code after the other, each for a string one pixel longer than the last.
fn growing_strings(pixels: usize) -> Vec<u8> {
    let (mut bytes, mut held, mut buffer) = (Vec::new(), 0, 0_u64);
    let mut put = |code: u64, bits: u32| {
        buffer |= code << held;
        held += bits;
        while held >= 8 {
            bytes.push(buffer as u8);
            buffer >>= 8;
            held -= 8;
        }
    };
    let mut left = pixels;
    while left > 0 {
        put(4, 3);
        put(1, 3);
        left -= 1;
        let (mut next, mut bits, mut len) = (6_u64, 3, 2);
        // The first code behind the clear code defines nothing.
        while len <= left && next < 4000 {
            put(next, bits);
            left -= len;
            len += 1;
            next += 1;
            bits = if next == 1 << bits { bits + 1 } else { bits };
        }
        // What is left in single pixels.
        if len > left {
            while left > 0 {
                put(4, bits);
                put(1, 3);
                bits = 3;
                left -= 1;
            }
            put(5, 3);
        } else {
            put(4, bits);
            continue;
        }
    }
    put(0, 8);
    bytes
}

fn control(disposal: u8) -> [u8; 8] {
    [0x21, 0xF9, 4, disposal << 2, 0, 0, 0, 0]
}

pub(super) fn files(scale: Scale) -> Vec<File> {
    let Scale { flood, side } = scale;
    let pixel = image(0, 1, 1, &blocks(2, &PIXEL, 255));
    let gif = |parts: &[&[u8]]| [&parts.concat()[..], &[0x3B]].concat();
    let animation = |disposal: u8, frames: usize| {
        let frame = [&control(disposal)[..], &pixel].concat();
        gif(&[&screen(side, side), &frame.repeat(frames)])
    };
    vec![
        file(
            "frames of one pixel",
            gif(&[&screen(10, 10), &pixel.repeat(50_000 * flood)]),
        ),
        file("frames of one pixel on a large screen", animation(1, 1000)),
        file("frames that are put back", animation(3, 1000)),
        file("frames of the whole screen", {
            let data = blocks(
                2,
                &growing_strings(usize::from(side) * usize::from(side)),
                255,
            );
            let whole = [&control(2)[..], &image(0, side, side, &data)].concat();
            gif(&[&screen(side, side), &whole.repeat(20)])
        }),
        // Codes of three bits: 100 100 100 ...
        file("clear codes", {
            let data = blocks(2, &[0x24, 0x49, 0x92].repeat(700_000 * flood), 255);
            gif(&[&screen(8, 8), &image(0, 8, 8, &data)])
        }),
        // 101 101 101 ...
        file("end codes", {
            let data = blocks(2, &[0x6D, 0xDB, 0xB6].repeat(700_000 * flood), 255);
            gif(&[&screen(8, 8), &image(0, 8, 8, &data)])
        }),
        file("blocks of one byte", {
            let data = blocks(2, &vec![0x24; 1_000_000 * flood], 1);
            gif(&[&screen(8, 8), &image(0, 8, 8, &data)])
        }),
        file(
            "comments",
            gif(&[
                &screen(1, 1),
                &[0x21, 0xFE, 0].repeat(500_000 * flood),
                &pixel,
            ]),
        ),
        file(
            "graphic controls",
            gif(&[&screen(1, 1), &control(1).repeat(200_000 * flood), &pixel]),
        ),
        file("application blocks", {
            let block = [&[0x21, 0xFF, 11], &b"NETSCAPE2.0"[..], &[3, 1, 0, 0, 0]].concat();
            gif(&[&screen(1, 1), &block.repeat(100_000 * flood), &pixel])
        }),
    ]
}
