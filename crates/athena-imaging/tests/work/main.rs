//! Files that are made to cost far more than their size: none takes more work or memory than the limits allow, and each can
//! be given up at any time.
//!
//! `cargo test --release -p athena-imaging --test work -- --ignored --nocapture` prints the figures of docs/images.md.
#![cfg(feature = "native")]
#![allow(unsafe_code)] // clocks, and an encoder in C

#[path = "../measure/mod.rs"]
mod measure;

#[cfg(feature = "avif")]
mod avif;
mod gif;
mod jpeg;
mod others;
mod png;
mod tiff;
mod webp;

use std::cell::Cell;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use athena_imaging::{
    ImageError, ImageErrorKind, Limits, PayloadKind, Preprocessor, decode, frames, inspect,
};
use measure::{Clock, Memory};

/// How much of everything a file has.
#[derive(Debug, Clone, Copy)]
struct Scale {
    flood: usize,
    side: u16,
}

struct File {
    name: &'static str,
    bytes: Vec<u8>,
}

fn file(name: &'static str, bytes: Vec<u8>) -> File {
    File { name, bytes }
}

/// Words of 16 bits, the upper byte first.
fn words<const N: usize>(words: [u16; N]) -> Vec<u8> {
    words.map(u16::to_be_bytes).concat()
}

/// `len` zeroes as zlib writes them: matches of 258 bytes in the fixed code, 13 bits each.
fn deflated(len: usize) -> Vec<u8> {
    const LONGEST: usize = 258;
    let mut bytes = vec![0x78, 0x01];
    let (mut buffer, mut held) = (0_u64, 0);
    // A code's bits come from the top, everything else from the bottom.
    let mut put = |bits: u64, count: u32| {
        buffer |= bits << held;
        held += count;
        while held >= 8 {
            bytes.push(buffer as u8);
            buffer >>= 8;
            held -= 8;
        }
    };
    let reversed = |code: u64, count: u32| code.reverse_bits() >> (64 - count);
    let (zero, match_258) = (reversed(0x30, 8), reversed(0xC5, 8));
    put(0b011, 3);
    let matches = (len - 1) / LONGEST;
    (0..len - matches * LONGEST).for_each(|_| put(zero, 8));
    (0..matches).for_each(|_| put(match_258, 8 + 5));
    put(0, 7 + 7);
    let checksum = ((len % 65521) << 16 | 1) as u32;
    bytes.extend(checksum.to_be_bytes());
    bytes
}

fn files(scale: Scale) -> Vec<(&'static str, Vec<File>)> {
    vec![
        #[cfg(feature = "avif")]
        ("AVIF", avif::files(scale)),
        ("JPEG", jpeg::files(scale)),
        ("PNG", png::files(scale)),
        ("GIF", gif::files(scale)),
        ("WebP", webp::files(scale)),
        ("TIFF", tiff::files(scale)),
        ("other", others::files(scale)),
    ]
}

/// CPU time of this thread for a call.
fn time<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let clock = Clock::of_this_thread();
    let now = || clock.and_then(Clock::now).unwrap_or_default();
    let before = now();
    let result = call();
    (result, now().saturating_sub(before))
}

/// What a loop of so many steps takes, compiled as the crate is: about a nanosecond for each, optimised.
fn reference(steps: u64) -> Duration {
    const FACTOR: u64 = 6_364_136_223_846_793_005;
    let steps = || {
        (0..steps).fold(1_u64, |product, step| {
            black_box(product.wrapping_mul(FACTOR) ^ step)
        })
    };
    (0..3).map(|_| time(steps).1).min().unwrap_or_default()
}

/// Memory is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

const SMALL: Scale = Scale {
    flood: 1,
    side: 2000,
};

type Way<'a> = &'a dyn Fn() -> Result<(), ImageError>;

#[test]
fn hostile_files_cost_what_the_limits_allow_and_no_more() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const WORK: u64 = 1 << 23;
    const MEMORY: u64 = 32 << 20;
    // A unit of work in C without optimisation takes about as long as a step of the loop without it; in both builds the
    // slowest file stays below half of this.
    const STEPS_FOR_A_UNIT: u32 = 8;
    const TOLERANCE: u64 = 8 << 20;
    let mut limits = Limits::default();
    limits.max_work = WORK;
    limits.max_decoded_bytes = MEMORY;
    let preprocessor = Preprocessor::builder().limits(limits.clone());
    let preprocessor = preprocessor.build().expect("sound settings");
    let allowed = reference(WORK) * STEPS_FOR_A_UNIT;
    let (mut slowest, mut largest) = <((Duration, String), (u64, String))>::default();
    for (format, files) in files(Scale {
        flood: 1,
        side: 2000,
    }) {
        for File { name, bytes } in files {
            let ways: [(&str, Way<'_>); 4] = [
                ("inspect", &|| inspect(&bytes).map(drop)),
                ("decode", &|| decode(&bytes, &limits).map(drop)),
                ("frames", &|| frames(&bytes, 1000, &limits).map(drop)),
                ("frame", &|| preprocessor.frame(&bytes).map(drop)),
            ];
            for (way, call) in ways {
                let memory = Memory::watch();
                let (result, took) = time(call);
                let most = memory.and_then(Memory::most).unwrap_or_default();
                let label = format!("{format}, {name}: {way}");
                if let Err(error) = result {
                    assert_ne!(error.kind(), ImageErrorKind::Internal, "{label}: {error}");
                }
                assert!(
                    took <= allowed,
                    "{label}: {took:?}, {allowed:?} are allowed"
                );
                assert!(most <= MEMORY + TOLERANCE, "{label}: {most} bytes");
                slowest = slowest.max((took, label.clone()));
                largest = largest.max((most, label));
            }
        }
    }
    println!("{allowed:?} are allowed; the slowest: {slowest:?}; the largest: {largest:?}");
}

#[test]
fn a_caller_who_gives_up_is_heard_within_milliseconds() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Two million steps of the loop take about two milliseconds, optimised.
    const STEPS: u64 = 2 << 20;
    const TIMES: u32 = 16;
    // libwebp decodes a lossless image, and composes a canvas, in one go.
    const DEAF: [&str; 2] = [
        "one colour, lossless",
        "frames of one pixel on a large canvas",
    ];
    let mut limits = Limits::default();
    limits.max_work = 1 << 26;
    let preprocessor = Preprocessor::builder()
        .limits(limits)
        .payload(PayloadKind::RawBgr);
    let preprocessor = preprocessor.build().expect("sound settings");
    let allowed = reference(STEPS) * TIMES;
    let clock = Clock::of_this_thread();
    let now = || clock.and_then(Clock::now).unwrap_or_default();
    let mut longest = <(Duration, String)>::default();
    for (format, files) in files(SMALL) {
        for File { name, bytes } in files.into_iter().filter(|file| !DEAF.contains(&file.name)) {
            let (last, most) = (Cell::new(now()), Cell::new(Duration::ZERO));
            let asked = || {
                most.set(most.get().max(now().saturating_sub(last.replace(now()))));
                false
            };
            drop(preprocessor.prepare_until(bytes, asked));
            asked();
            longest = longest.max((most.get(), format!("{format}, {name}")));
            eprintln!("{:?} {format}, {name}", most.get());
        }
    }
    println!("{allowed:?} are allowed; the longest: {longest:?}");
    assert!(longest.0 <= allowed, "{longest:?}, {allowed:?} are allowed");
}

/// The figures of docs/images.md, within the default limits.
#[test]
#[ignore = "prints figures"]
fn figures() {
    let folder = std::env::var_os("ATHENA_IMAGING_HOSTILE").map(std::path::PathBuf::from);
    let scale = Scale {
        flood: 20,
        side: 11_000,
    };
    let limits = Limits::default();
    println!("| format | file | bytes | CPU, ms | memory, MiB | outcome |");
    println!("| --- | --- | ---: | ---: | ---: | --- |");
    for (format, files) in files(scale) {
        for (nth, File { name, bytes }) in files.into_iter().enumerate() {
            if let Some(folder) = &folder {
                let path = folder.join(format!("{format}-{nth:02}"));
                std::fs::write(path, &bytes).expect("room for the file");
            }
            let memory = Memory::watch();
            let (result, took) = time(|| decode(&bytes, &limits).map(drop));
            let (sampled, more) = time(|| frames(&bytes, 10, &limits).map(drop));
            let most = memory.and_then(Memory::most).unwrap_or_default() >> 20;
            let outcome = result
                .and(sampled)
                .err()
                .map_or("decoded".into(), |error| error.to_string());
            let (len, took) = (bytes.len(), took.max(more).as_millis());
            println!("| {format} | {name} | {len} | {took} | {most} | {outcome} |");
        }
    }
}
