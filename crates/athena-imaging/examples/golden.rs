//! Checks every file that a folder's `golden.tsv` lists: `cargo run --release --example golden -- FOLDER`.
//!
//! A line holds a file's name, its width and height, and the SHA-256 of OpenCV's frames: as decoded, and resized by
//! linear, nearest, area and lanczos4; or `refused`.

use std::collections::BTreeMap;
use std::path::Path;

use athena_imaging::{
    Format, Frame, ImageError, Interpolation, Limits, Preprocessor, decode, sha256_hex,
};

const COLUMNS: [(&str, Option<Interpolation>); 5] = [
    ("decoded", None),
    ("linear", Some(Interpolation::Linear)),
    ("nearest", Some(Interpolation::Nearest)),
    ("area", Some(Interpolation::Area)),
    ("lanczos4", Some(Interpolation::Lanczos4)),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder?")?;
    let folder = Path::new(&folder);
    let mut tally: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for line in std::fs::read_to_string(folder.join("golden.tsv"))?
        .lines()
        .skip(1)
    {
        let fields: Vec<&str> = line.split('\t').collect();
        let (name, expected) = (fields[0], &fields[3..]);
        let Ok(bytes) = std::fs::read(folder.join(name)) else {
            continue;
        };
        if std::env::var_os("TRACE").is_some() {
            eprintln!("{name}");
        }
        let faults = differences(&bytes, expected);
        let format = Format::detect(&bytes).map_or("unknown", Format::name);
        let (good, all) = tally.entry(format.into()).or_default();
        *all += 1;
        if faults.is_empty() {
            *good += 1;
        } else {
            println!("{name}: {}", faults.join("; "));
        }
    }
    for (format, (good, all)) in tally {
        println!("{format}: {good} of {all}");
    }
    Ok(())
}

/// What differs from the expected digests, in words.
fn differences(bytes: &[u8], expected: &[&str]) -> Vec<String> {
    let refused = expected[0] == "refused";
    let mut faults = Vec::new();
    for ((what, interpolation), expected) in COLUMNS.into_iter().zip(expected) {
        match (frame(bytes, interpolation), refused) {
            (Err(_), true) => {}
            (Err(error), false) => faults.push(format!("{what} refused ({error})")),
            (Ok(_), true) => faults.push(format!("{what} not refused")),
            (Ok(frame), false) if sha256_hex(frame.data()) != *expected => {
                faults.push(format!("{what} differs"));
            }
            (Ok(_), false) => {}
        }
    }
    faults
}

fn frame(bytes: &[u8], interpolation: Option<Interpolation>) -> Result<Frame, ImageError> {
    match interpolation {
        None => decode(bytes, &Limits::default()),
        Some(interpolation) => Preprocessor::builder()
            .interpolation(interpolation)
            .build()?
            .frame(bytes),
    }
}
