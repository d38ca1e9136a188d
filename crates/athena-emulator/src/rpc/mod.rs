//! The gRPC side: the three methods behind their token check, health and reflection.

mod budget;
mod guard;
mod patience;
mod reader;
#[cfg(feature = "upstream")]
mod relay;
mod responder;
mod service;

use std::sync::Arc;

use athena_proto::classifier_service_server::{ClassifierService, ClassifierServiceServer};
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::config::Config;
use crate::error::{Error, Repr};
use crate::state::Emulated;
use budget::Budget;
use guard::Guard;
use service::Classifiers;

/// The HTTP/2 service with all gRPC services.
pub(crate) async fn router(state: Arc<Emulated>, config: &Config) -> Result<axum::Router, Error> {
    #[cfg(feature = "upstream")]
    if let Some(host) = &config.upstream {
        let relay = relay::Relay::new(state.clone(), host, config)?;
        return serve(relay, state, config).await;
    }
    serve(Classifiers::new(state.clone()), state, config).await
}

async fn serve<T: ClassifierService>(
    service: T,
    state: Arc<Emulated>,
    config: &Config,
) -> Result<axum::Router, Error> {
    let limits = &config.limits;
    let budget = Budget::new(limits);
    let classifier = ClassifierServiceServer::new(service)
        // What it unfolds to is bounded like any message.
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limits.message_bytes)
        .max_encoding_message_size(usize::MAX);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<ClassifierServiceServer<T>>().await;

    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(athena_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(Guard::new(classifier, state, budget))
        .add_service(health_service)
        .add_service(descriptors().build_v1().map_err(Repr::from)?)
        .add_service(descriptors().build_v1alpha().map_err(Repr::from)?)
        .prepare()
        .into_axum_router())
}
