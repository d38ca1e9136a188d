//! Steps of the pipeline, on photographs made up of gradients and noise: `cargo bench -p athena-imaging`.
//!
//! For figures beside OpenCV's, in one run, see `scripts/compare_opencv.py`.

use athena_imaging::{
    Compression, Frame, Hashes, Interpolation, Limits, PayloadKind, Preprocessor, Subsampling,
    WebpEffort, decode, resize,
};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Waves with noise on them: about as hard to compress as a photograph.
fn photograph(width: u32, height: u32) -> Frame {
    let mut noise = 1_u32;
    let mut data = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wave = (x as f32 / 37.0).sin() * 50.0 + (y as f32 / 23.0).cos() * 50.0 + 128.0;
            let grain = |shift: u32| (noise >> shift & 7) as f32;
            data.extend(
                [
                    wave + grain(8),
                    wave * 0.9 + grain(16),
                    wave * 0.8 + grain(24),
                ]
                .map(|value| value as u8),
            );
        }
    }
    Frame::from_bgr(width, height, data).expect("the bytes of a frame")
}

/// The photograph as JPEG.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, 88);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    let frame = photograph(width.into(), height.into());
    encoder
        .encode(frame.data(), width, height, jpeg_encoder::ColorType::Bgr)
        .expect("an encoder");
    out
}

#[divan::bench(args = [(640, 480), (2000, 1500), (4000, 3000)])]
fn jpeg_to_frame(bencher: Bencher<'_, '_>, (width, height): (u16, u16)) {
    let file = jpeg(width, height);
    let preprocessor = Preprocessor::default();
    bencher.bench_local(|| preprocessor.frame(black_box(&file)));
}

#[divan::bench(args = [(640, 480), (2000, 1500), (4000, 3000)])]
fn jpeg_to_pixels(bencher: Bencher<'_, '_>, (width, height): (u16, u16)) {
    let file = jpeg(width, height);
    bencher.bench_local(|| decode(black_box(&file), &Limits::default()));
}

const MODES: [Interpolation; 5] = [
    Interpolation::Linear,
    Interpolation::Nearest,
    Interpolation::Area,
    Interpolation::Lanczos4,
    Interpolation::FastBilinear,
];

#[divan::bench(args = MODES)]
fn resize_of_3_megapixels(bencher: Bencher<'_, '_>, mode: Interpolation) {
    let frame = photograph(2000, 1500);
    bencher.bench_local(|| resize(black_box(&frame), mode));
}

const PAYLOADS: [PayloadKind; 5] = [
    PayloadKind::WebpLossless {
        effort: WebpEffort::Fastest,
    },
    PayloadKind::WebpLossless {
        effort: WebpEffort::Default,
    },
    PayloadKind::WebpLossless {
        effort: WebpEffort::Small,
    },
    PayloadKind::Png,
    PayloadKind::Jpeg {
        quality: 90,
        subsampling: Subsampling::S444,
    },
];

#[divan::bench(args = PAYLOADS)]
fn payload(bencher: Bencher<'_, '_>, payload: PayloadKind) {
    let frame = photograph(448, 448);
    bencher.bench_local(|| payload.encode(black_box(frame.clone())));
}

#[divan::bench(args = [1, 4, 5])]
fn brotli(bencher: Bencher<'_, '_>, quality: u8) {
    let raw = bytes::Bytes::from(photograph(448, 448).into_data());
    bencher.bench_local(|| Compression::Brotli { quality }.compress(black_box(raw.clone())));
}

#[divan::bench]
fn hashes_of_600_kilobytes(bencher: Bencher<'_, '_>) {
    let raw = photograph(448, 448).into_data();
    bencher.bench_local(|| Hashes::of(black_box(&raw)));
}
