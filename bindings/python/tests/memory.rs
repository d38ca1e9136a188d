//! The allocator of the package's library, in a process without an interpreter.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[path = "../src/memory.rs"]
mod memory;

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

/// What a process has in memory is not one test's alone.
static TURN: Mutex<()> = Mutex::new(());

/// Sizes on both sides of every border: small, large, of two classes, kept or not.
const SIZES: [usize; 9] = [
    1,
    100_000,
    128 << 10,
    150_000,
    602_112,
    1_204_300,
    2 << 20,
    (2 << 20) + 1,
    5_000_000,
];

fn filled(size: usize, byte: u8) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(size);
    buffer.resize(size, byte);
    buffer
}

fn holds(buffer: &[u8], byte: u8) -> bool {
    buffer.iter().all(|&other| other == byte)
}

/// Buffers are made by one thread, grown and shrunk by another, and freed by a third.
#[test]
fn nobody_has_what_another_one_has() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (made, grown) = (mpsc::sync_channel(4), mpsc::sync_channel(4));
    thread::scope(|scope| {
        for maker in 0..3_u8 {
            let made = made.0.clone();
            scope.spawn(move || {
                for round in 0..60_usize {
                    let byte = maker * 60 + round as u8;
                    let size = SIZES[(round * 7 + usize::from(maker)) % SIZES.len()];
                    made.send((filled(size, byte), byte))
                        .expect("somebody takes it");
                }
            });
        }
        scope.spawn({
            let grown = grown.0.clone();
            let made = made.1;
            move || {
                for (round, (mut buffer, byte)) in made.into_iter().enumerate() {
                    assert!(holds(&buffer, byte));
                    buffer.resize(SIZES[round * 5 % SIZES.len()], byte);
                    buffer.shrink_to_fit();
                    grown.send((buffer, byte)).expect("somebody takes it");
                }
            }
        });
        drop((made.0, grown.0));
        for (buffer, byte) in grown.1 {
            assert!(holds(&buffer, byte));
            assert!(holds(&vec![0; buffer.len()], 0));
        }
    });
}

#[test]
fn what_is_freed_goes_back_to_the_system() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Of 150,000 bytes each, which glibc would keep once one had been freed.
    drop(filled(1 << 20, 1));
    let before = resident();
    let buffers: Vec<_> = (0..400).map(|_| filled(150_000, 1)).collect();
    assert!(resident() > before + (40 << 20));
    // The last one stays, so that no heap could shrink.
    let last = buffers.into_iter().next_back();
    assert!(resident() < before + (20 << 20), "{} {before}", resident());
    drop(last);
}

/// Bytes of this process in memory, those of files left out.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kilobytes.expect("Linux says it") << 10
}
