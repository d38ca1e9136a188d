//! Messages by their numbers, whatever their headers are.
//!
//! The client drops its connection at headers that are not text, takes those with a status for an answer of the server's,
//! and its task panics at a carriage return or a line feed within one. Such a message reaches nobody, and would be delivered
//! again and again, each time at the cost of a connection and of all that is on its way there. Asked for by its number it
//! comes as JSON.

use std::str::from_utf8;
use std::time::SystemTime;

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::RawMessage;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Queue, in_time, intake};
use crate::seam::{Message, QueueError};

/// A message as it lies in its stream.
pub(super) struct Raw {
    pub(super) sequence: u64,
    pub(super) subject: String,
    pub(super) time: SystemTime,
    pub(super) payload: Bytes,
    /// None where no client is given the message.
    pub(super) headers: Option<HeaderMap>,
}

impl Raw {
    fn read(message: RawMessage) -> Result<Self, QueueError> {
        let not_base64 = |error| QueueError::because("a message that is not Base64", error);
        let headers = message.headers.as_deref().unwrap_or_default();
        let headers = STANDARD.decode(headers).map_err(not_base64)?;
        let payload = STANDARD.decode(&message.payload).map_err(not_base64)?;
        let readable =
            is_readable(&message.subject) && (message.headers.is_none() || are_readable(&headers));
        Ok(Self {
            sequence: message.sequence,
            subject: message.subject.clone(),
            time: message.time.into(),
            payload: payload.into(),
            headers: match readable {
                true => StreamMessage::try_from(message)
                    .ok()
                    .map(|message| message.headers),
                false => None,
            },
        })
    }

    /// The job as the worker takes it.
    pub(super) fn message(&self, stream: &str) -> Message {
        let none = HeaderMap::new();
        let headers = self.headers.as_ref().unwrap_or(&none);
        let name = format!("{stream}:{}", self.sequence);
        let message = intake::message(name, self.payload.clone(), headers, 1, self.time);
        let problem = "its headers or its subject are none that can be delivered";
        Message {
            problem: self.headers.is_none().then(|| problem.to_owned()),
            ..message
        }
    }
}

/// Whether the client finds its way in the line that names the subject. The server puts U+FFFD for what is no text.
fn is_readable(subject: &str) -> bool {
    !subject.contains(|c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER)
}

/// Whether the client (0.50) hands out a message with these headers.
fn are_readable(headers: &[u8]) -> bool {
    let Ok(text) = from_utf8(headers) else {
        return false;
    };
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("NATS/1.0"));
    let mut after_header = false;
    status.is_some_and(|status| status.trim().is_empty())
        && lines.all(|line| {
            let continues =
                after_header && line.starts_with(char::is_whitespace) && !line.contains('\r');
            // Only the end of a line may have one, or the client panics.
            let name =
                (line.split_once(':').filter(|_| !line.contains('\r'))).map(|(name, _)| name);
            after_header = !line.is_empty();
            line.is_empty()
                || continues
                || name.is_some_and(|name| name.parse::<HeaderName>().is_ok())
        })
}

impl Queue {
    /// The first message of a stream from this number on whose subject fits.
    pub(super) async fn raw(
        &self,
        stream: &str,
        from: u64,
        subject: &str,
    ) -> Result<Option<Raw>, QueueError> {
        let next = json!({ "seq": from, "next_by_subj": subject });
        self.raw_message(stream, &next).await
    }

    /// The last message of a subject. The leader's word: what replicas have may be a moment old.
    pub(super) async fn last_raw(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<Option<Raw>, QueueError> {
        self.raw_message(stream, &json!({ "last_by_subj": subject }))
            .await
    }

    async fn raw_message(&self, stream: &str, which: &Value) -> Result<Option<Raw>, QueueError> {
        #[derive(Deserialize)]
        struct Found {
            message: RawMessage,
        }
        let what = format!("a message of {stream}");
        let api = format!("STREAM.MSG.GET.{stream}");
        match in_time(&what, self.context.request(api, which)).await? {
            Response::Ok(Found { message }) => Raw::read(message).map(Some),
            Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
                Ok(None)
            }
            Response::Err { error } => Err(QueueError::because(what, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_from_what_no_client_is_given() {
        for readable in [
            &b"NATS/1.0\r\n\r\n"[..],
            b"NATS/1.0\r\nA: b\r\n more\r\n\r\n",
            b"NATS/1.0\r\nA:\r\nA: \xc3\xa9\r\n\r\n",
        ] {
            assert!(are_readable(readable), "{}", readable.escape_ascii());
        }
        for unreadable in [
            &b""[..],
            b"HTTP/1.1\r\n\r\n",
            b"NATS/1.0 408 Request Timeout\r\n\r\n",
            b"NATS/1.0x\r\n\r\n",
            b"NATS/1.0\r\nA: \xff\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\nA: b\rc\r\n\r\n",
            b"NATS/1.0\r\nA: b\r\n c\rd\r\n\r\n",
            b"NATS/1.0\r\nA b: c\r\n\r\n",
            b"NATS/1.0\r\n A: b\r\n\r\n",
            b"NATS/1.0\r\nA: b\r\n\r\n c: d\r\n\r\n",
        ] {
            assert!(!are_readable(unreadable), "{}", unreadable.escape_ascii());
        }
        assert!(is_readable("ATHENA_JOBS.live.a=20\u{e9}"));
        for subject in ["a\u{a0}b", "a\u{b}b", "a\u{fffd}"] {
            assert!(!is_readable(subject), "{subject:?}");
        }
    }
}
