use crate::{Format, Frame, ImageError, Limits};

pub(super) fn decode(_bytes: &[u8], _limits: &Limits) -> Result<Frame, ImageError> {
    Err(ImageError::unsupported(
        Format::Tiff,
        "no decoder is built in",
    ))
}
