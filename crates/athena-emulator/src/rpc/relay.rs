//! Passes calls on to a real service and notes its answers: contract tests are recorded once, with
//! an account, and replayed without one.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_net::{BuildError, Connector, Network};
use athena_proto::classifier_service_client::ClassifierServiceClient;
use athena_proto::classifier_service_server::ClassifierService;
use athena_proto::{
    ClassificationInput, ClassificationOutput, ClassifyRequest, ClassifyResponse,
    ListDeploymentsResponse,
};
use futures_util::{Stream, StreamExt, stream};
use hyper_util::rt::TokioIo;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::budget::Receipts;
use super::service::{caller, receipts};
use crate::config::Config;
use crate::error::Error;
use crate::observe::RecordedInput;
use crate::state::{Caller, Emulated};
use crate::sync::lock;

/// What of a client's metadata goes to the service: its token, and what it says of itself.
const PASSED_ON: [&str; 3] = ["authorization", "x-client-language", "x-client-version"];
/// How many inputs of a stream may be unanswered before the oldest are given up.
const PENDING: usize = 100_000;
const CONNECT: Duration = Duration::from_secs(20);

/// The service, by way of another one.
pub(super) struct Relay {
    state: Arc<Emulated>,
    upstream: ClassifierServiceClient<Channel>,
}

impl Relay {
    /// Nothing is connected yet.
    pub(super) fn new(state: Arc<Emulated>, host: &str, config: &Config) -> Result<Self, Error> {
        let mut network = Network::builder().connect_timeout(CONNECT);
        if let Some(path) = &config.upstream_ca {
            network = network.ca_certificate(read(path)?);
        }
        let origin: http::Uri = format!("https://{host}")
            .parse()
            .map_err(|error| Error::setting("upstream", error))?;
        let invalid = |error: BuildError| Error::setting("upstream", error);
        let network = network.build().map_err(invalid)?;
        let connector = Connector::new(network, origin.clone(), None).map_err(invalid)?;
        let connector = connector.http2();
        let connect = tower::service_fn(move |_| {
            let connector = connector.clone();
            async move { connector.connect().await.map(TokioIo::new) }
        });
        // TLS is the connector's business, so tonic is told of a plain address.
        let channel = Endpoint::from_static("http://upstream.invalid")
            .origin(origin)
            .connect_with_connector_lazy(connect);
        let upstream = ClassifierServiceClient::new(channel)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        Ok(Self { state, upstream })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::file("read", path))
}

#[tonic::async_trait]
impl ClassifierService for Relay {
    type ClassifyStream = Pin<Box<dyn Stream<Item = Result<ClassifyResponse, Status>> + Send>>;

    async fn classify(
        &self,
        request: Request<Streaming<ClassifyRequest>>,
    ) -> Result<Response<Self::ClassifyStream>, Status> {
        let recorder = Arc::new(Recorder::new(self.state.clone(), caller(&request)?));
        let paid = receipts(&request);
        let (metadata, _, inbound) = request.into_parts();
        let noted = note(inbound, recorder.clone(), paid);
        let answers = self
            .upstream
            .clone()
            .classify(passed_on(&metadata, noted))
            .await?;
        let answers = answers.into_inner().inspect(move |answer| {
            if let Ok(answer) = answer {
                recorder.received(&answer.outputs);
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_deployments(
        &self,
        request: Request<()>,
    ) -> Result<Response<ListDeploymentsResponse>, Status> {
        let (metadata, _, nothing) = request.into_parts();
        let answer = self
            .upstream
            .clone()
            .list_deployments(passed_on(&metadata, nothing))
            .await?;
        Ok(Response::new(answer.into_inner()))
    }

    async fn classify_single(
        &self,
        request: Request<ClassificationInput>,
    ) -> Result<Response<ClassificationOutput>, Status> {
        let recorder = Recorder::new(self.state.clone(), caller(&request)?);
        let _paid = receipts(&request).take();
        let (metadata, _, input) = request.into_parts();
        recorder.sent(None, std::slice::from_ref(&input)).await;
        let output = self
            .upstream
            .clone()
            .classify_single(passed_on(&metadata, input))
            .await?;
        let mut output = output.into_inner();
        recorder.received(std::slice::from_mut(&mut output));
        Ok(Response::new(output))
    }
}

/// The messages of a stream, their inputs noted. What a client breaks off ends the call to the service
/// as well.
fn note(
    inbound: Streaming<ClassifyRequest>,
    recorder: Arc<Recorder>,
    receipts: Receipts,
) -> impl Stream<Item = ClassifyRequest> + Send + 'static {
    stream::unfold(
        (inbound, recorder, receipts),
        |(mut inbound, recorder, receipts)| async move {
            let message = inbound.message().await.ok()??;
            let _paid = receipts.take();
            recorder
                .sent(Some(&message.deployment_id), &message.inputs)
                .await;
            Some((message, (inbound, recorder, receipts)))
        },
    )
}

fn passed_on<T>(metadata: &MetadataMap, message: T) -> Request<T> {
    let mut request = Request::new(message);
    for name in PASSED_ON {
        if let Some(value) = metadata.get(name) {
            request.metadata_mut().insert(name, value.clone());
        }
    }
    request
}

/// Brings the inputs of a call together with their answers.
struct Recorder {
    state: Arc<Emulated>,
    caller: Caller,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    by_id: HashMap<String, RecordedInput>,
    order: VecDeque<String>,
}

impl Recorder {
    fn new(state: Arc<Emulated>, caller: Caller) -> Self {
        Self {
            state,
            caller,
            pending: Mutex::default(),
        }
    }

    async fn sent(&self, deployment: Option<&str>, inputs: &[ClassificationInput]) {
        let Caller { client, namespace } = &self.caller;
        let pixels = namespace.pixels(&self.state.cpu, inputs).await;
        let mut pending = lock(&self.pending);
        for (input, pixels) in inputs.iter().zip(pixels) {
            let noted = RecordedInput::new(deployment, &client.id, input, pixels);
            pending.order.push_back(input.correlation_id.clone());
            pending.by_id.insert(input.correlation_id.clone(), noted);
        }
        while pending.order.len() > PENDING
            && let Some(oldest) = pending.order.pop_front()
        {
            pending.by_id.remove(&oldest);
        }
    }

    fn received(&self, outputs: &[ClassificationOutput]) {
        let mut pending = lock(&self.pending);
        let answered = outputs.iter().filter_map(|output| {
            let input = pending.by_id.remove(&output.correlation_id)?;
            Some(input.answered(output, None))
        });
        let answered: Vec<_> = answered.collect();
        // Ids of answered inputs would pile up in front otherwise.
        let Pending { by_id, order } = &mut *pending;
        while order.front().is_some_and(|id| !by_id.contains_key(id)) {
            order.pop_front();
        }
        drop(pending);
        self.caller.namespace.observer.answered(answered);
    }
}
