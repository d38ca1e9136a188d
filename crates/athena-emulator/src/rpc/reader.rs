use std::ops::ControlFlow;
use std::sync::Arc;

use athena_proto::{ClassificationInput, ClassifyRequest, ClassifyResponse, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tonic::{Code, Status, Streaming};

use super::budget::Receipts;
use crate::classification::{MAX_ID, failure, valid_id};
use crate::deployments::{Deployment, Membership};
use crate::faults::MessageFault;
use crate::listener::{Scope, Signal};
use crate::state::{Caller, Emulated};

/// How many messages of a stream are worked on at once; further ones wait on the wire.
const CONCURRENCY: usize = 4;

/// What the reader of a stream tells the responder.
pub(super) enum Event {
    /// The stream has got its deployment.
    Join(Membership),
    /// Say this to the client.
    Respond(ClassifyResponse),
    /// No more inputs: end once there is nothing left to hand out, with a status if there is one.
    Drain(Option<Status>),
    /// End at once.
    Abort(Status),
}

/// Takes in the messages of one stream.
pub(super) struct Reader {
    state: Arc<Emulated>,
    caller: Caller,
    receipts: Receipts,
    events: mpsc::Sender<Event>,
    deployment: Option<Arc<Deployment>>,
    work: JoinSet<()>,
}

impl Reader {
    pub(super) fn new(
        state: Arc<Emulated>,
        caller: Caller,
        receipts: Receipts,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            state,
            caller,
            receipts,
            events,
            deployment: None,
            work: JoinSet::new(),
        }
    }

    /// Reads until the client has sent everything, the stream breaks or the emulator shuts down.
    pub(super) async fn run(mut self, mut inbound: Streaming<ClassifyRequest>) {
        let closing = self.state.closing.clone();
        let end = loop {
            let message = tokio::select! {
                message = inbound.message() => message,
                () = closing.cancelled() => break Event::Drain(Some(Status::unavailable("the emulator is shutting down"))),
                () = self.events.closed() => return self.work.detach_all(),
            };
            match message {
                Ok(Some(request)) => {
                    if let ControlFlow::Break(status) = self.take(request).await {
                        break Event::Abort(status);
                    }
                }
                Ok(None) => break Event::Drain(None),
                Err(status) if status.code() == Code::OutOfRange => {
                    break Event::Abort(Status::resource_exhausted(status.message()));
                }
                Err(status) => break Event::Abort(status),
            }
        };
        if let Event::Drain(_) = end {
            while self.work.join_next().await.is_some() {}
        }
        // What has been accepted is answered, if not to this stream then to the next one.
        self.work.detach_all();
        self.send(end).await;
    }

    async fn take(&mut self, request: ClassifyRequest) -> ControlFlow<Status> {
        let paid = self.receipts.take();
        self.caller.namespace.observer.message(request.inputs.len());
        let Some(deployment) = self.deployment(&request.deployment_id).await? else {
            return ControlFlow::Continue(());
        };
        if request.inputs.is_empty() {
            return ControlFlow::Continue(());
        }
        let fault = self.caller.namespace.faults.message();
        match fault {
            Some(MessageFault::Lose) => {
                return ControlFlow::Break(Status::unavailable(
                    "stream cut and message lost by fault injection",
                ));
            }
            Some(MessageFault::GlobalError) => {
                self.global_error(ErrorCode::ModelError, "Global error by fault injection.")
                    .await;
                return ControlFlow::Continue(());
            }
            _ => self.accept(deployment, request.inputs, paid).await,
        }
        match fault {
            Some(MessageFault::Cut) => {
                return ControlFlow::Break(Status::unavailable("stream cut by fault injection"));
            }
            Some(MessageFault::Disconnect) => self.signal(Signal::Disconnect),
            Some(MessageFault::GoAway) => self.signal(Signal::GoAway),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// The deployment that the stream is bound to, by this message if it is the first.
    async fn deployment(&mut self, id: &str) -> ControlFlow<Status, Option<Arc<Deployment>>> {
        if let Some(bound) = &self.deployment {
            return if bound.id == id {
                ControlFlow::Continue(Some(bound.clone()))
            } else {
                ControlFlow::Break(Status::invalid_argument(format!(
                    "the stream is bound to the deployment {:?} and cannot switch to {id:?}: open another stream",
                    bound.id
                )))
            };
        }
        if !valid_id(id) {
            let message = format!("Deployment ID must have 1 to {MAX_ID} characters.");
            self.global_error(ErrorCode::DeploymentIdInvalid, &message)
                .await;
            return ControlFlow::Continue(None);
        }
        let Caller { client, namespace } = &self.caller;
        let Some(membership) = namespace.deployments.join(&client.id, id) else {
            return ControlFlow::Break(Status::resource_exhausted(
                "there are too many deployments",
            ));
        };
        let deployment = membership.deployment().clone();
        self.deployment = Some(deployment.clone());
        self.send(Event::Join(membership)).await;
        ControlFlow::Continue(Some(deployment))
    }

    /// Works on inputs, whose message is `paid` for until they are answered.
    async fn accept(
        &mut self,
        deployment: Arc<Deployment>,
        inputs: Vec<ClassificationInput>,
        paid: Option<OwnedSemaphorePermit>,
    ) {
        while self.work.len() >= CONCURRENCY {
            self.work.join_next().await;
        }
        deployment.accept(inputs.iter().map(|input| input.correlation_id.as_str()));
        // Drawn here, in the order of arrival, so that a seed gives the same faults again.
        let Caller { client, namespace } = self.caller.clone();
        let faults = inputs.iter().map(|_| namespace.faults.result()).collect();
        let state = self.state.clone();
        // The semaphore is never closed.
        let permit = self.state.messages.clone().acquire_owned().await;
        self.work.spawn(async move {
            let _held = (permit, paid);
            let results = namespace
                .classify(&state.cpu, &client, Some(&deployment.id), inputs, faults)
                .await;
            namespace.deliver(&deployment, results);
        });
    }

    async fn global_error(&self, code: ErrorCode, message: &str) {
        let response = ClassifyResponse {
            global_error: Some(failure(code, message, "")),
            outputs: Vec::new(),
        };
        self.send(Event::Respond(response)).await;
    }

    /// Without a responder nobody is there to be told.
    async fn send(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    fn signal(&self, signal: Signal) {
        let scope = Scope::Namespace(self.caller.namespace.name.clone());
        self.state.signal(signal, scope);
    }
}
