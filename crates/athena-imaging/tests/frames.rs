//! Frames of animations, sampled.

use athena_imaging::{Frame, ImageErrorKind, Limits, Preprocessor, decode, frames, frames_until};
use png::{BlendOp, DisposeOp};

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

/// As [`gif`], but the last frame is half transparent and lies over the first.
fn apng() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 2, 1);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(3, 0).expect("frames");
    let mut writer = encoder.write_header().expect("a header");
    let mut frame = |x: u32, disposal, pixels: &[[u8; 4]]| {
        let width = pixels.len() as u32;
        // The size first: where it may lie depends on that.
        writer.set_frame_position(0, 0).expect("a place");
        writer.set_frame_dimension(width, 1).expect("a size");
        writer.set_frame_position(x, 0).expect("a place");
        writer.set_dispose_op(disposal).expect("a disposal");
        writer.set_blend_op(BlendOp::Over).expect("a blending");
        writer
            .write_image_data(pixels.as_flattened())
            .expect("pixels");
    };
    frame(0, DisposeOp::None, &[[255, 0, 0, 255]; 2]);
    frame(1, DisposeOp::Previous, &[[0, 0, 255, 255]]);
    frame(0, DisposeOp::None, &[[0, 0, 255, 128]]);
    writer.finish().expect("an end");
    file
}

#[test]
fn frames_of_a_png_are_blended() {
    let sampled = frames(&apng(), 10, &Limits::default()).expect("a sound animation");
    let shown: Vec<_> = sampled.iter().map(pixels).collect();
    assert_eq!(shown, [[RED, RED], [RED, BLUE], [[128, 0, 127], RED]]);
    let first = decode(&apng(), &Limits::default()).expect("a sound animation");
    assert_eq!(sampled[0], first);
}

#[test]
fn an_animation_cannot_hide_frames_behind_a_wrong_number() {
    let mut file = apng();
    let control = file.windows(4).position(|name| name == b"acTL");
    let control = control.expect("an animation");
    file[control + 4..control + 8].copy_from_slice(&1_000_000_u32.to_be_bytes());
    let checksum = zlib_rs::crc32::crc32(0, &file[control..control + 12]);
    file[control + 12..control + 16].copy_from_slice(&checksum.to_be_bytes());
    let sampled = frames(&file, 2, &Limits::default()).expect("a sound animation");
    let shown: Vec<_> = sampled.iter().map(pixels).collect();
    assert_eq!(shown, [[RED, RED], [RED, BLUE]]);
}

#[test]
fn frames_end_with_the_callers_patience() {
    for file in [gif(), apng()] {
        let error = frames_until(&file, 3, &Limits::default(), || true).expect_err("impatient");
        assert_eq!(error.kind(), ImageErrorKind::Cancelled);
    }
}

#[test]
fn frames_are_prepared_as_images_are() {
    let preprocessor = Preprocessor::builder().frame_digest(true);
    let preprocessor = preprocessor.build().expect("sound settings");
    for file in [gif(), apng()] {
        let prepare = |count| preprocessor.prepare_frames_until(file.clone(), count, || false);
        let prepared = prepare(10).expect("a sound animation");
        let places: Vec<u32> = prepared.iter().map(|prepared| prepared.frame).collect();
        assert_eq!(places, [0, 1, 2]);
        let first = preprocessor
            .prepare(file.clone())
            .expect("a sound animation");
        assert_eq!(prepared[0].data, first.data);
        assert_eq!(prepared[0].frame_sha256, first.frame_sha256);
        assert_ne!(prepared[1].frame_sha256, first.frame_sha256);
        assert_eq!(prepared[2].hashes, first.hashes);
        assert_eq!(prepare(1).expect("a sound animation").len(), 1);
    }
    let still = &b"P6 1 1 255 abc"[..];
    let prepared = preprocessor.prepare_frames_until(still, 5, || false);
    assert_eq!(prepared.expect("a sound image").len(), 1);
}

#[test]
#[cfg(feature = "avif")]
fn a_sequence_of_avif_has_frames() {
    let file = include_bytes!("fixtures/avif_sequence_17x13.avif");
    let limits = Limits::default();
    let all = frames(file, 9, &limits).expect("a sound sequence");
    assert_eq!(all.len(), 4);
    assert_eq!(all[0], decode(file, &limits).expect("a sound sequence"));
    assert!(all.windows(2).all(|two| two[0] != two[1]));
    let some = frames(file, 2, &limits).expect("a sound sequence");
    assert_eq!(some, [all[0].clone(), all[2].clone()]);
    let found = athena_imaging::inspect(file).expect("a sound sequence");
    assert_eq!(
        (found.width, found.height, found.bit_depth, found.frames),
        (17, 13, 8, 4)
    );
    let error = frames_until(file, 3, &limits, || true).expect_err("impatient");
    assert_eq!(error.kind(), ImageErrorKind::Cancelled);
}
