use crate::{Format, ImageError, error::Quantity};

/// What an image may cost at most; every decoder checks before it allocates.
///
/// The defaults admit a photograph of 100 megapixels and stop decompression bombs.
///
/// ```
/// use athena_imaging::Limits;
///
/// let mut limits = Limits::default();
/// limits.max_pixels = 40_000_000;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the file. Default: 256 MiB.
    pub max_file_bytes: u64,
    /// Width in pixels. Default: 1,048,576, which is OpenCV's own limit.
    pub max_width: u32,
    /// Height in pixels. Default: 1,048,576, which is OpenCV's own limit.
    pub max_height: u32,
    /// Width times height. Default: 134,217,728 (128 Mi), three bytes of memory each.
    pub max_pixels: u64,
    /// Bytes a decoder may hold for one image, its output included. Default: 1 GiB.
    pub max_decoded_bytes: u64,
    /// Work to decode one image: each byte read, each pixel, coefficient or decoded byte touched is a unit, as often as that
    /// happens, scans, passes and frames included; what takes much longer than a nanosecond counts several times. Default:
    /// 2,147,483,648 (2 Gi), about a second: a photograph of 100 megapixels takes up to 1.9 billion, most take millions.
    pub max_work: u64,
    /// Frames of an animation that are looked at. Default: 1,000.
    pub max_frames: u32,
    /// Bytes of a payload once encoded. Default: 16 MiB.
    pub max_payload_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 256 << 20,
            max_width: 1 << 20,
            max_height: 1 << 20,
            max_pixels: 128 << 20,
            max_decoded_bytes: 1 << 30,
            max_work: 2 << 30,
            max_frames: 1_000,
            max_payload_bytes: 16 << 20,
        }
    }
}

impl Limits {
    pub(crate) fn check_file(&self, len: usize) -> Result<(), ImageError> {
        at_most(None, Quantity::FileBytes, len as u64, self.max_file_bytes)
    }

    pub(crate) fn check_payload(&self, len: usize) -> Result<(), ImageError> {
        at_most(
            None,
            Quantity::PayloadBytes,
            len as u64,
            self.max_payload_bytes,
        )
    }

    /// Admits a BGR frame of this size, or says which limit it breaks.
    pub(crate) fn check_size(
        &self,
        format: Format,
        width: u32,
        height: u32,
    ) -> Result<(), ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::corrupt(format, "width or height is zero"));
        }
        let format = Some(format);
        let pixels = u64::from(width) * u64::from(height);
        at_most(format, Quantity::Width, width.into(), self.max_width.into())?;
        at_most(
            format,
            Quantity::Height,
            height.into(),
            self.max_height.into(),
        )?;
        at_most(format, Quantity::Pixels, pixels, self.max_pixels)?;
        at_most(
            format,
            Quantity::DecodedBytes,
            pixels * 3,
            self.max_decoded_bytes,
        )
    }

    /// Admits `bytes` of decoder memory: what a decoder needs beside or instead of a BGR frame.
    pub(crate) fn check_decoded_bytes(&self, format: Format, bytes: u64) -> Result<(), ImageError> {
        at_most(
            Some(format),
            Quantity::DecodedBytes,
            bytes,
            self.max_decoded_bytes,
        )
    }

    /// Admits `units` of work in all.
    pub(crate) fn check_work(&self, format: Format, units: u64) -> Result<(), ImageError> {
        at_most(Some(format), Quantity::Work, units, self.max_work)
    }
}

fn at_most(
    format: Option<Format>,
    quantity: Quantity,
    actual: u64,
    limit: u64,
) -> Result<(), ImageError> {
    if actual > limit {
        Err(ImageError::too_large(format, quantity, actual, limit))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_admits_what_equals_it_and_nothing_more() {
        let limits = Limits {
            max_file_bytes: 10,
            max_width: 100,
            max_height: 200,
            max_pixels: 5_000,
            max_decoded_bytes: 12_000,
            max_payload_bytes: 20,
            ..Limits::default()
        };
        let size = |width, height| limits.check_size(Format::Png, width, height).is_ok();
        assert!(
            size(100, 40) && !size(101, 1),
            "width; bytes: exactly 12,000"
        );
        assert!(size(1, 200) && !size(1, 201), "height");
        assert!(!size(100, 41), "decoded bytes");
        assert!(!size(0, 1) && !size(1, 0));
        let few = Limits {
            max_pixels: 99,
            ..limits.clone()
        };
        assert!(few.check_size(Format::Png, 9, 11).is_ok());
        assert!(few.check_size(Format::Png, 10, 10).is_err(), "pixels");
        assert!(limits.check_file(10).is_ok() && limits.check_file(11).is_err());
        assert!(limits.check_payload(20).is_ok() && limits.check_payload(21).is_err());
        let decoded = |bytes| limits.check_decoded_bytes(Format::Gif, bytes);
        assert!(decoded(12_000).is_ok() && decoded(12_001).is_err());
    }

    #[test]
    fn a_photograph_of_100_megapixels_is_admitted() {
        let limits = Limits::default();
        assert!(limits.check_size(Format::Jpeg, 11_648, 8_736).is_ok());
        assert!(limits.check_size(Format::Png, 20_000, 20_000).is_err());
    }
}
