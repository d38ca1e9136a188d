#![no_main]

//! Any pixels, in any shape, come back from every effort, and the smallest is never larger than the default.

use athena_imaging::{Frame, Limits, WebpEffort, decode, encode_webp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, bool, Vec<u8>)| {
    let (width, doubled, mut data) = input;
    if doubled {
        data.extend_from_within(..);
    }
    let width = u32::from(width).clamp(1, 600).min(data.len() as u32 / 3);
    if width == 0 {
        return;
    }
    let height = (data.len() as u32 / 3 / width).min(16_383);
    data.truncate((width * height * 3) as usize);
    let frame = Frame::from_bgr(width, height, data).expect("the bytes of a frame");
    let efforts = [WebpEffort::Fastest, WebpEffort::Default, WebpEffort::Small];
    let [_, default, small] = efforts.map(|effort| {
        let file = encode_webp(&frame, effort).expect("a frame within the limits");
        assert!(decode(&file, &Limits::default()).expect("what was encoded") == frame);
        file.len()
    });
    assert!(small <= default);
});
