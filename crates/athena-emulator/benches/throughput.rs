//! Raw frames through a running emulator, over TLS on loopback, client included.

use athena_emulator::{Emulator, TokenKind};
use athena_proto::classifier_service_client::ClassifierServiceClient;
use athena_proto::{ClassificationInput, ClassifyRequest, ImageFormat};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

const FRAME: usize = 448 * 448 * 3;
/// As many as fit gRPC's default message size.
const BATCH: usize = 6;
const MESSAGES: usize = 50;

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn channel(emulator: &Emulator) -> Channel {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(emulator.ca_pem()));
    let endpoint = Endpoint::from_shared(emulator.endpoint()).expect("an address");
    endpoint
        .tls_config(tls)
        .expect("a CA")
        .connect()
        .await
        .expect("a connection")
}

async fn stream(emulator: &Emulator, channel: Channel, deployment: usize, data: &bytes::Bytes) {
    let token = emulator.mint(TokenKind::Valid).expect("a token");
    let input = ClassificationInput {
        affiliate: emulator.affiliate().into(),
        correlation_id: "frame".into(),
        format: ImageFormat::RawUint8Bgr.into(),
        data: data.clone(),
        ..Default::default()
    };
    let message = ClassifyRequest {
        deployment_id: deployment.to_string(),
        inputs: vec![input; BATCH],
    };
    let mut request = Request::new(tokio_stream::iter(std::iter::repeat_n(message, MESSAGES)));
    let authorization = format!("Bearer {token}").parse().expect("ASCII");
    request
        .metadata_mut()
        .insert("authorization", authorization);
    let mut responses = ClassifierServiceClient::new(channel)
        .classify(request)
        .await
        .expect("a stream")
        .into_inner();
    let mut results = 0;
    while let Some(response) = responses.next().await {
        results += response.expect("a response").outputs.len();
    }
    assert_eq!(results, BATCH * MESSAGES);
}

/// A stream that sends raw frames as fast as they are taken.
#[divan::bench(args = [1, 2])]
fn raw_frames(bencher: Bencher<'_, '_>, streams: usize) {
    let runtime = runtime();
    let (emulator, channel) = runtime.block_on(async {
        let emulator = Emulator::builder().start().await.expect("an emulator");
        let channel = channel(&emulator).await;
        (emulator, channel)
    });
    let data = bytes::Bytes::from((0..FRAME).map(|i| (i / 7) as u8).collect::<Vec<_>>());
    let frames = streams * BATCH * MESSAGES;
    bencher
        .counter(ItemsCount::new(frames))
        .counter(BytesCount::new(frames * FRAME))
        .bench_local(|| {
            runtime.block_on(async {
                let all = (0..streams).map(|n| stream(&emulator, channel.clone(), n, &data));
                futures_util::future::join_all(all).await;
            });
        });
    runtime.block_on(emulator.shutdown());
}
