//! The requests of one stream, pulled by the transport when it has room to send.

use std::pin::pin;
use std::sync::Arc;

use athena_proto::ClassifyRequest;
use futures_util::stream;
use tokio::time::Instant;
use tracing::trace;

use super::machine::{ConnectionId, Next};
use super::shared::Shared;
use crate::transport::Requests;

/// There is no queue between the session's and the transport's: an image counts as sent once the
/// transport took it, and a transport that is blocked lets batches grow.
///
/// The first request is empty: it binds the stream to the deployment at once.
pub(crate) fn requests(shared: Arc<Shared>, connection: ConnectionId) -> Requests {
    let begin = Outbound {
        shared,
        connection,
        last_sent: None,
    };
    let requests = stream::unfold(begin, |mut outbound| async {
        let request = outbound.next().await?;
        outbound.last_sent = Some(Instant::now());
        Some((request, outbound))
    });
    Requests::new(requests)
}

struct Outbound {
    shared: Arc<Shared>,
    connection: ConnectionId,
    last_sent: Option<Instant>,
}

impl Outbound {
    async fn next(&self) -> Option<ClassifyRequest> {
        let Some(last_sent) = self.last_sent else {
            return Some(self.keepalive());
        };
        let keepalive_at = last_sent + self.shared.timing.keepalive;
        loop {
            // Registered before the state is looked at, so that no change is missed.
            let mut changed = pin!(self.shared.wake.senders.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let connection = self.connection;
            let until = match self
                .shared
                .with(|machine| machine.next_request(now, connection))
            {
                Next::Send(inputs) => {
                    trace!(
                        connection,
                        images = inputs.len(),
                        "batch handed to the connection"
                    );
                    return Some(ClassifyRequest {
                        deployment_id: self.shared.deployment.to_string(),
                        inputs,
                    });
                }
                Next::End => return None,
                Next::Wait(until) => until,
            };
            if now >= keepalive_at {
                trace!(connection, "keepalive");
                return Some(self.keepalive());
            }
            let until = until.map_or(keepalive_at, |until| until.min(keepalive_at));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    fn keepalive(&self) -> ClassifyRequest {
        ClassifyRequest {
            deployment_id: self.shared.deployment.to_string(),
            inputs: Vec::new(),
        }
    }
}
