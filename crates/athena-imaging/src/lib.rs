//! Any image file to the exact 448 x 448 frame that Athena expects: OpenCV's pixels, bit for bit.
//!
//! ```no_run
//! use athena_imaging::{Compression, Interpolation, Payload, Preprocessor};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let preprocessor = Preprocessor::builder()
//!     .interpolation(Interpolation::Linear)
//!     .payload(Payload::WebpLossless)
//!     .build()?;
//! let prepared = preprocessor.prepare(std::fs::read("photograph.jpg")?)?;
//! println!("{} bytes of {:?}, MD5 {}", prepared.data.len(), prepared.format, prepared.hashes.md5_hex());
//! # Ok(())
//! # }
//! ```

mod decode;
mod detect;
mod error;
mod frame;
mod hash;
mod inspect;
mod limits;
mod orientation;
mod payload;
mod preprocess;
mod resize;
mod scratch;
mod simd;

pub use decode::{decode, frames};
pub use detect::Format;
pub use error::{ImageError, ImageErrorKind};
pub use frame::Frame;
pub use hash::Hashes;
pub use inspect::{Inspection, inspect};
pub use limits::Limits;
pub use orientation::Orientation;
pub use payload::{
    Compression, Payload, PayloadEncoding, PayloadFormat, Subsampling, decompress_brotli,
};
pub use preprocess::{Prepared, Preprocessor, PreprocessorBuilder, SourceInfo};
pub use resize::{Interpolation, resize};

/// Width and height of the frame that the service takes.
pub const SIDE: usize = 448;

/// Bytes of the frame that the service takes: 448 x 448 pixels, three each.
pub const FRAME_BYTES: usize = SIDE * SIDE * 3;
