//! Damaged files never make a decoder panic, and never allocate more at once than the limits allow.
//!
//! Every fixture is damaged in as many ways as ATHENA_IMAGING_MUTATIONS says (100 unless told), the same ones each time.
#![allow(unsafe_code)] // an allocator that measures

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use athena_imaging::{ImageErrorKind, Limits, decode};

/// The largest single allocation so far.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Measuring;

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// A small generator (xorshift64*): the same damage on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 8] = [0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, 3];
        match self.below(2) {
            0 => TELLING[self.below(8)],
            _ => self.below(256) as u8,
        }
    }
}

fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(damaged.len());
        let near_start = random.below(damaged.len().min(80));
        let other = random.below(damaged.len());
        match random.below(8) {
            0 => damaged.truncate(at),
            1 | 2 => damaged[near_start] = random.byte(),
            3 => damaged[at] = random.byte(),
            4 => damaged[at] ^= 1 << random.below(8),
            5 => damaged.insert(at, random.byte()),
            6 => {
                let end = damaged.len().min(at + 1 + random.below(16));
                let to = other.min(damaged.len() - (end - at));
                damaged.copy_within(at..end, to);
            }
            _ => {
                damaged.remove(at);
            }
        }
        if damaged.is_empty() {
            break;
        }
    }
    damaged
}

#[test]
fn damaged_files_neither_panic_nor_exceed_the_limits() {
    let mutations = std::env::var("ATHENA_IMAGING_MUTATIONS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(100);
    let mut limits = Limits::default();
    limits.max_pixels = 1 << 18;
    limits.max_decoded_bytes = 8 << 20;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "tsv"))
        .collect();
    paths.sort();
    for path in &paths {
        let bytes = fs::read(path).expect("a fixture");
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ bytes.len() as u64);
        for nth in 0..mutations {
            let damaged = damage(&bytes, &mut random);
            LARGEST.store(0, Ordering::Relaxed);
            if let Err(error) = decode(&damaged, &limits) {
                assert_ne!(
                    error.kind(),
                    ImageErrorKind::Internal,
                    "{path:?}, damage {nth}: {error}"
                );
            }
            let largest = LARGEST.load(Ordering::Relaxed) as u64;
            assert!(
                largest <= limits.max_decoded_bytes,
                "{path:?}, damage {nth}: {largest} bytes at once"
            );
        }
    }
}
