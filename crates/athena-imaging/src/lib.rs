//! Any image file to the exact 448 x 448 frame that Athena expects: OpenCV's pixels, bit for bit.
//!
//! Athena's scores depend on exact pixels, and the reference is OpenCV's `imdecode` and `resize`. This crate gives the same
//! bytes, faster, packs them losslessly into fewer, and hashes the original file. It is pure CPU work: no IO, no async,
//! nothing of the service's transport.
//!
//! ```
//! use athena_imaging::{Interpolation, PayloadKind, Preprocessor};
//!
//! # fn main() -> Result<(), athena_imaging::ImageError> {
//! # if !cfg!(feature = "native") { return Ok(()); }
//! let preprocessor = Preprocessor::builder()
//!     .interpolation(Interpolation::Linear)
//!     .payload(PayloadKind::default())
//!     .build()?;
//! # let file = &b"P6 2 1 255 abcdef"[..];
//! let prepared = preprocessor.prepare(file)?;
//! println!(
//!     "{} x {} {} becomes {} bytes of {:?}; MD5 {}",
//!     prepared.source.width,
//!     prepared.source.height,
//!     prepared.source.format,
//!     prepared.data.len(),
//!     prepared.format,
//!     prepared.hashes.md5_hex(),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! The parts are public as well: [`Format::detect`] and [`inspect`] look at a file without decoding it, [`decode`] and
//! [`frames`] give pixels as a [`Frame`], [`resize`] resizes one, [`PayloadKind::encode`] and [`Compression::compress`] pack
//! it, [`Hashes::of`] hashes a file, [`sha256`] for records.
//!
//! # Hostile files
//!
//! [`Limits`] are checked before memory is taken and before work is done: a file that would cost far more than its size is
//! refused. [`Preprocessor::prepare_until`] asks every few milliseconds whether to go on. A file that cannot be decoded gives an [`ImageError`] that names the
//! cause. A panic in a decoder is contained and becomes an error of the kind [`ImageErrorKind::Internal`].
//!
//! # Memory
//!
//! Each thread keeps large buffers, at most 64 MiB of a kind, for its next image, so a steady stream of images allocates next to
//! nothing.
//!
//! # Features
//!
//! | feature | default | gives |
//! | --- | --- | --- |
//! | `native` | yes | exact JPEG and WebP through mozjpeg and libwebp; needs a C compiler |
//! | `pure-rust` | no | JPEG (not exact) and WebP without any C, used when `native` is off |
//! | `avif` | no | AVIF through rav1d, in Rust without assembly |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod budget;
mod decode;
mod detect;
mod error;
mod foreign;
mod frame;
mod hash;
mod inspect;
mod limits;
mod memory;
mod needed;
mod orientation;
mod payload;
mod preprocess;
mod resize;
mod scratch;
mod simd;
mod vp8l;

use budget::Budget;

pub use decode::{decode, frames, frames_until};
pub use detect::Format;
pub use error::{ImageError, ImageErrorKind};
pub use frame::Frame;
pub use hash::{Hashes, sha256, sha256_hex};
pub use inspect::{Inspection, inspect};
pub use limits::Limits;
pub use orientation::Orientation;
pub use payload::{
    Compression, PayloadEncoding, PayloadFormat, PayloadKind, Subsampling, WebpEffort,
    decompress_brotli, encode_webp,
};
pub use preprocess::{Prepared, Preprocessor, PreprocessorBuilder, SourceInfo};
pub use resize::{Interpolation, resize};

/// Width and height of the frame that the service takes.
pub const SIDE: usize = 448;

/// Bytes of the frame that the service takes: 448 x 448 pixels, three each.
pub const FRAME_BYTES: usize = SIDE * SIDE * 3;

/// What callers hold may go to any thread.
const _: () = {
    const fn assert<T: Send + Sync>() {}
    assert::<Preprocessor>();
    assert::<PreprocessorBuilder>();
    assert::<Prepared>();
    assert::<Frame>();
    assert::<Hashes>();
    assert::<Inspection>();
    assert::<ImageError>();
};
