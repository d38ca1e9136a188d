//! The options that decide which pixels are sent, and as what.

use athena_imaging::{Compression, Interpolation, PayloadKind, Subsampling, WebpEffort};
use clap::{Args, ValueEnum};

/// How a picture becomes 448 x 448.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum InterpolationArg {
    /// OpenCV's INTER_LINEAR: what the service's reference pipeline uses
    #[default]
    Linear,
    /// OpenCV's INTER_NEAREST
    Nearest,
    /// OpenCV's INTER_AREA
    Area,
    /// OpenCV's INTER_LANCZOS4
    Lanczos4,
    /// Anti-aliased bilinear; not OpenCV's pixels
    FastBilinear,
    /// Anti-aliased Catmull-Rom; not OpenCV's pixels
    FastCatmullRom,
    /// Anti-aliased Lanczos 3; not OpenCV's pixels
    FastLanczos3,
}

impl From<InterpolationArg> for Interpolation {
    fn from(arg: InterpolationArg) -> Self {
        match arg {
            InterpolationArg::Linear => Self::Linear,
            InterpolationArg::Nearest => Self::Nearest,
            InterpolationArg::Area => Self::Area,
            InterpolationArg::Lanczos4 => Self::Lanczos4,
            InterpolationArg::FastBilinear => Self::FastBilinear,
            InterpolationArg::FastCatmullRom => Self::FastCatmullRom,
            InterpolationArg::FastLanczos3 => Self::FastLanczos3,
        }
    }
}

impl InterpolationArg {
    /// The word by which it is chosen.
    pub(crate) fn word(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The bytes that a frame becomes: a payload and its compression, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) payload: PayloadKind,
    pub(crate) compression: Compression,
}

impl Encoding {
    /// The word by which it is chosen.
    pub(crate) fn word(self) -> String {
        match (self.payload, self.compression) {
            (_, Compression::Brotli { quality }) => format!("brotli-{quality}"),
            (PayloadKind::WebpLossless { effort }, _) => match effort {
                WebpEffort::Fastest => "webp-fastest".to_owned(),
                WebpEffort::Small => "webp-small".to_owned(),
                _ => "webp".to_owned(),
            },
            (PayloadKind::Png, _) => "png".to_owned(),
            (PayloadKind::Jpeg { quality, .. }, _) => format!("jpeg-{quality}"),
            (PayloadKind::Original, _) => "original".to_owned(),
            _ => "raw".to_owned(),
        }
    }
}

/// The words, for help and messages.
pub(crate) const ENCODINGS: &str =
    "raw, webp, webp-fastest, webp-small, png, jpeg, jpeg-1 to jpeg-100, brotli-0 to brotli-11";

/// Quality of `jpeg` without a number.
const JPEG_QUALITY: u8 = 95;

/// Reads an encoding's word.
pub(crate) fn encoding(word: &str) -> Result<Encoding, String> {
    let plain = |payload| {
        Ok(Encoding {
            payload,
            compression: Compression::None,
        })
    };
    let webp = |effort| plain(PayloadKind::WebpLossless { effort });
    let jpeg = |quality| {
        plain(PayloadKind::Jpeg {
            quality,
            subsampling: Subsampling::default(),
        })
    };
    let number = |digits: &str, most| digits.parse().ok().filter(|number: &u8| *number <= most);
    let parsed = match word.split_once('-') {
        None => match word {
            "raw" => Some(plain(PayloadKind::RawBgr)),
            "webp" => Some(webp(WebpEffort::Default)),
            "png" => Some(plain(PayloadKind::Png)),
            "jpeg" => Some(jpeg(JPEG_QUALITY)),
            "original" => Some(plain(PayloadKind::Original)),
            _ => None,
        },
        Some(("webp", "fastest")) => Some(webp(WebpEffort::Fastest)),
        Some(("webp", "small")) => Some(webp(WebpEffort::Small)),
        Some(("jpeg", quality)) => number(quality, 100).filter(|q| *q > 0).map(jpeg),
        Some(("brotli", quality)) => number(quality, 11).map(|quality| {
            Ok(Encoding {
                payload: PayloadKind::RawBgr,
                compression: Compression::Brotli { quality },
            })
        }),
        Some(_) => None,
    };
    parsed.unwrap_or_else(|| Err(format!("expected one of: {ENCODINGS}")))
}

/// The pixels to send.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Pixels")]
pub(crate) struct PixelArgs {
    /// How pictures become 448 x 448
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "METHOD",
        default_value_t
    )]
    pub(crate) interpolation: InterpolationArg,
    /// What is sent: raw, webp (lossless; webp-fastest for less time, webp-small for fewer bytes), png,
    /// jpeg-1 to jpeg-100 (lossy), brotli-0 to brotli-11, or original (the file itself where it
    /// qualifies)
    #[arg(long, value_parser = encoding, value_name = "ENCODING", default_value = "webp")]
    pub(crate) payload: Encoding,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_words() {
        let brotli = encoding("brotli-4").expect("valid");
        assert_eq!(brotli.payload, PayloadKind::RawBgr);
        assert_eq!(brotli.compression, Compression::Brotli { quality: 4 });
        for word in [
            "raw",
            "webp",
            "webp-fastest",
            "webp-small",
            "png",
            "jpeg-80",
            "brotli-4",
            "original",
        ] {
            assert_eq!(encoding(word).expect("valid").word(), word);
        }
        for wrong in [
            "brotli-12",
            "jpeg-0",
            "jpeg-101",
            "webp-",
            "tiff",
            "brotli",
            "",
        ] {
            assert!(encoding(wrong).is_err(), "{wrong}");
        }
    }
}
