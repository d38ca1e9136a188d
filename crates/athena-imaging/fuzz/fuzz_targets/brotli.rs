#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let limits = athena_imaging_fuzz::limits();
    if let Ok(out) = athena_imaging::decompress_brotli(data, &limits) {
        assert!(out.len() as u64 <= limits.max_payload_bytes);
    }
});
