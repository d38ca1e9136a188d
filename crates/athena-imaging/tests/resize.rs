//! The whole way from a file to the frame equals OpenCV's, in every exact mode.

use std::fs;
use std::path::Path;

use athena_imaging::{Interpolation, Preprocessor, sha256_hex};

const MODES: [Interpolation; 4] = [
    Interpolation::Linear,
    Interpolation::Nearest,
    Interpolation::Area,
    Interpolation::Lanczos4,
];

#[test]
fn resized_frames_equal_opencv() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let golden = fs::read_to_string(folder.join("golden.tsv")).expect("a golden.tsv");
    let mut checked = 0;
    // Without optimisation a resize takes its time: a sample of the files, drawn from all formats.
    for line in golden.lines().skip(1).step_by(11) {
        let columns: Vec<&str> = line.split('\t').collect();
        let Some(expected) = columns.get(4..8) else {
            continue;
        };
        if columns[0].ends_with(".avif") && cfg!(not(feature = "avif")) {
            continue;
        }
        let bytes = fs::read(folder.join(columns[0])).expect("a file of golden.tsv");
        for (mode, expected) in MODES.into_iter().zip(expected) {
            let preprocessor = Preprocessor::builder()
                .interpolation(mode)
                .build()
                .expect("sound settings");
            let frame = preprocessor
                .frame(&bytes)
                .expect("a file that OpenCV decodes");
            assert_eq!(
                sha256_hex(frame.data()),
                *expected,
                "{} by {mode:?}",
                columns[0]
            );
            checked += 1;
        }
    }
    assert!(checked > 0, "no fixture has resized frames");
}
