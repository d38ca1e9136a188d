//! A stream from a place on, in its order.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::in_time;
use crate::seam::QueueError;

/// After this much silence one that is not following asks whether it is at the end.
const SILENCE: Duration = Duration::from_secs(20);

/// A message of a stream.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its number.
    pub sequence: u64,
    /// The last part of its subject.
    pub token: String,
    /// What it holds; nothing where only subjects are read.
    pub body: Bytes,
    /// A header that says by which lane it came.
    pub(super) lane: Option<String>,
    /// And why it was given up.
    pub(super) reason: Option<String>,
    /// Its headers.
    pub(super) headers: async_nats::HeaderMap,
}

/// Reads a stream.
#[expect(missing_debug_implementations, reason = "the consumer has none")]
pub struct Reader {
    messages: Option<Ordered>,
    /// The last number there was at the beginning; none to follow.
    last: Option<u64>,
    prefix: String,
}

impl Reader {
    pub(super) async fn open(
        mut stream: Stream,
        name: &str,
        from: u64,
        follow: bool,
        subjects_only: bool,
    ) -> Result<Self, QueueError> {
        let state = in_time("the state of a stream", stream.info())
            .await?
            .state
            .clone();
        let prefix = format!("{name}.");
        let empty = state.messages == 0 || state.last_sequence < from;
        if empty && !follow {
            return Ok(Self {
                messages: None,
                last: Some(0),
                prefix,
            });
        }
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from.max(1),
            },
            headers_only: subjects_only,
            ..OrderedConfig::default()
        };
        let consumer = in_time("a reader", stream.create_consumer(config)).await?;
        let messages = in_time("a reader", consumer.messages()).await?;
        Ok(Self {
            messages: Some(messages),
            last: (!follow).then_some(state.last_sequence),
            prefix,
        })
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    /// When the server does not go on.
    pub async fn next(&mut self) -> Result<Option<Stored>, QueueError> {
        let Some(messages) = &mut self.messages else {
            return Ok(None);
        };
        let next = match self.last {
            None => messages.next().await,
            Some(_) => match timeout(SILENCE, messages.next()).await {
                Ok(next) => next,
                Err(_) => return Err(QueueError::new("the stream does not go on")),
            },
        };
        let message = match next {
            None => return Ok(None),
            Some(Err(error)) => return Err(QueueError::because("the stream", error)),
            Some(Ok(message)) => message,
        };
        let (sequence, pending) = match message.info() {
            Ok(info) => (info.stream_sequence, info.pending),
            Err(error) => return Err(QueueError::because("the stream", error)),
        };
        // What was removed meanwhile may have been the last one.
        if self
            .last
            .is_some_and(|last| sequence >= last || pending == 0)
        {
            self.messages = None;
        }
        let headers = message.message.headers.unwrap_or_default();
        let text = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        let subject = message.message.subject.as_str();
        Ok(Some(Stored {
            sequence,
            token: subject
                .strip_prefix(&self.prefix)
                .unwrap_or(subject)
                .to_owned(),
            body: message.message.payload,
            lane: text(super::intake::header::LANE),
            reason: text(super::intake::header::REASON),
            headers,
        }))
    }
}
