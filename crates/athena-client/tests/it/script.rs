//! A service without a network, on the test's own clock: what arrives when, and what is answered.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use athena_client::{Client, ClientBuilder};
use athena_proto::classifier_service_server::{ClassifierService, ClassifierServiceServer};
use athena_proto::{
    Classification, ClassificationInput, ClassificationOutput, ClassifyRequest, ClassifyResponse,
    ListDeploymentsResponse,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Play {
    /// Each image at once.
    Answer,
    /// Each image after so long, one after the other.
    Labour(Duration),
    /// The first images after so long, and not even the head of the stream before.
    LateHead(Duration),
    /// So many streams end for want of a token, after a second in which nothing is answered.
    Expire { streams: usize },
    /// So many streams are told to come back tomorrow.
    Tomorrow { streams: usize },
    /// Nothing, for ever.
    Silence,
    /// Results for strangers, without reading a single request.
    Deaf,
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
    traces: Vec<Option<String>>,
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

    /// On a port of its own, without TLS.
    pub(crate) async fn serve(&self) -> ClientBuilder {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(64 << 10)
            .add_service(ClassifierServiceServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        Client::builder()
            .endpoint(format!("http://{address}"))
            .no_proxy()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// When each message came, and with how many images.
    pub(crate) fn messages(&self) -> Vec<(Duration, usize)> {
        self.seen().messages.clone()
    }

    /// The trace context of each call.
    pub(crate) fn traces(&self) -> Vec<Option<String>> {
        self.seen().traces.clone()
    }

    fn called<T>(&self, request: &Request<T>) {
        let trace = request.metadata().get("traceparent");
        let trace = trace.map(|trace| trace.to_str().expect("text").to_owned());
        self.seen().traces.push(trace);
    }

    pub(crate) fn begin_again(&self) {
        *self.seen() = Seen::default();
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
        classifications: vec![Classification {
            label: "UnknownCSAM-PCSAM".to_owned(),
            weight: 0.25,
        }],
        error: None,
    }
}

/// Reads all that comes, and answers one image after the other.
fn labour(
    script: Script,
    mut requests: Streaming<ClassifyRequest>,
    time: Duration,
) -> impl Stream<Item = Result<ClassifyResponse, Status>> + Send {
    let (queue, work) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(request)) = requests.message().await {
            let came = (script.elapsed(), request.inputs.len());
            script.seen().messages.push(came);
            for input in request.inputs {
                let _ = queue.send(input);
            }
        }
    });
    stream::unfold(work, move |mut work| async move {
        let input = work.recv().await?;
        tokio::time::sleep(time).await;
        let response = ClassifyResponse {
            global_error: None,
            outputs: vec![answer(input)],
        };
        Some((Ok(response), work))
    })
}

/// The service is unavailable, and asks to be left alone for so long.
fn later(time: Duration) -> Status {
    let mut status = Status::unavailable("later");
    let millis = u64::try_from(time.as_millis()).expect("small");
    status
        .metadata_mut()
        .insert("grpc-retry-pushback-ms", millis.into());
    status
}

fn stranger() -> ClassifyResponse {
    ClassifyResponse {
        global_error: None,
        outputs: vec![ClassificationOutput {
            correlation_id: "stranger".to_owned(),
            ..ClassificationOutput::default()
        }],
    }
}

#[tonic::async_trait]
impl ClassifierService for Script {
    type ClassifyStream = Pin<Box<dyn Stream<Item = Result<ClassifyResponse, Status>> + Send>>;

    async fn classify(
        &self,
        request: Request<Streaming<ClassifyRequest>>,
    ) -> Result<Response<Self::ClassifyStream>, Status> {
        self.called(&request);
        self.seen().streams += 1;
        if let Play::Tomorrow { streams } = self.play
            && self.streams() <= streams
        {
            return Err(later(Duration::from_secs(86_400)));
        }
        if self.play == Play::Deaf {
            // Held, so that the client's window stays shut.
            let requests = request.into_inner();
            let results = stream::unfold(requests, |requests| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Some((Ok(stranger()), requests))
            });
            return Ok(Response::new(results.boxed()));
        }
        if let Play::Expire { streams } = self.play
            && self.streams() <= streams
        {
            let requests = request.into_inner();
            let end = stream::unfold(Some(requests), |requests| async {
                let mut requests = requests?;
                let read = async { while let Ok(Some(_)) = requests.message().await {} };
                let _ = tokio::time::timeout(Duration::from_secs(1), read).await;
                Some((Err(Status::unauthenticated("the token has expired")), None))
            });
            return Ok(Response::new(end.boxed()));
        }
        if let Play::LateHead(time) = self.play {
            let mut requests = request.into_inner();
            let mut outputs = Vec::new();
            while outputs.is_empty() {
                let Some(request) = requests.message().await? else {
                    return Err(Status::cancelled("the client left"));
                };
                self.seen()
                    .messages
                    .push((self.elapsed(), request.inputs.len()));
                outputs.extend(request.inputs.into_iter().map(answer));
            }
            tokio::time::sleep(time).await;
            let first = ClassifyResponse {
                global_error: None,
                outputs,
            };
            let rest = async move { while let Ok(Some(_)) = requests.message().await {} };
            let rest = stream::once(rest).filter_map(|()| std::future::ready(None));
            return Ok(Response::new(
                stream::once(async { Ok(first) }).chain(rest).boxed(),
            ));
        }
        if let Play::Labour(time) = self.play {
            return Ok(Response::new(
                labour(self.clone(), request.into_inner(), time).boxed(),
            ));
        }
        let begin = (self.clone(), request.into_inner());
        let responses = stream::unfold(begin, |(script, mut requests)| async {
            loop {
                let request = requests.message().await.ok()??;
                let came = (script.elapsed(), request.inputs.len());
                script.seen().messages.push(came);
                match script.play {
                    Play::HangUp => return None,
                    Play::Answer | Play::Expire { .. } | Play::Tomorrow { .. }
                        if !request.inputs.is_empty() =>
                    {
                        let response = ClassifyResponse {
                            global_error: None,
                            outputs: request.inputs.into_iter().map(answer).collect(),
                        };
                        return Some((Ok(response), (script, requests)));
                    }
                    _ => {}
                }
            }
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn list_deployments(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListDeploymentsResponse>, Status> {
        Err(later(Duration::from_secs(3_600)))
    }

    async fn classify_single(
        &self,
        request: Request<ClassificationInput>,
    ) -> Result<Response<ClassificationOutput>, Status> {
        if self.play == Play::Silence {
            std::future::pending::<()>().await;
        }
        self.called(&request);
        let input = request.into_inner();
        if let Play::Labour(time) | Play::LateHead(time) = self.play {
            self.seen().messages.push((self.elapsed(), 1));
            tokio::time::sleep(time).await;
        }
        Ok(Response::new(answer(input)))
    }
}
