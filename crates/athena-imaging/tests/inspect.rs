//! What `inspect` tells from headers alone.

use athena_imaging::{
    Format, Frame, ImageErrorKind, Orientation, PayloadKind, Subsampling, inspect,
};

fn frame() -> Frame {
    let data = (0..448 * 448 * 3).map(|i| (i / 448 % 256) as u8).collect();
    Frame::from_bgr(448, 448, data).expect("the bytes of a frame")
}

#[test]
fn encoded_payloads_tell_their_size() {
    let jpeg = PayloadKind::Jpeg {
        quality: 80,
        subsampling: Subsampling::S420,
    };
    for (payload, format) in [
        (PayloadKind::default(), Format::WebP),
        (PayloadKind::Png, Format::Png),
        (jpeg, Format::Jpeg),
    ] {
        let (bytes, _) = payload.encode(frame()).unwrap();
        let found = inspect(&bytes).unwrap();
        assert_eq!(
            (found.format, found.width, found.height),
            (format, 448, 448)
        );
        assert_eq!(
            (found.bit_depth, found.frames, found.orientation),
            (8, 1, Orientation::Normal)
        );
    }
}

#[test]
fn an_exif_block_turns_a_jpeg() {
    let (jpeg, _) = PayloadKind::Jpeg {
        quality: 80,
        subsampling: Subsampling::S444,
    }
    .encode(frame())
    .unwrap();
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut turned = jpeg[..2].to_vec();
    turned.extend([0xFF, 0xE1, 0, exif.len() as u8 + 2]);
    turned.extend(exif);
    turned.extend(&jpeg[2..]);
    let found = inspect(&turned).unwrap();
    assert_eq!(found.orientation, Orientation::Rotate90);
    assert_eq!(found.orientation.tag(), 6);
}

#[test]
fn frames_of_an_animated_gif_are_counted() {
    let mut gif = b"GIF89a\x07\0\x05\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    for _ in 0..3 {
        gif.extend(b"\x21\xf9\x04\0\0\0\0\0");
        gif.extend(b"\x2c\0\0\0\0\x07\0\x05\0\0\x02\x02\x4c\x01\0");
    }
    gif.push(0x3B);
    let found = inspect(&gif).unwrap();
    assert_eq!((found.width, found.height, found.frames), (7, 5, 3));
}

#[test]
fn pages_of_a_tiff_are_counted_even_in_a_ring() {
    let mut tiff = b"II\x2a\0\x08\0\0\0".to_vec();
    tiff.extend(b"\x03\0\0\x01\x03\0\x01\0\0\0\x21\0\0\0\x01\x01\x03\0\x01\0\0\0\x11\0\0\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0");
    let mut pages = tiff.clone();
    pages.extend(0_u32.to_le_bytes());
    let found = inspect(&pages).unwrap();
    assert_eq!((found.width, found.height, found.frames), (0x21, 0x11, 1));
    assert_eq!(found.upright_size(), (0x11, 0x21));
    tiff.extend(8_u32.to_le_bytes());
    assert!(inspect(&tiff).unwrap().frames > 1);
}

#[test]
fn text_headers_are_read() {
    let of = |bytes: &[u8]| {
        inspect(bytes)
            .map(|i| (i.format, i.width, i.height, i.bit_depth))
            .unwrap()
    };
    assert_eq!(
        of(b"P6 # a comment\n12 34\n65535\n"),
        (Format::Ppm, 12, 34, 16)
    );
    assert_eq!(
        of(b"P7\nWIDTH 3\nHEIGHT 4\nDEPTH 3\nMAXVAL 255\nENDHDR\n"),
        (Format::Pam, 3, 4, 8)
    );
    assert_eq!(of(b"PF\n5 6\n-1.0\n"), (Format::Pfm, 5, 6, 32));
    assert_eq!(
        of(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 7 +X 8\n"),
        (Format::Hdr, 8, 7, 32)
    );
}

#[test]
fn every_prefix_of_every_format_is_an_answer_or_an_error() {
    let files: [&[u8]; 10] = [
        b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0\x05\0\0\0\xfb\xff\xff\xff\x01\0\x18\0",
        b"GIF89a\x07\0\x05\0\x80\0\0\0\0\0\xff\xff\xff\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x07\0\x05\0\0\x02\x02\x4c\x01\0",
        b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x05\0\x07\x03",
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x05\0\0\0\x07\x08\x02\0\0\0abcd\xff\xff\xff\xffacTL",
        b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\0\0\0\0\x04\0\0\x06\0\0ANMF\xff\xff\xff\xff",
        b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x01\x03\0",
        b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\x01\x03\0\0\0\0\0\0\0\0\x80\x08\0\0\0\0\0\0\0",
        b"MM\0\x2a\0\0\0\x08\xff\xff\x01\x02\0\x03\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x59\xa6\x6a\x95\0\0\0\x05\0\0\0\x07\0\0\0\x18",
        b"P7\nWIDTH 99999999999999\n",
    ];
    for file in files {
        for end in 0..=file.len() {
            if let Ok(found) = inspect(&file[..end]) {
                assert!(found.width > 0 && found.height > 0 && found.frames > 0);
            }
        }
    }
    assert_eq!(
        inspect(b"hello").unwrap_err().kind(),
        ImageErrorKind::UnknownFormat
    );
    assert_eq!(
        inspect(b"hello").unwrap_err().to_string(),
        "unknown image format: the file starts with \"hello\""
    );
}
