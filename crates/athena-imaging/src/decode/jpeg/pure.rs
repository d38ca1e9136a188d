//! Through zune-jpeg: no C, and not OpenCV's pixels.

use crate::needed::Needed;
use crate::{Budget, Format, Frame, ImageError};

#[cfg(feature = "pure-rust")]
pub(in crate::decode) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    use zune_core::bytestream::ZCursor;
    use zune_core::colorspace::ColorSpace;
    use zune_core::options::DecoderOptions;
    use zune_jpeg::JpegDecoder;

    use crate::Orientation;

    let broken = |error: zune_jpeg::errors::DecodeErrors| {
        ImageError::corrupt(Format::Jpeg, error.to_string())
    };
    let options = DecoderOptions::new_safe()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let info = decoder
        .info()
        .ok_or_else(|| ImageError::internal(Some(Format::Jpeg), "no headers"))?;
    let mut frame = Frame::zeroed(info.width.into(), info.height.into(), budget)?;
    decoder.decode_into(frame.data_mut()).map_err(broken)?;
    for pixel in frame.data_mut().as_chunks_mut::<3>().0 {
        pixel.swap(0, 2);
    }
    let orientation = decoder
        .exif()
        .map(|exif| Orientation::from_exif(exif))
        .unwrap_or_default();
    frame.upright(orientation, budget)
}

/// Without a decoder there is no JPEG.
#[cfg(not(feature = "pure-rust"))]
pub(in crate::decode) fn decode(_bytes: &[u8], _budget: &Budget<'_>) -> Result<Frame, ImageError> {
    Err(ImageError::unsupported(
        Format::Jpeg,
        "needs the feature `native` or `pure-rust`",
    ))
}

/// Decodes every pixel: this decoder leaves none out.
pub(in crate::decode) fn decode_needed(
    bytes: &[u8],
    budget: &Budget<'_>,
    _needed: impl FnOnce(u32, u32) -> Option<Needed>,
) -> Result<(Frame, (u32, u32)), ImageError> {
    let frame = decode(bytes, budget)?;
    let size = (frame.width(), frame.height());
    Ok((frame, size))
}
