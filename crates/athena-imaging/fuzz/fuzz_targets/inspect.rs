#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = athena_imaging::Format::detect(data);
    let _ = athena_imaging::inspect(data);
});
