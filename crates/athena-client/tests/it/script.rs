//! A service without a network, on the test's own clock: what arrives when, and what is answered.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use athena_client::{Client, ClientBuilder};
use athena_proto::classifier_service_server::{ClassifierService, ClassifierServiceServer};
use athena_proto::{
    ClassificationInput, ClassificationOutput, ClassifyRequest, ClassifyResponse,
    ListDeploymentsResponse,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Play {
    /// Each image at once.
    Answer,
    /// Nothing, for ever.
    Silence,
    /// The end of the stream as soon as a message comes.
    HangUp,
}

#[derive(Clone)]
pub(crate) struct Script {
    play: Play,
    begin: Instant,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    streams: usize,
    messages: Vec<(Duration, usize)>,
}

impl Script {
    pub(crate) fn new(play: Play) -> Self {
        Self {
            play,
            begin: Instant::now(),
            seen: Arc::default(),
        }
    }

    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder().service(ClassifierServiceServer::new(self.clone()))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// When each message came, and with how many images.
    pub(crate) fn messages(&self) -> Vec<(Duration, usize)> {
        self.seen().messages.clone()
    }

    pub(crate) fn streams(&self) -> usize {
        self.seen().streams
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic")
    }
}

fn answer(input: ClassificationInput) -> ClassificationOutput {
    ClassificationOutput {
        correlation_id: input.correlation_id,
        ..ClassificationOutput::default()
    }
}

#[tonic::async_trait]
impl ClassifierService for Script {
    type ClassifyStream = Pin<Box<dyn Stream<Item = Result<ClassifyResponse, Status>> + Send>>;

    async fn classify(
        &self,
        request: Request<Streaming<ClassifyRequest>>,
    ) -> Result<Response<Self::ClassifyStream>, Status> {
        self.seen().streams += 1;
        let begin = (self.clone(), request.into_inner());
        let responses = stream::unfold(begin, |(script, mut requests)| async {
            loop {
                let request = requests.message().await.ok()??;
                let came = (script.elapsed(), request.inputs.len());
                script.seen().messages.push(came);
                match script.play {
                    Play::HangUp => return None,
                    Play::Answer if !request.inputs.is_empty() => {
                        let response = ClassifyResponse {
                            global_error: None,
                            outputs: request.inputs.into_iter().map(answer).collect(),
                        };
                        return Some((Ok(response), (script, requests)));
                    }
                    Play::Answer | Play::Silence => {}
                }
            }
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn list_deployments(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListDeploymentsResponse>, Status> {
        let mut status = Status::unavailable("later");
        status
            .metadata_mut()
            .insert("grpc-retry-pushback-ms", 3_600_000.into());
        Err(status)
    }

    async fn classify_single(
        &self,
        request: Request<ClassificationInput>,
    ) -> Result<Response<ClassificationOutput>, Status> {
        if self.play == Play::Silence {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(answer(request.into_inner())))
    }
}
