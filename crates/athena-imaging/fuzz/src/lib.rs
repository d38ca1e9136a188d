//! What the fuzz targets share: one decoder at a time, within limits that keep a round short.
//!
//! `cargo +nightly fuzz run decode_png fuzz/corpus/png tests/fixtures`, in the folder of athena-imaging: the fixtures are the
//! seeds. With `LSAN_OPTIONS=suppressions=fuzz/leaks.txt`, what rav1d loses is no find. AVIF wants `-O`: with
//! debug assertions rav1d keeps a list of its borrows, and takes a hundred times as long.

use athena_imaging::{Format, ImageErrorKind, Limits, decode};

/// Limits under which a round takes milliseconds.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_pixels = 1 << 18;
    limits.max_decoded_bytes = 16 << 20;
    limits.max_work = 1 << 25;
    limits
}

/// Decodes files of the given formats and ignores all others; a contained panic is a find.
pub fn decode_as(formats: &[Format], data: &[u8]) {
    if Format::detect(data).is_none_or(|format| !formats.contains(&format)) {
        return;
    }
    if let Err(error) = decode(data, &limits()) {
        assert_ne!(error.kind(), ImageErrorKind::Internal, "{error}");
    }
}
