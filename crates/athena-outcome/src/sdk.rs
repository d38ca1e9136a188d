//! From the SDK's results to the record.

use std::borrow::Cow;
use std::error::Error as StdError;

use athena_client::imaging::{ImageError, ImageErrorKind};
use athena_client::{Delivery, Error, ErrorKind, Provenance, Verdict};
use data_encoding::HEXLOWER;

use crate::record::{DeliveryWord, HashLookup, Record, RecordError, Scores, Status};
use crate::text;

impl Record {
    /// Notes what is known of the image's file; what is not known stays as it was.
    pub fn describe(&mut self, file: &Provenance) {
        fn set<T>(field: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *field = value;
            }
        }
        let (width, height) = file.dimensions().unzip();
        set(&mut self.format, file.format().map(str::to_owned));
        set(&mut self.width, width);
        set(&mut self.height, height);
        set(&mut self.bytes, file.bytes());
        set(
            &mut self.md5,
            file.md5().map(|digest| HEXLOWER.encode(&digest)),
        );
        set(
            &mut self.sha1,
            file.sha1().map(|digest| HEXLOWER.encode(&digest)),
        );
        let sha256 = file.sha256().map(|digest| HEXLOWER.encode(&digest));
        set(&mut self.sha256, sha256);
    }

    /// Notes the service's answer.
    ///
    /// A record that has an error keeps it and stays failed: for an undecodable image the answer is about
    /// its hashes alone.
    pub fn answered(&mut self, verdict: &Verdict) {
        if let Some(file) = verdict.provenance() {
            self.describe(file);
        }
        self.correlation_id = Some(verdict.correlation_id().to_owned());
        note_sends(self, verdict.sends());
        self.scores = Scores::from(verdict);
        if let Some(frame) = verdict.frame() {
            self.frames = Some(verdict.frames().len() as u32);
            self.frame = Some(frame);
        }
        self.hash_lookup = match self.scores.known_match {
            Some(true) => Some(HashLookup::Match),
            Some(false) => Some(HashLookup::NoMatch),
            None => None,
        };
        if self.scores.weights.is_empty() && self.error.is_none() {
            return self.fail("protocol", "the service's answer has no labels");
        }
        if self.error.is_none() {
            self.status = Status::Classified;
        }
    }

    /// Notes that there is no verdict.
    ///
    /// An error that the record has already stays: what is wrong with the file says more than that its
    /// hashes could not be looked up.
    pub fn unanswered(&mut self, error: &Error) {
        if let Some(file) = error.provenance() {
            self.describe(file);
        }
        if let Some(id) = error.correlation_id() {
            self.correlation_id = Some(id.to_owned());
        }
        let lookup = error.hash_verdict();
        let of_file = self.error.is_some() || error.kind() == ErrorKind::Undecodable;
        if let Some(verdict) = lookup {
            self.scores = Scores::from(verdict);
        }
        self.hash_lookup = match lookup.map(Verdict::known_match) {
            Some(true) => Some(HashLookup::Match),
            Some(false) => Some(HashLookup::NoMatch),
            None => of_file.then_some(HashLookup::Failed),
        };
        note_sends(self, error.sends());
        self.status = Status::Failed;
        if self.error.is_none() {
            self.error = Some(RecordError::from(error));
        }
    }
}

/// Of an image that is sent anew, what was sent before counts as well.
fn note_sends(record: &mut Record, sends: Option<u32>) {
    if let Some(sends) = sends {
        record.sends = Some(record.sends.unwrap_or(0).saturating_add(sends));
    }
}

impl From<&Error> for RecordError {
    fn from(error: &Error) -> Self {
        let (kind, message) = match image_error(error) {
            Some(image) => (error_word(image.kind()), text::one_line(&image.to_string())),
            None => (error.kind().as_str(), text::sdk_error(error)),
        };
        Self {
            kind: Cow::Borrowed(kind),
            message,
            transient: Some(error.is_transient()),
            delivery: match error.delivery() {
                Delivery::NotSent => Some(DeliveryWord::NotSent),
                Delivery::Answered => Some(DeliveryWord::Answered),
                _ => Some(DeliveryWord::Unknown),
            },
        }
    }
}

impl From<&Verdict> for Scores {
    fn from(verdict: &Verdict) -> Self {
        Self {
            pcsam: verdict.pcsam(),
            entropy: verdict.entropy(),
            known_match: verdict.hash_checked().then(|| verdict.known_match()),
            weights: (verdict.iter())
                .map(|(label, weight)| (label.to_owned(), weight))
                .collect(),
        }
    }
}

/// What was wrong with the file, where that is why the SDK has failed.
fn image_error(error: &Error) -> Option<&ImageError> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        cause = current.source();
    }
    None
}

/// The stable name of an image error in JSON.
pub fn error_word(kind: ImageErrorKind) -> &'static str {
    match kind {
        ImageErrorKind::UnknownFormat => "unknown_format",
        ImageErrorKind::Unsupported => "unsupported",
        ImageErrorKind::Truncated => "truncated",
        ImageErrorKind::Corrupt => "corrupt",
        ImageErrorKind::TooLarge => "too_large",
        _ => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_makes_it_classified() {
        let mut record = Record::with_key("a");
        record.answered(&Verdict::new(
            "id",
            [("UnknownCSAM-PCSAM", 0.5), ("KnownCSAM-MD5", 0.0)],
        ));
        assert_eq!(record.status, Status::Classified);
        assert_eq!(record.hash_lookup, Some(HashLookup::NoMatch));
        assert_eq!(record.correlation_id.as_deref(), Some("id"));
    }

    #[test]
    fn an_answer_without_labels_is_no_verdict() {
        let mut record = Record::with_key("a");
        record.answered(&Verdict::new("id", Vec::<(String, f32)>::new()));
        assert_eq!(record.status, Status::Failed);
        assert_eq!(record.error.expect("error").kind, "protocol");
    }

    #[test]
    fn a_file_that_failed_stays_failed_when_its_hash_is_answered() {
        let mut record = Record::with_key("a");
        record.fail("truncated", "PNG: the file ends too early");
        record.answered(&Verdict::new("id", [("KnownCSAM-MD5", 1.0)]));
        assert_eq!(record.status, Status::Failed);
        assert_eq!(record.hash_lookup, Some(HashLookup::Match));
        assert_eq!(record.error.expect("error").kind, "truncated");
    }
}
