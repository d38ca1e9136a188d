//! The standard preprocessor behind the [`Preprocess`] trait.

use athena_auth::BoxError;
use athena_imaging::{self as imaging, Hashes, Preprocessor};
use athena_proto::{ImageFormat, RequestEncoding};
use bytes::Bytes;

use crate::payload::Payload;
use crate::prepare::Preprocess;
use crate::prepared::Prepared;

impl Preprocess for Preprocessor {
    fn prepare(&self, file: Bytes, given_up: &dyn Fn() -> bool) -> Result<Prepared, BoxError> {
        let prepared = self.prepare_until(file, given_up)?;
        let sent = Prepared::new(payload(&prepared)?);
        Ok(described(sent, &prepared))
    }

    fn prepare_frames(
        &self,
        file: Bytes,
        most: u32,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Prepared, BoxError> {
        let frames = self.prepare_frames_until(file, most, given_up)?;
        let (first, further) = frames.split_first().ok_or("an animation without frames")?;
        let sent = Prepared::new(payload(first)?);
        let sent = further.iter().try_fold(sent, |sent, frame| {
            Ok::<_, BoxError>(sent.further_frame(frame.frame, payload(frame)?))
        })?;
        Ok(described(sent, first))
    }

    fn hashes(&self, file: &Bytes) -> Option<Payload> {
        Some(with_hashes(Payload::hashes_only(), &Hashes::of(file)))
    }
}

fn payload(prepared: &imaging::Prepared) -> Result<Payload, BoxError> {
    // Both crates number the contract's values as the contract does.
    let format = ImageFormat::try_from(prepared.format.number())?;
    let encoding = RequestEncoding::try_from(prepared.encoding.number())?;
    let payload = Payload::new(format, encoding, prepared.data.clone());
    Ok(with_hashes(payload, &prepared.hashes))
}

fn described(sent: Prepared, prepared: &imaging::Prepared) -> Prepared {
    let source = &prepared.source;
    let sent = sent.source(source.format.word(), source.width, source.height);
    match prepared.frame_sha256 {
        Some(digest) => sent.frame_sha256(digest),
        None => sent,
    }
}

fn with_hashes(payload: Payload, hashes: &Hashes) -> Payload {
    payload.md5(hashes.md5).sha1(hashes.sha1)
}
