#[cfg(feature = "native")]
mod libwebp;
#[cfg(all(not(feature = "native"), feature = "pure-rust"))]
mod pure;

#[cfg(feature = "native")]
pub(super) use libwebp::encode;
#[cfg(all(not(feature = "native"), feature = "pure-rust"))]
pub(super) use pure::encode;

/// Without an encoder there is no WebP.
#[cfg(not(any(feature = "native", feature = "pure-rust")))]
pub(super) fn encode(_frame: &crate::Frame) -> Result<Vec<u8>, crate::ImageError> {
    Err(crate::ImageError::invalid_setting(
        "lossless WebP needs the feature `native` or `pure-rust`",
    ))
}
