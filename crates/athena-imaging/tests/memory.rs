//! What an image costs in memory, and that the next one costs less.
//!
//! `cargo test --release -p athena-imaging --test memory -- --ignored --nocapture` prints the figures of docs/images.md.
#![cfg(feature = "native")]
#![allow(unsafe_code)] // an allocator that counts, and an encoder in C

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use athena_imaging::{FRAME_BYTES, Interpolation, PayloadKind, Preprocessor};
use bytes::Bytes;
use jpeg_encoder::SamplingFactor::{self, R_4_2_0, R_4_4_4};

/// Blocks of this size and more are kept for the next image.
const LARGE: usize = 256 << 10;

thread_local! {
    /// Bytes in use.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// Bytes of all large blocks so far.
    static FRESH: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread allocates.
struct Counting;

fn count(taken: usize, given_back: usize) {
    LIVE.set(LIVE.get() + taken as isize - given_back as isize);
    PEAK.set(PEAK.get().max(LIVE.get()));
    if taken >= LARGE {
        FRESH.set(FRESH.get() + taken);
    }
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes in use at once during a call, less those in use before it.
fn peak(call: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    call();
    (PEAK.get() - before) as usize
}

/// Bytes of large blocks that each call allocates once the thread has what it keeps.
fn fresh(mut call: impl FnMut()) -> usize {
    const WARM_UP: usize = 2;
    const COUNTED: usize = 2;
    (0..WARM_UP).for_each(|_| call());
    let before = FRESH.get();
    (0..COUNTED).for_each(|_| call());
    (FRESH.get() - before) / COUNTED
}

fn preprocessor(interpolation: Interpolation, payload: PayloadKind) -> Preprocessor {
    let builder = Preprocessor::builder()
        .interpolation(interpolation)
        .payload(payload);
    builder.build().expect("sound settings")
}

fn frame(file: &[u8], interpolation: Interpolation) {
    let preprocessor = preprocessor(interpolation, PayloadKind::RawBgr);
    drop(preprocessor.frame(file).expect("a sound image"));
}

/// Slopes with noise on them, blue first.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut noise = 1_u32;
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grey = (x / 16 + y / 24) as u8;
            data.extend([8, 16, 24].map(|shift| grey.wrapping_add((noise >> shift) as u8 & 7)));
        }
    }
    data
}

fn jpeg(width: usize, height: usize, sampling: SamplingFactor, progressive: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 88);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(progressive);
    let (data, width, height) = (picture(width, height), width as u16, height as u16);
    let encoded = encoder.encode(&data, width, height, jpeg_encoder::ColorType::Bgr);
    encoded.expect("sound settings");
    bytes
}

/// The same pixels, marked as lying on their side.
fn turned(jpeg: Vec<u8>) -> Vec<u8> {
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let segment = [&[0xFF, 0xE1, 0, exif.len() as u8 + 2], &exif[..]].concat();
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

fn ppm(width: usize, height: usize) -> Vec<u8> {
    let mut bytes = format!("P6 {width} {height} 255\n").into_bytes();
    bytes.extend(picture(width, height));
    bytes
}

fn png(width: usize, height: usize, colour: png::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(colour);
    let channels = colour.samples();
    let data: Vec<u8> = picture(width, height)
        .chunks_exact(3)
        .flat_map(|pixel| {
            [pixel[0], pixel[1], pixel[2], 255]
                .into_iter()
                .take(channels)
        })
        .collect();
    let mut writer = encoder.write_header().expect("a sound header");
    writer.write_image_data(&data).expect("all pixels");
    writer.finish().expect("room");
    bytes
}

/// Greys, in codes of nine bits.
fn gif(width: usize, height: usize) -> Vec<u8> {
    const CLEAR: u32 = 256;
    const END: u32 = 257;
    let size = [(width as u16).to_le_bytes(), (height as u16).to_le_bytes()].concat();
    let mut bytes = [&b"GIF89a"[..], &size, &[0xF7, 0, 0]].concat();
    bytes.extend((0..=255).flat_map(|grey| [grey; 3]));
    bytes.extend([&b",\0\0\0\0"[..], &size, &[0, 8]].concat());
    let pixels = picture(width, height);
    let greys: Vec<u32> = pixels
        .chunks_exact(3)
        .map(|pixel| pixel[0].into())
        .collect();
    // Cleared before codes would need a tenth bit.
    let codes = greys
        .chunks(250)
        .flat_map(|greys| [&[CLEAR], greys].concat());
    let (mut packed, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for code in codes.chain([END, 0]) {
        bits |= code << held;
        held += 9;
        while held >= 8 {
            packed.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    for block in packed.chunks(255) {
        bytes.push(block.len() as u8);
        bytes.extend(block);
    }
    bytes.extend([0, 0x3B]);
    bytes
}

fn webp(width: usize, height: usize) -> Vec<u8> {
    let data = picture(width, height);
    let mut out = std::ptr::null_mut();
    let (width, height) = (width as i32, height as i32);
    // SAFETY: the pixels are there; libwebp's buffer is copied, then freed.
    unsafe {
        let len =
            libwebp_sys::WebPEncodeBGR(data.as_ptr(), width, height, width * 3, 80.0, &mut out);
        let bytes = std::slice::from_raw_parts(out, len).to_vec();
        libwebp_sys::WebPFree(out.cast());
        bytes
    }
}

#[test]
fn a_large_jpeg_is_never_held_as_a_whole() {
    let (width, height) = (3000, 2000);
    // Two columns and two rows for each of the result's, and the result.
    let pixels = 4 * FRAME_BYTES + FRAME_BYTES;
    // Two rows of MCUs, of luma and half as much of both chromas; some rows at full resolution.
    let rows = 2 * 16 * width * 3 / 2 + 12 * width;
    let allowed = pixels + rows + (64 << 10);
    assert!(allowed < width * height * 3 / 5);
    let file = jpeg(width, height, R_4_2_0, false);
    for interpolation in [Interpolation::Linear, Interpolation::Nearest] {
        let most = peak(|| frame(&file, interpolation));
        assert!(most <= allowed, "{most} bytes with {interpolation:?}");
    }
    // Turning needs a copy of what was kept.
    let turned = turned(file);
    let most = peak(|| frame(&turned, Interpolation::Linear));
    assert!(
        most <= allowed + 4 * FRAME_BYTES,
        "{most} bytes when turned"
    );
}

#[test]
fn the_next_image_gets_by_with_the_buffers_of_the_last() {
    use Interpolation::{Area, Lanczos4, Linear, Nearest};

    let (width, height) = (1000, 900);
    for (name, file, interpolations) in [
        (
            "JPEG",
            jpeg(width, height, R_4_2_0, false),
            &[Linear, Lanczos4][..],
        ),
        (
            "progressive JPEG",
            jpeg(width, height, R_4_4_4, true),
            &[Linear],
        ),
        ("WebP", webp(width, height), &[Linear]),
        (
            "PPM",
            ppm(width, height),
            &[Linear, Nearest, Area, Lanczos4],
        ),
    ] {
        for &interpolation in interpolations {
            let fresh = fresh(|| frame(&file, interpolation));
            assert_eq!(fresh, 0, "for each {name} with {interpolation:?}");
        }
    }
}

#[test]
fn a_payload_of_raw_pixels_takes_its_own_bytes_and_no_more() {
    let file = Bytes::from(jpeg(1000, 900, R_4_2_0, false));
    let preprocessor = preprocessor(Interpolation::Linear, PayloadKind::RawBgr);
    let fresh = fresh(|| drop(preprocessor.prepare(file.clone()).expect("a sound image")));
    assert_eq!(fresh, FRAME_BYTES);
}

/// The figures of docs/images.md. Each image has a process of its own: the system counts the most memory by process.
#[cfg(target_os = "linux")]
mod figures {
    use std::process::Command;
    use std::{env, fs};

    use athena_imaging::Subsampling;

    use super::*;

    const CASE: &str = "ATHENA_IMAGING_MEMORY";
    const MARK: &str = "bytes:";

    #[test]
    #[ignore = "prints figures"]
    fn figures() {
        if let Ok(case) = env::var(CASE) {
            let (grown, fresh) = of_this_process(&case);
            println!("{MARK} {grown:.1} {fresh:.1}");
            return;
        }
        println!(
            "| file | `Linear`, 3 MP | 12 MP | `Lanczos4`, 12 MP | each further, `Linear`, 12 MP |"
        );
        println!("| --- | ---: | ---: | ---: | ---: |");
        let (small, large) = (files(2000, 1500), files(4000, 3000));
        for ((name, small), (_, large)) in small.into_iter().zip(large) {
            let [grown_small, _] = of_another("linear", "", &small);
            let [grown, fresh] = of_another("linear", "", &large);
            let [grown_whole, _] = of_another("lanczos4", "", &large);
            println!("| {name} | {grown_small} | {grown} | {grown_whole} | {fresh} |");
        }
        println!("\n| payload, of 448 x 448 | | each further |\n| --- | ---: | ---: |");
        for payload in ["RawBgr", "WebpLossless", "Png", "Jpeg"] {
            let [grown, fresh] = of_another("linear", payload, &ppm(448, 448));
            println!("| `{payload}` | {grown} | {fresh} |");
        }
    }

    fn files(width: usize, height: usize) -> Vec<(&'static str, Vec<u8>)> {
        let baseline = jpeg(width, height, R_4_2_0, false);
        vec![
            ("JPEG", baseline.clone()),
            ("JPEG, turned", turned(baseline)),
            ("progressive JPEG 4:2:0", jpeg(width, height, R_4_2_0, true)),
            ("progressive JPEG 4:4:4", jpeg(width, height, R_4_4_4, true)),
            ("PNG", png(width, height, png::ColorType::Rgb)),
            ("PNG with alpha", png(width, height, png::ColorType::Rgba)),
            ("WebP", webp(width, height)),
            ("GIF", gif(width, height)),
            ("PPM", ppm(width, height)),
        ]
    }

    /// [`of_this_process`] of a new one.
    fn of_another(interpolation: &str, payload: &str, file: &[u8]) -> [String; 2] {
        let path = env::temp_dir().join(format!("athena-imaging-memory-{}", std::process::id()));
        fs::write(&path, file).expect("room for a file");
        let output = Command::new(env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "--nocapture", "figures::figures"])
            .env(
                CASE,
                format!("{interpolation},{payload},{}", path.display()),
            )
            .output()
            .expect("a process");
        fs::remove_file(path).expect("the file");
        let output = String::from_utf8_lossy(&output.stdout);
        let answer = output.lines().find_map(|line| line.split_once(MARK));
        let mut figures = answer
            .expect("an answer")
            .1
            .split_whitespace()
            .map(str::to_owned);
        std::array::from_fn(|_| figures.next().expect("two figures"))
    }

    /// What the process grows by for the first image, and what each further one allocates in large blocks, in MiB.
    fn of_this_process(case: &str) -> (f64, f64) {
        let fields: Vec<&str> = case.splitn(3, ',').collect();
        let interpolation = match fields[0] {
            "linear" => Interpolation::Linear,
            _ => Interpolation::Lanczos4,
        };
        let payload = match fields[1] {
            "WebpLossless" => PayloadKind::default(),
            "Png" => PayloadKind::Png,
            "Jpeg" => PayloadKind::Jpeg {
                quality: 90,
                subsampling: Subsampling::S444,
            },
            _ => PayloadKind::RawBgr,
        };
        let file = Bytes::from(fs::read(fields[2]).expect("the file"));
        let preprocessor = preprocessor(interpolation, payload);
        let run = || match fields[1] {
            "" => drop(preprocessor.frame(&file).expect("a sound image")),
            _ => drop(preprocessor.prepare(file.clone()).expect("a sound image")),
        };
        let before = status("VmRSS:");
        run();
        let grown = (status("VmHWM:") - before) as f64 / 1024.0;
        (grown, fresh(run) as f64 / 1024.0 / 1024.0)
    }

    /// A figure of this process, in KiB.
    fn status(name: &str) -> usize {
        let status = fs::read_to_string("/proc/self/status").expect("procfs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let figure = line.and_then(|line| line.trim().strip_suffix(" kB"));
        figure
            .and_then(|figure| figure.parse().ok())
            .expect("a figure")
    }
}
