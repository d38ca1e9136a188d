//! athena-auth alone, in a plain tonic client: `cargo run -p examples --bin auth_in_tonic`
//!
//! The layer wraps any channel; the generated stub does not notice. A gRPC server of your own
//! takes the place of the emulator.

use athena_auth::{AuthorizationLayer, OAuthClientCredentials};
use athena_emulator::Emulator;
use athena_proto::classifier_service_client::ClassifierServiceClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Emulator::builder().start().await?;

    let credentials = OAuthClientCredentials::builder(server.client_id(), server.client_secret())
        .token_url(server.token_url())
        .audience(server.audience())
        .ca_certificate(server.ca_pem())
        .build()?;
    let channel = Channel::from_shared(server.endpoint().to_string())?
        .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(server.ca_pem())))?
        .connect_lazy();
    let authorized = ServiceBuilder::new()
        .layer(AuthorizationLayer::new(credentials))
        .service(channel);

    let mut stub = ClassifierServiceClient::with_origin(authorized, server.endpoint().parse()?);
    let answer = stub.list_deployments(()).await?.into_inner();
    println!("authorized: {} deployments", answer.deployments.len());
    server.shutdown().await;
    Ok(())
}
