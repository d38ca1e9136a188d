#![no_main]

use athena_imaging::Format;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    athena_imaging_fuzz::decode_as(&[Format::Pbm, Format::Pgm, Format::Ppm, Format::Pam], data);
});
