#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| athena_imaging_fuzz::decode_as(
    &[athena_imaging::Format::Avif],
    data
));
