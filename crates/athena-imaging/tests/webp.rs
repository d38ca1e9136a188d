//! Lossless WebP decodes to the same pixels everywhere, whatever they are.

use std::io::Cursor;

use athena_imaging::{Frame, ImageErrorKind, Limits, WebpEffort, decode, encode_webp, sha256_hex};
use proptest::{prelude::*, sample::select};

const EFFORTS: [WebpEffort; 3] = [WebpEffort::Fastest, WebpEffort::Default, WebpEffort::Small];

/// Kinds of pictures, so that every way of encoding has its turn.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Noise,
    /// Noise of a few colours.
    Colours(u32),
    Smooth,
    Flat,
    /// The same square over and over.
    Tiles(u32),
    /// Flat on the left, noise on the right, lines across.
    Mixed,
    /// Rows of one colour each, more of them than a palette has.
    Bands,
    /// A page of letters, most of them seen before.
    Letters,
    /// Windows with frames, shades and letters.
    Screen,
    /// Overlapping discs, of shades that are rounded to so many.
    Blobs(u32),
    /// Letters on something like a photograph.
    Meme,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Noise),
        select(vec![1, 2, 3, 4, 5, 16, 17, 255, 256, 257]).prop_map(Kind::Colours),
        Just(Kind::Smooth),
        Just(Kind::Flat),
        (1_u32..40).prop_map(Kind::Tiles),
        Just(Kind::Mixed),
        Just(Kind::Bands),
        Just(Kind::Letters),
        Just(Kind::Screen),
        select(vec![5, 16, 64, 400]).prop_map(Kind::Blobs),
        Just(Kind::Meme),
    ]
}

fn hash(seed: u32, value: u32) -> u32 {
    let mut x = seed ^ value.wrapping_mul(0x9E37_79B1);
    x = (x ^ x >> 15).wrapping_mul(0x85EB_CA6B);
    (x ^ x >> 13).wrapping_mul(0xC2B2_AE35) ^ x >> 16
}

fn paint(kind: Kind, width: u32, height: u32, seed: u32) -> Frame {
    let noise = |x: u32, y: u32| hash(seed, y << 16 | x);
    let letter = |x: u32, y: u32| {
        let letter = hash(seed, ((y / 12) << 16) | (x / 8)) % 30;
        let ink = hash(seed ^ letter, ((y % 12) << 8) | (x % 8));
        ink.is_multiple_of(4)
            .then_some((ink >> 8 & 63) * 0x0001_0203)
    };
    let pixel = |x: u32, y: u32| match kind {
        Kind::Noise => noise(x, y),
        Kind::Colours(n) => hash(seed, noise(x, y) % n),
        Kind::Smooth => {
            let wave = |shift: u32| {
                x * (seed >> shift & 3) + y * (seed >> (shift + 2) & 3) + (noise(x, y) >> shift & 3)
            };
            (wave(0) & 255) | (wave(4) & 255) << 8 | (wave(8) & 255) << 16
        }
        Kind::Flat => hash(seed, x / 50 + y / 30 * 16),
        Kind::Bands => hash(seed, y),
        Kind::Tiles(side) => noise(x % side, y % side),
        Kind::Mixed if x < width / 2 => {
            if y % 9 == seed % 9 {
                seed
            } else {
                !seed
            }
        }
        Kind::Mixed => noise(x, y) & 0x0F0F_0F0F,
        Kind::Letters => letter(x, y).unwrap_or(0x00F0_F4FF),
        Kind::Screen => {
            let window = hash(seed, ((y / 90) << 8) | (x / 130));
            match (x % 130, y % 90) {
                (0 | 129, _) | (_, 0 | 89) => window & 0x003F_3F3F,
                (_, 1..16) => 0x0030_4050 + (y % 90) * 0x0004_0403,
                _ if window.is_multiple_of(3) => letter(x, y).unwrap_or(!window & 0x00FF_FFFF),
                _ if window % 3 == 1 => !window & 0x00FF_FFFF,
                _ => 0x0001_0101 * (128 + x % 130 / 2),
            }
        }
        Kind::Blobs(shades) => {
            let shade = |i: u32| {
                let [cx, cy, r, _] = hash(seed, i).to_le_bytes().map(u32::from);
                let d = x.abs_diff(cx * 2).pow(2) + y.abs_diff(cy * 2).pow(2);
                (r * r).saturating_sub(d) / (r + 1)
            };
            (0..5).map(shade).sum::<u32>() * shades / 1024 * (0x00FF_FFFF / shades)
        }
        Kind::Meme if y % 200 < 30 => letter(x / 2, y / 2).map_or(0x00FF_FFFF, |_| 0),
        Kind::Meme => {
            let wave = |by: u32| (x * x / (by + 90) + y * by / 7 + (noise(x, y) >> by & 7)) & 255;
            wave(3) | wave(5) << 8 | wave(9) << 16
        }
    };
    let data = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            let [b, g, r, _] = pixel(x, y).to_le_bytes();
            [b, g, r]
        })
        .collect();
    Frame::from_bgr(width, height, data).expect("the bytes of a frame")
}

/// Decodes with libwebp and with image-webp and asserts that both see the frame.
fn assert_decodes(frame: &Frame, file: &[u8]) {
    assert!(
        decode(file, &Limits::default()).expect("libwebp reads it") == *frame,
        "other pixels in libwebp"
    );
    if frame.width().max(frame.height()) == 16_384 {
        // image-webp takes it for zero.
        return;
    }
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).expect("image-webp reads it");
    assert_eq!(decoder.dimensions(), (frame.width(), frame.height()));
    assert!(!decoder.has_alpha());
    let mut rgb = vec![0; frame.data().len()];
    decoder.read_image(&mut rgb).expect("image-webp decodes it");
    let mut expected = frame.data().to_vec();
    for pixel in expected.chunks_exact_mut(3) {
        pixel.swap(0, 2);
    }
    assert!(rgb == expected, "other pixels in image-webp");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_picture_comes_back(
        kind in kinds(),
        width in prop_oneof![1_u32..40, 1_u32..=600],
        height in prop_oneof![1_u32..40, 1_u32..=600],
        seed: u32,
    ) {
        let frame = paint(kind, width, height, seed);
        let files = EFFORTS.map(|effort| encode_webp(&frame, effort).expect("an encoder"));
        for file in &files {
            assert_decodes(&frame, file);
        }
        prop_assert!(files[2].len() <= files[1].len());
    }

    #[test]
    fn arbitrary_pixels_come_back(width in 1_u32..30, bytes in proptest::collection::vec(any::<u8>(), 3..4_000)) {
        let height = (bytes.len() as u32 / 3).div_ceil(width).max(1);
        let mut data = bytes;
        data.resize((width * height * 3) as usize, 7);
        let frame = Frame::from_bgr(width, height, data).expect("the bytes of a frame");
        for effort in EFFORTS {
            assert_decodes(&frame, &encode_webp(&frame, effort).expect("an encoder"));
        }
    }
}

#[test]
fn the_longest_sides_come_back_and_longer_ones_are_refused() {
    for (width, height) in [(16_384, 1), (1, 16_384), (16_383, 3)] {
        for kind in [Kind::Noise, Kind::Flat, Kind::Colours(2)] {
            let frame = paint(kind, width, height, 5);
            for effort in EFFORTS {
                assert_decodes(&frame, &encode_webp(&frame, effort).expect("an encoder"));
            }
        }
    }
    let error =
        encode_webp(&paint(Kind::Flat, 16_385, 1, 5), WebpEffort::Default).expect_err("too wide");
    assert_eq!(error.kind(), ImageErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "a WebP picture has at most 16384 pixels a side, not 16385 x 1"
    );
}

#[test]
fn bytes_are_the_same_in_every_thread_and_after_every_other_picture() {
    let frames: Vec<Frame> = [
        Kind::Smooth,
        Kind::Flat,
        Kind::Colours(200),
        Kind::Tiles(9),
        Kind::Mixed,
    ]
    .map(|kind| paint(kind, 200, 150, 3))
    .into();
    let encode =
        |frame: &Frame| EFFORTS.map(|effort| encode_webp(frame, effort).expect("an encoder"));
    let once: Vec<_> = frames.iter().map(encode).collect();
    std::thread::scope(|scope| {
        for first in 0..frames.len() {
            let (frames, once) = (&frames, &once);
            scope.spawn(move || {
                for i in (first..frames.len()).chain(0..first) {
                    assert!(encode(&frames[i]) == once[i]);
                }
            });
        }
    });
}

/// Whoever changes the encoder changes these; no machine, instruction set or thread does.
#[test]
fn bytes_are_a_function_of_the_pixels_and_the_effort() {
    const KINDS: [Kind; 11] = [
        Kind::Letters,
        Kind::Noise,
        Kind::Smooth,
        Kind::Flat,
        Kind::Mixed,
        Kind::Bands,
        Kind::Tiles(30),
        Kind::Colours(2),
        Kind::Colours(16),
        Kind::Colours(256),
        Kind::Colours(257),
    ];
    let digest = |effort| {
        let files: Vec<u8> = KINDS
            .into_iter()
            .flat_map(|kind| [(448, 448), (131, 77), (1, 1)].map(|size| (kind, size)))
            .flat_map(|(kind, (width, height))| {
                encode_webp(&paint(kind, width, height, 7), effort).expect("an encoder")
            })
            .collect();
        sha256_hex(&files)
    };
    assert_eq!(
        EFFORTS.map(digest),
        [
            "941b6a879e290f2b8fa92e9bdb2a67a97c4a120f8fc5024d864674f8ce5ced78",
            "9b0982037a78503bfc5654c25685f34ec1144a03d0c31cb911a28fa443ab7528",
            "f312758e023b174108cf6d53eca2a1e4b75e022a56aa06a6e294c9329dad2d4e"
        ]
    );
}

/// Pictures of each kind, large ones and small ones, so that every way of encoding is the default of some.
fn mixed() -> impl Iterator<Item = (Kind, Frame)> {
    const KINDS: [Kind; 20] = [
        Kind::Noise,
        Kind::Smooth,
        Kind::Flat,
        Kind::Mixed,
        Kind::Bands,
        Kind::Letters,
        Kind::Screen,
        Kind::Blobs(16),
        Kind::Blobs(64),
        Kind::Blobs(400),
        Kind::Meme,
        Kind::Colours(2),
        Kind::Colours(9),
        Kind::Colours(17),
        Kind::Colours(99),
        Kind::Colours(256),
        Kind::Colours(257),
        Kind::Tiles(8),
        Kind::Tiles(30),
        Kind::Tiles(100),
    ];
    KINDS
        .into_iter()
        .flat_map(|kind| [(448, 448), (131, 77), (16, 300), (1, 1)].map(|size| (kind, size)))
        .flat_map(|(kind, (width, height))| {
            [11, 12].map(|seed| (kind, paint(kind, width, height, seed)))
        })
}

#[test]
fn the_smallest_is_never_larger_than_the_default() {
    let mut smaller = 0;
    for (kind, frame) in mixed() {
        let [default, small] = [WebpEffort::Default, WebpEffort::Small]
            .map(|effort| encode_webp(&frame, effort).expect("an encoder").len());
        let (width, height) = (frame.width(), frame.height());
        assert!(
            small <= default,
            "{kind:?}, {width} x {height}: {small} > {default}"
        );
        smaller += usize::from(small < default);
    }
    assert!(smaller > 20, "{smaller}");
}
