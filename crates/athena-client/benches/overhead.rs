//! What the SDK adds to the generated stub: the same frames over loopback TLS to the same server,
//! which answers at once and does nothing else.
//!
//! `cargo bench -p athena-client --bench overhead`. The two sides take turns, so that whatever else
//! the machine does falls on both; the ratio is the figure to look at. Processor time includes the
//! server's, which is the same for both.

#[path = "support/cpu.rs"]
mod cpu;
#[path = "support/server.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use athena_client::{Client, Image, Payload, RAW_FRAME_BYTES, Session};
use athena_proto::classifier_service_client::ClassifierServiceClient;
use athena_proto::{
    ClassificationInput, ClassifyRequest, ClassifyResponse, ImageFormat, RequestEncoding,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use server::Server;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

const FRAMES: usize = 60;
/// As many raw frames as a message of 4 MiB holds.
const BATCH: usize = 6;
const CALLS: usize = 60;
const ROUNDS: usize = 60;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start());
    let frame: Bytes = vec![127; RAW_FRAME_BYTES].into();

    println!(
        "{:<10}{:>16}{:>16}{:>18}",
        "", "stub ms/image", "SDK ms/image", "SDK/stub"
    );
    let client = client(&server);
    let session = runtime.block_on(async { client.session().open().expect("a session") });
    let mut bare = runtime.block_on(async { BareStream::open(stub(&server).await).await });
    compare(
        "stream",
        FRAMES,
        || runtime.block_on(bare.classify(&frame)),
        || runtime.block_on(in_session(&session, &frame)),
    );

    let mut stub = runtime.block_on(stub(&server));
    compare(
        "unary",
        CALLS,
        || {
            runtime.block_on(async {
                for number in 0..CALLS {
                    let answer = stub.classify_single(input(number, &frame)).await;
                    answer.expect("an answer");
                }
            });
        },
        || {
            runtime.block_on(async {
                for _ in 0..CALLS {
                    client.classify(image(&frame)).await.expect("a verdict");
                }
            });
        },
    );
}

/// Runs both in turn, and prints medians of the time and totals of the processor time.
fn compare(name: &str, images: usize, mut bare: impl FnMut(), mut sdk: impl FnMut()) {
    bare();
    sdk();
    let (mut bare_times, mut sdk_times) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        // Neither side always goes first.
        if round % 2 == 0 {
            bare_times.measure(&mut bare);
            sdk_times.measure(&mut sdk);
        } else {
            sdk_times.measure(&mut sdk);
            bare_times.measure(&mut bare);
        }
    }
    let per_image =
        |time: Duration, rounds: usize| time.as_secs_f64() * 1e3 / (images * rounds) as f64;
    let rows = [
        ("time", bare_times.median(), sdk_times.median(), 1),
        ("CPU", bare_times.cpu, sdk_times.cpu, ROUNDS),
    ];
    for (what, bare, sdk, rounds) in rows {
        let (bare, sdk) = (per_image(bare, rounds), per_image(sdk, rounds));
        let ratio = sdk / bare;
        println!(
            "{:<10}{bare:>16.3}{sdk:>16.3}{ratio:>18.3}",
            format!("{name} {what}")
        );
    }
}

#[derive(Default)]
struct Times {
    wall: Vec<Duration>,
    cpu: Duration,
}

impl Times {
    fn measure(&mut self, act: &mut impl FnMut()) {
        let (begin, cpu) = (Instant::now(), cpu::time());
        act();
        self.wall.push(begin.elapsed());
        self.cpu += cpu::time().saturating_sub(cpu);
    }

    fn median(&mut self) -> Duration {
        self.wall.sort();
        self.wall[self.wall.len() / 2]
    }
}

/// What somebody writes who uses the stub alone, on a network that never fails.
struct BareStream {
    requests: mpsc::Sender<ClassifyRequest>,
    responses: Streaming<ClassifyResponse>,
}

impl BareStream {
    async fn open(mut stub: ClassifierServiceClient<Channel>) -> Self {
        let (requests, receiver) = mpsc::channel(2);
        let call = stub.classify(ReceiverStream::new(receiver)).await;
        Self {
            requests,
            responses: call.expect("a stream").into_inner(),
        }
    }

    async fn classify(&mut self, frame: &Bytes) {
        let send = async {
            for first in (0..FRAMES).step_by(BATCH) {
                let request = ClassifyRequest {
                    deployment_id: "bench".to_owned(),
                    inputs: (first..first + BATCH).map(|n| input(n, frame)).collect(),
                };
                self.requests.send(request).await.expect("an open stream");
            }
        };
        let receive = async {
            let mut outputs = 0;
            while outputs < FRAMES {
                let message = self.responses.message().await.expect("no error");
                outputs += message.map_or(0, |message| message.outputs.len());
            }
        };
        tokio::join!(send, receive);
    }
}

async fn in_session(session: &Session, frame: &Bytes) {
    let images = stream::iter((0..FRAMES).map(|number| (number, image(frame))));
    let results = session.classify_all(images);
    let good = results.filter(|(_, result)| std::future::ready(result.is_ok()));
    assert_eq!(good.count().await, FRAMES);
}

async fn stub(server: &Server) -> ClassifierServiceClient<Channel> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&server.ca));
    let endpoint = Endpoint::from_shared(server.endpoint()).expect("an endpoint");
    let endpoint = endpoint
        .tls_config(tls)
        .expect("a configuration")
        .tcp_nodelay(true);
    ClassifierServiceClient::new(endpoint.connect().await.expect("a connection"))
}

fn client(server: &Server) -> Client {
    let builder = Client::builder().endpoint(server.endpoint());
    let builder = builder.ca_certificate(&server.ca).no_proxy();
    builder
        .affiliate(Arc::from("bench"))
        .build()
        .expect("a client")
}

fn input(number: usize, frame: &Bytes) -> ClassificationInput {
    ClassificationInput {
        affiliate: "bench".into(),
        correlation_id: number.to_string(),
        encoding: RequestEncoding::Uncompressed.into(),
        data: frame.clone(),
        format: ImageFormat::RawUint8Bgr.into(),
        hashes: Vec::new(),
    }
}

fn image(frame: &Bytes) -> Image {
    Image::from_payload(Payload::raw_bgr(frame.clone()))
}
