//! What the tests share: a client of their own, on the bare stubs, so that they test the wire.
#![allow(unreachable_pub)]

use std::time::Duration;

use athena_emulator::{Emulator, TokenKind};
use athena_proto::classifier_service_client::ClassifierServiceClient;
use athena_proto::{
    ClassificationInput, ClassificationOutput, ClassifyRequest, ClassifyResponse, ImageFormat,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

pub const FRAME: usize = 448 * 448 * 3;

/// Long enough for any answer: a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub type Grpc = ClassifierServiceClient<InterceptedService<Channel, Bearer>>;

#[derive(Clone)]
pub struct Bearer(pub String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !self.0.is_empty() {
            let value = MetadataValue::try_from(&self.0).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

pub async fn channel(emulator: &Emulator) -> Channel {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(emulator.ca_pem()));
    let endpoint = Endpoint::from_shared(emulator.endpoint())
        .unwrap()
        .tls_config(tls)
        .unwrap();
    endpoint.connect().await.unwrap()
}

/// A client with this authorization header; none when it is empty.
pub async fn client_with(emulator: &Emulator, authorization: &str) -> Grpc {
    ClassifierServiceClient::with_interceptor(channel(emulator).await, Bearer(authorization.into()))
}

/// A client with a good token.
pub async fn client(emulator: &Emulator) -> Grpc {
    on(channel(emulator).await, emulator)
}

/// A client with a token of one of the configured OAuth clients, by way of the admin API.
pub async fn client_of(emulator: &Emulator, id: &str) -> Grpc {
    let url = format!("{}/tokens?kind=valid&client_id={id}", emulator.admin_url());
    let answer = http(emulator).post(url).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    client_with(emulator, &format!("Bearer {token}")).await
}

/// A client with a good token on this channel.
pub fn on(channel: Channel, emulator: &Emulator) -> Grpc {
    let token = emulator.mint(TokenKind::Valid).unwrap();
    ClassifierServiceClient::with_interceptor(channel, Bearer(format!("Bearer {token}")))
}

/// An HTTP client that trusts the emulator.
pub fn http(emulator: &Emulator) -> reqwest::Client {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(emulator.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .build()
        .unwrap()
}

/// A raw frame of a picture that `seed` determines.
pub fn frame(seed: u8) -> Vec<u8> {
    (0..FRAME)
        .map(|i| {
            let (x, y, c) = (i / 3 % 448, i / 1344, i % 3);
            (x.wrapping_mul(c + 1) / 2 + y * (3 - c) / 3 + usize::from(seed) * 29) as u8
        })
        .collect()
}

pub fn input(emulator: &Emulator, id: &str, data: Vec<u8>) -> ClassificationInput {
    ClassificationInput {
        affiliate: emulator.affiliate().into(),
        correlation_id: id.into(),
        format: ImageFormat::RawUint8Bgr.into(),
        data: data.into(),
        ..Default::default()
    }
}

/// An input that costs nothing to classify: a hash.
pub fn hash_input(emulator: &Emulator, id: &str) -> ClassificationInput {
    ClassificationInput {
        affiliate: emulator.affiliate().into(),
        correlation_id: id.into(),
        hashes: vec![athena_proto::ImageHash {
            value: "0123456789abcdef0123456789abcdef".into(),
            r#type: athena_proto::HashType::Md5.into(),
        }],
        ..Default::default()
    }
}

/// Waits until something that the emulator does on its own has happened.
pub async fn settle(happened: impl Fn() -> bool) {
    let wait = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it never happened");
}

pub fn weight(output: &ClassificationOutput, label: &str) -> Option<f32> {
    let found = output.classifications.iter().find(|c| c.label == label);
    found.map(|c| c.weight)
}

/// A stream with its two halves.
pub struct Session {
    pub requests: mpsc::Sender<ClassifyRequest>,
    pub responses: Streaming<ClassifyResponse>,
    deployment: String,
}

impl Session {
    pub async fn open(client: &mut Grpc, deployment: &str) -> Self {
        let (requests, queued) = mpsc::channel(64);
        let responses = client
            .classify(ReceiverStream::new(queued))
            .await
            .unwrap()
            .into_inner();
        Self {
            requests,
            responses,
            deployment: deployment.into(),
        }
    }

    pub async fn send(&self, inputs: Vec<ClassificationInput>) {
        let request = ClassifyRequest {
            deployment_id: self.deployment.clone(),
            inputs,
        };
        self.requests.send(request).await.unwrap();
    }

    /// Ends the sending half.
    pub fn finish(&mut self) {
        self.requests = mpsc::channel(1).0;
    }

    /// The next message.
    pub async fn message(&mut self) -> Result<Option<ClassifyResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.responses.message())
            .await
            .expect("no message came")
    }

    /// The next `count` outputs, over as many messages as it takes.
    pub async fn outputs(&mut self, count: usize) -> Vec<ClassificationOutput> {
        let mut outputs = Vec::new();
        while outputs.len() < count {
            outputs.extend(
                self.message()
                    .await
                    .unwrap()
                    .expect("the stream ended")
                    .outputs,
            );
        }
        outputs
    }

    pub async fn ids(&mut self, count: usize) -> Vec<String> {
        self.outputs(count)
            .await
            .into_iter()
            .map(|output| output.correlation_id)
            .collect()
    }
}
