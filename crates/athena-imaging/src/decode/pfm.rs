use crate::{Format, Frame, ImageError, Limits};

pub(super) fn decode(_bytes: &[u8], _limits: &Limits) -> Result<Frame, ImageError> {
    Err(ImageError::unsupported(
        Format::Pfm,
        "no decoder is built in",
    ))
}
