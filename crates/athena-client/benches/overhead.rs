//! What the SDK adds to the generated stub: the same frames over loopback TLS to the same server,
//! which answers at once and does nothing else.
//!
//! `cargo bench -p athena-client --bench overhead`; compare the rows of a group within one run.

#[path = "support/server.rs"]
mod server;

use std::sync::LazyLock;

use athena_client::{Client, Image, Payload, RAW_FRAME_BYTES};
use athena_proto::classifier_service_client::ClassifierServiceClient;
use athena_proto::{ClassificationInput, ClassifyRequest, ImageFormat, RequestEncoding};
use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use futures_util::StreamExt;
use server::Server;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

const FRAMES: usize = 60;
/// As many raw frames as a message of 4 MiB holds.
const BATCH: usize = 6;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
static SERVER: LazyLock<Server> = LazyLock::new(|| RUNTIME.block_on(Server::start()));
static FRAME: LazyLock<Bytes> = LazyLock::new(|| vec![127; RAW_FRAME_BYTES].into());

fn main() {
    // Not from within the runtime.
    LazyLock::force(&SERVER);
    divan::main();
}

async fn stub() -> ClassifierServiceClient<Channel> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&SERVER.ca));
    let channel = Endpoint::from_shared(SERVER.endpoint())
        .expect("an endpoint")
        .tls_config(tls)
        .expect("a configuration")
        .tcp_nodelay(true)
        .connect()
        .await
        .expect("a connection");
    ClassifierServiceClient::new(channel)
}

fn client() -> Client {
    Client::builder()
        .endpoint(SERVER.endpoint())
        .ca_certificate(&SERVER.ca)
        .no_proxy()
        .build()
        .expect("a client")
}

fn input(number: usize) -> ClassificationInput {
    ClassificationInput {
        affiliate: "bench".into(),
        correlation_id: number.to_string(),
        encoding: RequestEncoding::Uncompressed.into(),
        data: FRAME.clone(),
        format: ImageFormat::RawUint8Bgr.into(),
        hashes: Vec::new(),
    }
}

fn image() -> Image {
    Image::from_payload(Payload::raw_bgr(FRAME.clone()))
}

#[divan::bench_group(sample_count = 30, sample_size = 1)]
mod stream {
    use super::*;

    fn counted<'a, 'b>(bencher: divan::Bencher<'a, 'b>) -> divan::Bencher<'a, 'b> {
        bencher
            .counter(ItemsCount::new(FRAMES))
            .counter(BytesCount::new(FRAMES * RAW_FRAME_BYTES))
    }

    #[divan::bench]
    fn stub(bencher: divan::Bencher<'_, '_>) {
        let (sender, receiver) = mpsc::channel(2);
        let mut responses = RUNTIME.block_on(async {
            let call = super::stub()
                .await
                .classify(ReceiverStream::new(receiver))
                .await;
            call.expect("a stream").into_inner()
        });
        counted(bencher).bench_local(|| {
            RUNTIME.block_on(async {
                let sender = sender.clone();
                let send = async move {
                    for batch in 0..FRAMES / BATCH {
                        let inputs = (0..BATCH).map(|n| input(batch * BATCH + n)).collect();
                        let deployment_id = "bench".to_owned();
                        let request = ClassifyRequest {
                            deployment_id,
                            inputs,
                        };
                        sender.send(request).await.expect("an open stream");
                    }
                };
                let receive = async {
                    let mut outputs = 0;
                    while outputs < FRAMES {
                        let message = responses.message().await.expect("no error");
                        outputs += message.map_or(0, |message| message.outputs.len());
                    }
                };
                tokio::join!(tokio::spawn(send), receive).0.expect("sent");
            });
        });
    }

    #[divan::bench]
    fn session(bencher: divan::Bencher<'_, '_>) {
        let session = RUNTIME.block_on(async { client().session().open().expect("a session") });
        counted(bencher).bench_local(|| {
            RUNTIME.block_on(async {
                let images =
                    futures_util::stream::iter((0..FRAMES).map(|number| (number, image())));
                let results = session.classify_all(images);
                let good = results.filter(|(_, result)| std::future::ready(result.is_ok()));
                assert_eq!(good.count().await, FRAMES);
            });
        });
    }
}

#[divan::bench_group(sample_count = 100, sample_size = 5)]
mod unary {
    use super::*;

    #[divan::bench]
    fn stub(bencher: divan::Bencher<'_, '_>) {
        let mut stub = RUNTIME.block_on(super::stub());
        bencher.bench_local(|| {
            let answer = RUNTIME.block_on(stub.classify_single(input(1)));
            answer.expect("an answer")
        });
    }

    #[divan::bench]
    fn client(bencher: divan::Bencher<'_, '_>) {
        let client = super::client();
        bencher.bench_local(|| {
            let answer = RUNTIME.block_on(client.classify(image()));
            answer.expect("an answer")
        });
    }
}
