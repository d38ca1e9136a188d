//! Every fixture decodes to the very bytes that OpenCV gives, and is refused where OpenCV refuses it.
//!
//! A golden.tsv (see scripts/golden.py) says what OpenCV gives. Further folders can be named, separated by colons, in
//! ATHENA_IMAGING_CORPUS: scripts/corpus writes thousands of files for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use athena_imaging::{Limits, decode};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![
        root.join("tests/fixtures"),
        root.join("../../../shared/images"),
    ];
    if let Some(more) = std::env::var_os("ATHENA_IMAGING_CORPUS") {
        folders.extend(std::env::split_paths(&more));
    }
    folders.retain(|folder| folder.exists());
    folders
}

#[test]
fn decoded_frames_equal_opencv() {
    let differences: Vec<String> = folders().iter().flat_map(|folder| check(folder)).collect();
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn check(folder: &Path) -> Vec<String> {
    let golden = fs::read_to_string(folder.join("golden.tsv")).expect("a golden.tsv");
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut differences = Vec::new();
    for line in golden.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (name, expected) = (columns[0], columns[1..4].join(" "));
        if name.ends_with(".avif") && cfg!(not(feature = "avif")) {
            continue;
        }
        let bytes = fs::read(folder.join(name)).expect("a file of golden.tsv");
        let actual = match decode(&bytes, &Limits::default()) {
            Ok(frame) => format!(
                "{} {} {}",
                frame.width(),
                frame.height(),
                HEXLOWER.encode(&Sha256::digest(frame.data()))
            ),
            Err(error) => format!("- - refused ({error})"),
        };
        let same = actual.split(" (").next() == Some(&expected);
        let group = groups.entry(name.rsplit('.').next().unwrap_or_default());
        let (identical, total) = group.or_default();
        *identical += usize::from(same);
        *total += 1;
        if !same {
            differences.push(format!("{name}: expected {expected}, got {actual}"));
        }
    }
    println!("{}, identical of total: {groups:?}", folder.display());
    differences
}
