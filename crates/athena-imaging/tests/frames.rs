//! Frames of animations, sampled.

use athena_imaging::{Frame, ImageErrorKind, Limits, decode, frames};

/// Three frames of 2 x 1 pixels: red, then blue on the right, then blue on the left after the second was put back.
fn gif() -> Vec<u8> {
    let mut gif = b"GIF89a\x02\0\x01\0\x81\0\0\0\0\0\xff\0\0\0\0\xff\0\xff\0".to_vec();
    // Codes of three bits: clear, one or two indices, end.
    let mut frame = |disposal: u8, left: u8, pixels: &[u8]| {
        gif.extend([0x21, 0xF9, 4, disposal << 2, 0, 0, 0, 0]);
        gif.extend([0x2C, left, 0, 0, 0, pixels.len() as u8, 0, 1, 0, 0]);
        let codes: Vec<u32> = [4]
            .into_iter()
            .chain(pixels.iter().map(|&p| p.into()))
            .chain([5])
            .collect();
        let bits = codes
            .iter()
            .enumerate()
            .fold(0, |bits, (i, code)| bits | code << (3 * i));
        gif.extend([2, 2, bits as u8, (bits >> 8) as u8, 0]);
    };
    frame(1, 0, &[1, 1]);
    frame(3, 1, &[2]);
    frame(1, 0, &[2]);
    gif.push(0x3B);
    gif
}

fn pixels(frame: &Frame) -> Vec<[u8; 3]> {
    frame.data().as_chunks().0.to_vec()
}

const RED: [u8; 3] = [0, 0, 255];
const BLUE: [u8; 3] = [255, 0, 0];

#[test]
fn frames_are_composed_on_what_was_there() {
    let sampled = frames(&gif(), 10, &Limits::default()).expect("a sound animation");
    let shown: Vec<_> = sampled.iter().map(pixels).collect();
    assert_eq!(shown, [[RED, RED], [RED, BLUE], [BLUE, RED]]);
    assert_eq!(
        sampled[0],
        decode(&gif(), &Limits::default()).expect("a sound animation")
    );
}

#[test]
fn fewer_frames_are_spread_over_the_animation() {
    let sampled = frames(&gif(), 2, &Limits::default()).expect("a sound animation");
    assert_eq!(
        sampled.iter().map(pixels).collect::<Vec<_>>(),
        [[RED, RED], [RED, BLUE]]
    );
    let still = frames(b"P6 1 1 255 abc", 5, &Limits::default()).expect("a sound image");
    assert_eq!(still.len(), 1);
}

#[test]
fn many_frames_count_against_the_limits() {
    let mut limits = Limits::default();
    limits.max_decoded_bytes = 40;
    let error = frames(&gif(), 3, &limits).expect_err("seven times six bytes");
    assert_eq!(error.kind(), ImageErrorKind::TooLarge);
}
