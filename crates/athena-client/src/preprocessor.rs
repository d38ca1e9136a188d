//! The standard preprocessor behind the [`Preprocess`] trait.

use athena_auth::BoxError;
use athena_imaging::{Hashes, Preprocessor};
use athena_proto::{ImageFormat, RequestEncoding};
use bytes::Bytes;

use crate::payload::Payload;
use crate::prepare::Preprocess;
use crate::prepared::Prepared;

impl Preprocess for Preprocessor {
    fn prepare(&self, file: Bytes, given_up: &dyn Fn() -> bool) -> Result<Prepared, BoxError> {
        let prepared = self.prepare_until(file, given_up)?;
        // Both crates number the contract's values as the contract does.
        let format = ImageFormat::try_from(prepared.format.number())?;
        let encoding = RequestEncoding::try_from(prepared.encoding.number())?;
        let payload = Payload::new(format, encoding, prepared.data);
        let source = prepared.source;
        let sent = Prepared::new(with_hashes(payload, &prepared.hashes)).source(
            source.format.word(),
            source.width,
            source.height,
        );
        Ok(match prepared.frame_sha256 {
            Some(digest) => sent.frame_sha256(digest),
            None => sent,
        })
    }

    fn hashes(&self, file: &Bytes) -> Option<Payload> {
        Some(with_hashes(Payload::hashes_only(), &Hashes::of(file)))
    }
}

fn with_hashes(payload: Payload, hashes: &Hashes) -> Payload {
    payload.md5(hashes.md5).sha1(hashes.sha1)
}
