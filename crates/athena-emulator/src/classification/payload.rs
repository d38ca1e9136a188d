//! From the bytes of an input to its 448 x 448 BGR frame.

use athena_imaging::{FRAME_BYTES, SIDE};
use athena_proto::{
    ClassificationError, ClassificationInput, ErrorCode, ImageFormat, RequestEncoding,
};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::Bytes;

use super::{failure, image_error};

/// Size of the blocks that the decompressor writes.
const BLOCK: usize = 64 << 10;

/// The frame of an input. Bytes behind the end of a Brotli stream are an error if `strict`.
pub(super) fn frame(
    input: &ClassificationInput,
    max_bytes: usize,
    strict: bool,
) -> Result<Bytes, ClassificationError> {
    let data = decompress(input, max_bytes, strict)?;
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

fn decompress(
    input: &ClassificationInput,
    max_bytes: usize,
    strict: bool,
) -> Result<Bytes, ClassificationError> {
    if input.data.len() > max_bytes {
        return Err(too_large(max_bytes));
    }
    match RequestEncoding::try_from(input.encoding) {
        Ok(RequestEncoding::Unspecified | RequestEncoding::Uncompressed) => Ok(input.data.clone()),
        Ok(RequestEncoding::Brotli) => {
            let (data, rest) = unbrotli(&input.data, max_bytes)?;
            if strict && rest > 0 {
                let reason = format!("there are {rest} bytes behind the end of the Brotli stream");
                return Err(image_error(reason));
            }
            Ok(data.into())
        }
        _ => Err(image_error(format!(
            "there is no encoding {}",
            input.encoding
        ))),
    }
}

/// What a Brotli stream holds, at most `max_bytes`, and how many bytes are behind its end.
fn unbrotli(compressed: &[u8], max_bytes: usize) -> Result<(Vec<u8>, usize), ClassificationError> {
    let mut state = BrotliState::new(
        brotli::enc::StandardAlloc::default(),
        brotli::enc::StandardAlloc::default(),
        brotli::enc::StandardAlloc::default(),
    );
    let (mut available_in, mut offset_in) = (compressed.len(), 0);
    let mut block = vec![0; BLOCK];
    let mut data = Vec::new();
    let mut total = 0;
    loop {
        let (mut available_out, mut offset_out) = (block.len(), 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut offset_in,
            compressed,
            &mut available_out,
            &mut offset_out,
            &mut block,
            &mut total,
            &mut state,
        );
        data.extend_from_slice(&block[..offset_out]);
        if data.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        match result {
            BrotliResult::ResultSuccess => return Ok((data, available_in)),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(image_error("the data is not a complete Brotli stream"));
            }
        }
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
