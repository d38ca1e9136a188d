use crate::{Budget, Format, Frame, ImageError};

/// Decodes with image-webp.
#[cfg(feature = "pure-rust")]
pub(in crate::decode) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    use image_webp::{DecodingError, WebPDecoder};

    use crate::Orientation;

    let broken = |error: DecodingError| ImageError::corrupt(Format::WebP, error.to_string());
    let mut decoder = WebPDecoder::new(std::io::Cursor::new(bytes)).map_err(broken)?;
    let most = usize::try_from(budget.limits().max_decoded_bytes);
    decoder.set_memory_limit(most.unwrap_or(usize::MAX));
    let (width, height) = decoder.dimensions();
    let mut frame = Frame::zeroed(width, height, budget)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    // The pixels as the decoder gives them, and its own planes.
    budget.admit(u64::from(width) * u64::from(height) * (3 + 2 * channels))?;
    let mut pixels = vec![0; width as usize * height as usize * channels as usize];
    if decoder.is_animated() {
        decoder.read_frame(&mut pixels).map_err(broken)?;
    } else {
        decoder.read_image(&mut pixels).map_err(broken)?;
    }
    let rgb = pixels.chunks_exact(channels as usize);
    for (bgr, rgb) in frame.data_mut().chunks_exact_mut(3).zip(rgb) {
        bgr.copy_from_slice(&[rgb[2], rgb[1], rgb[0]]);
    }
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation =
        exif.map(|exif| Orientation::from_exif(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif)));
    frame.upright(orientation.unwrap_or_default(), budget)
}

/// Without a decoder there is no WebP.
#[cfg(not(feature = "pure-rust"))]
pub(in crate::decode) fn decode(_bytes: &[u8], _budget: &Budget<'_>) -> Result<Frame, ImageError> {
    Err(ImageError::unsupported(
        Format::WebP,
        "needs the feature `native` or `pure-rust`",
    ))
}
