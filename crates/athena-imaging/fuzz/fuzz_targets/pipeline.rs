#![no_main]

use athena_imaging::{ImageErrorKind, PayloadKind, Preprocessor};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let builder = Preprocessor::builder()
        .payload(PayloadKind::RawBgr)
        .limits(athena_imaging_fuzz::limits());
    let preprocessor = builder.build().expect("sound settings");
    match preprocessor.prepare(data.to_vec()) {
        Ok(prepared) => assert_eq!(prepared.data.len(), athena_imaging::FRAME_BYTES),
        Err(error) => assert_ne!(error.kind(), ImageErrorKind::Internal, "{error}"),
    }
});
