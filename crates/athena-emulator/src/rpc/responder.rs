use std::sync::Arc;

use athena_proto::{ClassificationOutput, ClassifyResponse};
use futures_util::{Stream, stream};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::reader::Event;
use crate::deployments::Membership;
use crate::namespace::NamespaceState;

/// The most results in one response.
const BATCH: usize = 50;

/// The answering half of a stream. It takes results only when the client can be sent them, so that
/// those of a broken stream stay with the deployment.
pub(super) struct Responder {
    namespace: Arc<NamespaceState>,
    events: mpsc::Receiver<Event>,
    cuts: watch::Receiver<u64>,
    membership: Option<Membership>,
    phase: Phase,
}

enum Phase {
    Open,
    /// Nothing more to read; the status to end with once all results are handed out.
    Draining(Option<Status>),
    Ended,
}

impl Responder {
    pub(super) fn new(namespace: Arc<NamespaceState>, events: mpsc::Receiver<Event>) -> Self {
        namespace.observer.stream_opened();
        Self {
            cuts: namespace.cuts.subscribe(),
            namespace,
            events,
            membership: None,
            phase: Phase::Open,
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<ClassifyResponse, Status>> + Send {
        stream::unfold(self, |mut responder| async move {
            let response = responder.next().await?;
            Some((response, responder))
        })
    }

    async fn next(&mut self) -> Option<Result<ClassifyResponse, Status>> {
        loop {
            if let Phase::Ended = self.phase {
                return None;
            }
            tokio::select! {
                biased;
                Ok(()) = self.cuts.changed() => {
                    return self.end(Some(Status::unavailable("stream cut by fault injection")));
                }
                event = self.events.recv(), if matches!(self.phase, Phase::Open) => match event {
                    Some(Event::Join(membership)) => self.membership = Some(membership),
                    Some(Event::Respond(response)) => return Some(Ok(response)),
                    Some(Event::Abort(status)) => return self.end(Some(status)),
                    Some(Event::Drain(status)) => self.drain(status),
                    None => self.drain(None),
                },
                outputs = collect(self.membership.as_ref(), &self.phase) => {
                    if outputs.is_empty() {
                        let status = match &mut self.phase {
                            Phase::Draining(status) => status.take(),
                            Phase::Open | Phase::Ended => None,
                        };
                        return self.end(status);
                    }
                    self.namespace.observer.results_sent(outputs.len());
                    return Some(Ok(ClassifyResponse { global_error: None, outputs }));
                }
            }
        }
    }

    fn drain(&mut self, status: Option<Status>) {
        if let Some(membership) = &mut self.membership {
            membership.drain();
        }
        self.phase = Phase::Draining(status);
    }

    fn end(&mut self, status: Option<Status>) -> Option<Result<ClassifyResponse, Status>> {
        self.phase = Phase::Ended;
        self.membership = None;
        status.map(Err)
    }
}

/// What the deployment has for the stream: nothing at all once it drains and is empty.
async fn collect(membership: Option<&Membership>, phase: &Phase) -> Vec<ClassificationOutput> {
    match (membership, phase) {
        (Some(membership), _) => membership.collect(BATCH).await,
        (None, Phase::Open) => std::future::pending().await,
        (None, _) => Vec::new(),
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.namespace.observer.stream_closed();
    }
}
