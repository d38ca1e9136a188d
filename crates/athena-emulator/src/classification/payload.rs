//! From the bytes of an input to its 448 x 448 BGR frame.

use std::io::Read;

use athena_imaging::{FRAME_BYTES, SIDE};
use athena_proto::{
    ClassificationError, ClassificationInput, ErrorCode, ImageFormat, RequestEncoding,
};
use bytes::Bytes;

use super::{failure, image_error};

/// Size of the blocks that the decompressor reads and writes.
const BLOCK: usize = 64 << 10;

pub(super) fn frame(
    input: &ClassificationInput,
    max_bytes: usize,
) -> Result<Bytes, ClassificationError> {
    let data = decompress(input, max_bytes)?;
    match ImageFormat::try_from(input.format) {
        Ok(ImageFormat::RawUint8Bgr) if data.len() == FRAME_BYTES => Ok(data),
        Ok(ImageFormat::RawUint8Bgr) => Err(image_error(format!(
            "a raw image has {FRAME_BYTES} bytes, this one has {}",
            data.len()
        ))),
        Ok(ImageFormat::Unspecified) => Err(image_error("the image format is not specified")),
        Err(_) => Err(image_error(format!(
            "there is no image format {}",
            input.format
        ))),
        Ok(_) => decode(&data),
    }
}

fn decompress(input: &ClassificationInput, max_bytes: usize) -> Result<Bytes, ClassificationError> {
    if input.data.len() > max_bytes {
        return Err(too_large(max_bytes));
    }
    match RequestEncoding::try_from(input.encoding) {
        Ok(RequestEncoding::Unspecified | RequestEncoding::Uncompressed) => Ok(input.data.clone()),
        Ok(RequestEncoding::Brotli) => {
            let mut data = Vec::new();
            // One byte more than allowed tells a bomb from an image that just fits.
            brotli::Decompressor::new(&input.data[..], BLOCK)
                .take(max_bytes as u64 + 1)
                .read_to_end(&mut data)
                .map_err(|_| image_error("the data is not a complete Brotli stream"))?;
            if data.len() > max_bytes {
                return Err(too_large(max_bytes));
            }
            Ok(data.into())
        }
        _ => Err(image_error(format!(
            "there is no encoding {}",
            input.encoding
        ))),
    }
}

fn decode(data: &[u8]) -> Result<Bytes, ClassificationError> {
    let mut limits = athena_imaging::Limits::default();
    // A larger picture is refused anyway: no need to unfold all of it first.
    limits.max_pixels = 1 << 24;
    let frame = athena_imaging::decode(data, &limits).map_err(image_error)?;
    let side = SIDE as u32;
    if (frame.width(), frame.height()) != (side, side) {
        return Err(image_error(format!(
            "the image must be {SIDE} x {SIDE} pixels, this one is {} x {}",
            frame.width(),
            frame.height()
        )));
    }
    Ok(frame.into_data().into())
}

fn too_large(max_bytes: usize) -> ClassificationError {
    failure(
        ErrorCode::ImageTooLarge,
        format!("Image is too large: at most {max_bytes} bytes are accepted."),
        "",
    )
}
