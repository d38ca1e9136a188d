//! Damaged files never make a decoder panic, take more memory than the limits allow, or run for long.
//!
//! Every fixture is damaged in as many ways as ATHENA_IMAGING_MUTATIONS says (100 unless told), the same ones each time.
#![allow(unsafe_code)] // an allocator that measures

mod measure;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_imaging::{ImageErrorKind, Limits, decode, frames};
use measure::{Clock, Memory};

/// CPU time for one file.
const MOST_TIME: Duration = Duration::from_secs(1);
/// What one decoder may hold.
const MOST_BYTES: u64 = 8 << 20;
/// How far the system's count may be off: code and stacks as they are first used, and each processor reports in batches.
const TOLERANCE: u64 = 8 << 20;
/// Offsets and byte counts of a TIFF's strips, at most 2^20 of each: they are read before the limits are looked at.
const TIFF_TABLES: u64 = 16 << 20;

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

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "tsv"))
        .collect();
    paths.sort();
    paths
}

/// The damaged file that is being decoded, and since when.
#[derive(Debug, Clone, Default)]
struct Running {
    file: String,
    clock: Option<Clock>,
    since: Duration,
}

impl Running {
    fn start(file: String) -> Self {
        let clock = Clock::of_this_thread();
        let since = clock.and_then(Clock::now).unwrap_or_default();
        Self { file, clock, since }
    }

    /// Its CPU time so far, if the system tells.
    fn time(&self) -> Option<Duration> {
        Some(self.clock?.now()?.saturating_sub(self.since))
    }

    fn check_time(&self) {
        let time = self.time().unwrap_or_default();
        assert!(time < MOST_TIME, "{}: {time:?} of CPU time", self.file);
    }
}

#[test]
fn damaged_files_neither_panic_nor_exceed_the_limits_nor_hang() {
    let running = Arc::new(Mutex::new(Running::default()));
    let (ended, end) = channel::<()>();
    let worker = std::thread::spawn({
        let running = running.clone();
        move || {
            let _ended = ended;
            decode_all(&running);
        }
    });
    // What never ends cannot complain itself.
    while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(Duration::from_secs(1)) {
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        running.check_time();
    }
    if let Err(panic) = worker.join() {
        resume_unwind(panic);
    }
}

fn decode_all(running: &Mutex<Running>) {
    let mutations = std::env::var("ATHENA_IMAGING_MUTATIONS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(100);
    let mut limits = Limits::default();
    limits.max_pixels = 1 << 18;
    limits.max_decoded_bytes = MOST_BYTES;
    let (mut largest, mut slowest) = <((u64, String), (Duration, String))>::default();
    for path in fixtures() {
        let bytes = fs::read(&path).expect("a fixture");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let tables = if name.starts_with("tiff") {
            TIFF_TABLES
        } else {
            0
        };
        let allowed = MOST_BYTES + tables + TOLERANCE;
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ bytes.len() as u64);
        for nth in 0..mutations {
            let damaged = damage(&bytes, &mut random);
            let this = Running::start(format!("{name}, damage {nth}"));
            *running.lock().expect("the watcher lives") = this.clone();
            LARGEST.store(0, Ordering::Relaxed);
            let memory = Memory::watch();
            let errors = [
                decode(&damaged, &limits).err(),
                frames(&damaged, 3, &limits).err(),
            ];
            let file = &this.file;
            for error in errors.into_iter().flatten() {
                assert_ne!(error.kind(), ImageErrorKind::Internal, "{file}: {error}");
            }
            let block = LARGEST.load(Ordering::Relaxed) as u64;
            assert!(block <= MOST_BYTES, "{file}: {block} bytes at once");
            if let Some(most) = memory.and_then(Memory::most) {
                assert!(most <= allowed, "{file}: {most} bytes of memory");
                largest = largest.max((most, file.clone()));
            }
            this.check_time();
            slowest = slowest.max((this.time().unwrap_or_default(), this.file));
        }
    }
    println!("the slowest: {slowest:?}; the largest: {largest:?}");
}
