use crate::{Format, Frame, ImageError, Limits};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Frame, ImageError> {
    super::through_image(bytes, Format::Bmp, image::ImageFormat::Bmp, limits)
}
