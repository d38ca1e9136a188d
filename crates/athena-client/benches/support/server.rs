//! A server that answers every input at once with one label.

use std::pin::Pin;

use athena_proto::classifier_service_server::{ClassifierService, ClassifierServiceServer};
use athena_proto::{
    Classification, ClassificationInput, ClassificationOutput, ClassifyRequest, ClassifyResponse,
    ListDeploymentsResponse,
};
use futures_util::{Stream, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

pub(crate) struct Server {
    port: u16,
    pub(crate) ca: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(params, key).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &ca).expect("a certificate");
        let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let service = tonic::transport::Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .expect("a configuration")
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .add_service(ClassifierServiceServer::new(Instant))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(service);
        Self { port, ca: ca.pem() }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

struct Instant;

fn answer(input: ClassificationInput) -> ClassificationOutput {
    ClassificationOutput {
        correlation_id: input.correlation_id,
        classifications: vec![Classification {
            label: "UnknownCSAM-PCSAM".to_owned(),
            weight: 0.0,
        }],
        error: None,
    }
}

#[tonic::async_trait]
impl ClassifierService for Instant {
    type ClassifyStream = Pin<Box<dyn Stream<Item = Result<ClassifyResponse, Status>> + Send>>;

    async fn classify(
        &self,
        request: Request<Streaming<ClassifyRequest>>,
    ) -> Result<Response<Self::ClassifyStream>, Status> {
        let responses = request.into_inner().map(|request| {
            Ok(ClassifyResponse {
                global_error: None,
                outputs: request?.inputs.into_iter().map(answer).collect(),
            })
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn list_deployments(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListDeploymentsResponse>, Status> {
        Ok(Response::new(ListDeploymentsResponse::default()))
    }

    async fn classify_single(
        &self,
        request: Request<ClassificationInput>,
    ) -> Result<Response<ClassificationOutput>, Status> {
        Ok(Response::new(answer(request.into_inner())))
    }
}
