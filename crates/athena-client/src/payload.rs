//! What goes into the message for one image.

use std::fmt;
use std::sync::Arc;

use athena_proto::{ClassificationInput, HashType, ImageFormat, ImageHash, RequestEncoding};
use bytes::Bytes;
use data_encoding::HEXLOWER;

use crate::error::{Error, ErrorKind};

/// Bytes of one raw frame: 448 x 448 pixels of three 8-bit channels.
pub const RAW_FRAME_BYTES: usize = 448 * 448 * 3;

/// What is sent for one image: data, what it is, and the hashes of the original file.
#[derive(Clone, PartialEq)]
pub struct Payload {
    data: Bytes,
    format: ImageFormat,
    encoding: RequestEncoding,
    md5: Option<[u8; 16]>,
    sha1: Option<[u8; 20]>,
}

impl Payload {
    /// Data in any format of the contract; the pixels must be 448 x 448 already.
    pub fn new(format: ImageFormat, encoding: RequestEncoding, data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            format,
            encoding,
            md5: None,
            sha1: None,
        }
    }

    /// A raw frame: 448 rows of 448 pixels of blue, green, red; 602,112 bytes.
    pub fn raw_bgr(frame: impl Into<Bytes>) -> Self {
        Self::new(
            ImageFormat::RawUint8Bgr,
            RequestEncoding::Uncompressed,
            frame,
        )
    }

    /// No pixels: only the hashes that are added next are looked up.
    pub fn hashes_only() -> Self {
        Self::new(
            ImageFormat::Unspecified,
            RequestEncoding::Unspecified,
            Bytes::new(),
        )
    }

    /// Adds the MD5 of the original file.
    #[must_use]
    pub fn md5(mut self, digest: [u8; 16]) -> Self {
        self.md5 = Some(digest);
        self
    }

    /// Adds the SHA-1 of the original file.
    #[must_use]
    pub fn sha1(mut self, digest: [u8; 20]) -> Self {
        self.sha1 = Some(digest);
        self
    }

    /// What the data is.
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// How the data is compressed.
    pub fn encoding(&self) -> RequestEncoding {
        self.encoding
    }

    pub(crate) fn digests(&self) -> (Option<[u8; 16]>, Option<[u8; 20]>) {
        (self.md5, self.sha1)
    }

    /// The bytes that are sent, as encoded.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Refuses what the service could only refuse.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let problem = if self.data.is_empty() && self.md5.is_none() && self.sha1.is_none() {
            "there is neither image data nor a hash to look up".to_owned()
        } else if self.format == ImageFormat::RawUint8Bgr
            && self.encoding != RequestEncoding::Brotli
            && self.data.len() != RAW_FRAME_BYTES
        {
            format!(
                "a raw frame has {RAW_FRAME_BYTES} bytes (448 x 448 x 3), this one has {}",
                self.data.len()
            )
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidRequest, problem))
    }

    pub(crate) fn into_input(self, id: &Arc<str>, affiliate: &str) -> ClassificationInput {
        let md5 = self
            .md5
            .map(|digest| (HashType::Md5, HEXLOWER.encode(&digest)));
        let sha1 = self
            .sha1
            .map(|digest| (HashType::Sha1, HEXLOWER.encode(&digest)));
        ClassificationInput {
            affiliate: affiliate.to_owned(),
            correlation_id: id.to_string(),
            encoding: self.encoding.into(),
            data: self.data,
            format: self.format.into(),
            hashes: md5
                .into_iter()
                .chain(sha1)
                .map(|(kind, value)| ImageHash {
                    value,
                    r#type: kind.into(),
                })
                .collect(),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("format", &self.format)
            .field("encoding", &self.encoding)
            .field("bytes", &self.data.len())
            .field("md5", &self.md5.is_some())
            .field("sha1", &self.sha1.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_go_out_in_lower_case_hex() {
        let input = Payload::hashes_only()
            .md5([0xab; 16])
            .sha1([0x01; 20])
            .into_input(&"id".into(), "acme");
        assert!(input.data.is_empty());
        assert_eq!(input.hashes[0].value, "ab".repeat(16));
        assert_eq!(input.hashes[0].r#type(), HashType::Md5);
        assert_eq!(input.hashes[1].value, "01".repeat(20));
        assert_eq!(input.hashes[1].r#type(), HashType::Sha1);
    }

    #[test]
    fn frames_of_the_wrong_size_are_refused_here() {
        assert!(
            Payload::raw_bgr(vec![0; RAW_FRAME_BYTES])
                .validate()
                .is_ok()
        );
        let error = Payload::raw_bgr(vec![0; 10]).validate().unwrap_err();
        assert!(error.to_string().contains("602112"), "{error}");
        assert!(Payload::hashes_only().validate().is_err());
        assert!(Payload::hashes_only().md5([0; 16]).validate().is_ok());
    }
}
