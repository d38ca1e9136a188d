use std::io::Read;

use brotli::enc::BrotliEncoderParams;

use crate::{ImageError, Limits, error::Quantity};

pub(super) fn compress(mut data: &[u8], quality: u8) -> Result<Vec<u8>, ImageError> {
    let params = BrotliEncoderParams {
        quality: quality.into(),
        size_hint: data.len(),
        ..Default::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut data, &mut out, &params)
        .map_err(|e| super::encoder_fault("Brotli", e))?;
    Ok(out)
}

pub(super) fn decompress(data: &[u8], limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let limit = limits.max_payload_bytes;
    let mut out = Vec::new();
    brotli::Decompressor::new(data, 4096)
        .take(limit.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(|_| ImageError::invalid_setting("the data is not a complete Brotli stream"))?;
    if out.len() as u64 > limit {
        return Err(ImageError::too_large(
            None,
            Quantity::PayloadBytes,
            out.len() as u64,
            limit,
        ));
    }
    Ok(out)
}
