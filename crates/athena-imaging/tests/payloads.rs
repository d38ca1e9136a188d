//! What is sent decodes to the frame that was meant, and says what it is.

use athena_imaging::{
    Compression, Format, Frame, Hashes, ImageErrorKind, Limits, PayloadEncoding, PayloadFormat,
    PayloadKind, Preprocessor, Subsampling, WebpEffort, decode, decompress_brotli, sha256,
    sha256_hex,
};

/// A frame of gradients, noise and flat areas.
fn frame(seed: u32) -> Frame {
    let mut noise = seed | 1;
    let data = (0..448 * 448 * 3_u32)
        .map(|i| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            match i / (448 * 3 * 112) {
                0 => (i % 251) as u8,
                1 => noise as u8,
                2 => (i / 1344) as u8,
                _ => 200,
            }
        })
        .collect();
    Frame::from_bgr(448, 448, data).expect("the bytes of a frame")
}

/// The frame as a file that needs no resize.
fn ppm(frame: &Frame) -> Vec<u8> {
    let rgb = frame
        .data()
        .chunks_exact(3)
        .flat_map(|p| [p[2], p[1], p[0]]);
    b"P6 448 448 255\n".iter().copied().chain(rgb).collect()
}

fn webp(effort: WebpEffort) -> PayloadKind {
    PayloadKind::WebpLossless { effort }
}

#[test]
fn lossless_payloads_give_back_the_frame() {
    for seed in 1..4 {
        let frame = frame(seed);
        for (payload, format) in [
            (webp(WebpEffort::Fastest), Format::WebP),
            (webp(WebpEffort::Default), Format::WebP),
            (webp(WebpEffort::Small), Format::WebP),
            (PayloadKind::Png, Format::Png),
        ] {
            let (bytes, said) = payload.encode(frame.clone()).expect("an encoder");
            assert_eq!(Some(said), PayloadFormat::of(format));
            assert_eq!(
                decode(&bytes, &Limits::default()).expect("what was encoded"),
                frame
            );
        }
        let (raw, said) = PayloadKind::RawBgr
            .encode(frame.clone())
            .expect("an encoder");
        assert_eq!((said.number(), &raw[..]), (19, frame.data()));
    }
}

#[test]
fn brotli_of_every_quality_gives_back_the_payload() {
    // Quality 11 takes seconds without optimisation: the last rows are enough for it.
    let raw = bytes::Bytes::copy_from_slice(&frame(5).data()[..60_000]);
    for quality in 0..=11 {
        let (packed, said) = Compression::Brotli { quality }
            .compress(raw.clone())
            .expect("a compressor");
        assert_eq!((said, said.number()), (PayloadEncoding::Brotli, 2));
        assert_eq!(
            decompress_brotli(&packed, &Limits::default()).expect("what was compressed"),
            raw
        );
    }
}

#[test]
fn brotli_stops_at_the_limit_and_at_a_missing_end() {
    let raw = bytes::Bytes::from(vec![0; 1_000_000]);
    let (bomb, _) = Compression::Brotli { quality: 5 }
        .compress(raw)
        .expect("a compressor");
    let mut limits = Limits::default();
    limits.max_payload_bytes = 999_999;
    let error = decompress_brotli(&bomb, &limits).expect_err("a bomb");
    assert_eq!(error.kind(), ImageErrorKind::TooLarge);
    assert!(decompress_brotli(&bomb[..bomb.len() - 1], &Limits::default()).is_err());
}

#[test]
fn jpeg_is_close_and_small() {
    let frame = Frame::from_bgr(448, 448, vec![90; 448 * 448 * 3]).expect("the bytes of a frame");
    for subsampling in [Subsampling::S444, Subsampling::S422, Subsampling::S420] {
        let (bytes, said) = PayloadKind::Jpeg {
            quality: 90,
            subsampling,
        }
        .encode(frame.clone())
        .expect("an encoder");
        assert_eq!(said, PayloadFormat::Jpeg);
        let decoded = decode(&bytes, &Limits::default()).expect("what was encoded");
        let worst = decoded
            .data()
            .iter()
            .zip(frame.data())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst <= Some(2), "off by {worst:?}");
    }
}

#[test]
fn originals_travel_only_when_the_service_sees_the_same_frame() {
    let original = Preprocessor::builder()
        .payload(PayloadKind::Original)
        .build()
        .expect("sound settings");
    let ready = ppm(&frame(9));
    let prepared = original.prepare(ready.clone()).expect("a sound file");
    assert_eq!(
        (prepared.format, &prepared.data[..]),
        (PayloadFormat::Ppm, &ready[..])
    );

    let small = original
        .prepare(&b"P6 1 1 255 abc"[..])
        .expect("a sound file");
    assert_eq!(small.format, PayloadFormat::WebP);
    assert_eq!((small.source.width, small.source.bytes), (1, 14));
}

#[test]
fn hashes_are_of_the_file_and_not_of_the_frame() {
    let prepared = Preprocessor::default()
        .prepare(&b"P6 1 1 255 abc"[..])
        .expect("a sound file");
    assert_eq!(prepared.hashes, Hashes::of(b"P6 1 1 255 abc"));
    assert_eq!(
        Hashes::of(b"abc").sha1_hex(),
        "a9993e364706816aba3e25717850c26c9cd0d89d"
    );
}

#[test]
fn the_frame_has_a_digest_when_asked_for() {
    let file = &b"P6 1 1 255 abc"[..];
    let without = Preprocessor::default().prepare(file);
    assert_eq!(without.expect("a sound file").frame_sha256, None);
    let preprocessor = Preprocessor::builder()
        .frame_digest(true)
        .payload(PayloadKind::RawBgr)
        .build()
        .expect("sound settings");
    let prepared = preprocessor.prepare(file).expect("a sound file");
    assert_eq!(prepared.frame_sha256, Some(sha256(&prepared.data)));
    assert_eq!(
        sha256_hex(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn settings_out_of_range_and_files_over_a_limit_are_refused() {
    let jpeg = PayloadKind::Jpeg {
        quality: 0,
        subsampling: Subsampling::S444,
    };
    assert!(Preprocessor::builder().payload(jpeg).build().is_err());
    assert!(jpeg.encode(frame(1)).is_err());
    let brotli = Compression::Brotli { quality: 12 };
    assert!(Preprocessor::builder().compression(brotli).build().is_err());
    assert!(brotli.compress(b"data"[..].into()).is_err());

    let mut limits = Limits::default();
    limits.max_file_bytes = 10;
    let strict = Preprocessor::builder()
        .limits(limits.clone())
        .build()
        .expect("sound settings");
    let error = strict
        .prepare(&b"P6 1 1 255 abc"[..])
        .expect_err("a file of 14 bytes");
    assert_eq!(error.to_string(), "14 bytes of file, the limit is 10");

    limits = Limits::default();
    limits.max_pixels = 1_000;
    let strict = Preprocessor::builder()
        .limits(limits)
        .build()
        .expect("sound settings");
    let error = strict
        .prepare(&b"P6 100 11 255 abc"[..])
        .expect_err("1,100 pixels");
    assert_eq!(error.to_string(), "PPM: 1100 pixels, the limit is 1000");
}
