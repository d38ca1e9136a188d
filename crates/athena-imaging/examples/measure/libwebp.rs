//! libwebp's own encoder at its quickest lossless level, to compare with.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use athena_imaging::Frame;
use libwebp_sys::{WebPConfig, WebPConfigLosslessPreset, WebPEncode, WebPPicture, WebPPictureFree};

/// The quickest; higher ones take 5 to 15 times as long for 8 to 12 % fewer bytes.
const LEVEL: c_int = 0;

/// Encodes losslessly.
pub(crate) fn encode(frame: &Frame) -> Result<Vec<u8>, &'static str> {
    let fault = || "libwebp gave no reason";
    let mut config = WebPConfig::new().map_err(|()| fault())?;
    // SAFETY: the configuration is initialised.
    if unsafe { WebPConfigLosslessPreset(&mut config, LEVEL) } == 0 {
        return Err(fault());
    }
    let mut argb: Vec<u32> = frame
        .data()
        .chunks_exact(3)
        .map(|p| u32::from_be_bytes([0xFF, p[2], p[1], p[0]]))
        .collect();
    let mut out: Vec<u8> = Vec::with_capacity(frame.data().len() / 2);

    let mut picture = WebPPicture::new().map_err(|()| fault())?;
    picture.use_argb = 1;
    picture.width = frame.width() as c_int;
    picture.height = frame.height() as c_int;
    picture.argb = argb.as_mut_ptr();
    picture.argb_stride = picture.width;
    picture.writer = Some(append);
    picture.custom_ptr = (&raw mut out).cast::<c_void>();
    // SAFETY: the pixels and the output outlive the call, and nothing else touches them meanwhile.
    let encoded = unsafe { WebPEncode(&config, &mut picture) } != 0;
    // SAFETY: frees what the encoder allocated; the pixels are not its own.
    unsafe { WebPPictureFree(&mut picture) };
    if encoded { Ok(out) } else { Err(fault()) }
}

/// libwebp's writer: appends to the vector behind the picture's `custom_ptr`.
extern "C" fn append(data: *const u8, len: usize, picture: *const WebPPicture) -> c_int {
    // SAFETY: libwebp hands over `len` bytes and the picture that it was given, whose pointer is to a live vector.
    unsafe {
        let out = &mut *(*picture).custom_ptr.cast::<Vec<u8>>();
        out.extend_from_slice(std::slice::from_raw_parts(data, len));
    }
    1
}
