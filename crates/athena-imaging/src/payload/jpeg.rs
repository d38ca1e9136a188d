use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::Subsampling;
use crate::{Frame, ImageError};

pub(super) fn encode(
    frame: &Frame,
    quality: u8,
    subsampling: Subsampling,
) -> Result<Vec<u8>, ImageError> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(match subsampling {
        Subsampling::S444 => SamplingFactor::F_1_1,
        Subsampling::S422 => SamplingFactor::F_2_1,
        Subsampling::S420 => SamplingFactor::F_2_2,
    });
    let side = crate::SIDE as u16;
    encoder
        .encode(frame.data(), side, side, ColorType::Bgr)
        .map_err(|e| super::encoder_fault("JPEG", e))?;
    Ok(out)
}
