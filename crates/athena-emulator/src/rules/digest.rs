use athena_imaging::{Hashes, Preprocessor};
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::Selector;
use crate::error::Error;

/// What an image file is told by: the digests of its bytes, and of the frame that is made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Digests {
    md5: String,
    sha1: String,
    pixels: String,
}

impl Digests {
    /// # Errors
    /// When the file cannot be decoded.
    pub(crate) fn of_file(file: &[u8]) -> Result<Self, Error> {
        let frame = Preprocessor::default()
            .frame(file)
            .map_err(|error| Error::setting("the image", error))?;
        let hashes = Hashes::of(file);
        Ok(Self {
            md5: hashes.md5_hex(),
            sha1: hashes.sha1_hex(),
            pixels: of_pixels(frame.data()),
        })
    }
}

impl From<Digests> for Selector {
    fn from(digests: Digests) -> Self {
        Self {
            md5: Some(digests.md5),
            sha1: Some(digests.sha1),
            pixels: Some(digests.pixels),
            ..Self::any()
        }
    }
}

/// SHA-256 of a frame, in hexadecimal.
pub(crate) fn of_pixels(frame: &[u8]) -> String {
    HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, frame).as_ref())
}
