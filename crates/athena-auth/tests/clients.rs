//! The layer over the HTTP clients that people use, against real servers.

mod support;

use athena_auth::{
    AuthError, AuthErrorKind, AuthorizationLayer, BoxError, Cached, Static, Token, TokenSource,
};
use http::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{Endpoint, answer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;

#[tokio::test]
async fn hyper_util() {
    let server = Endpoint::start_plain(|_| answer(200, &[], "hello")).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let mut service = ServiceBuilder::new()
        .layer(AuthorizationLayer::new(
            Static::bearer("a-token").expect("a good token"),
        ))
        .service(client);
    let request = Request::get(server.url())
        .body(String::new())
        .expect("a request");
    let response = service
        .ready()
        .await
        .expect("ready")
        .call(request)
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(
        server.received()[0]
            .head
            .contains("authorization: Bearer a-token"),
        "{:?}",
        server.received()
    );
}

/// A gRPC server on loopback that accepts one token, and a channel to it.
async fn grpc(accepted: &'static str) -> (Uri, Channel) {
    let (_, health) = tonic_health::server::health_reporter();
    let guarded = tower::ServiceBuilder::new()
        .layer(tonic::service::InterceptorLayer::new(
            move |request: tonic::Request<()>| match request.metadata().get("authorization") {
                Some(value) if value == accepted => Ok(request),
                _ => Err(Status::unauthenticated("not this token")),
            },
        ))
        .service(health);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let uri: Uri = format!("http://{}", listener.local_addr().expect("bound"))
        .parse()
        .expect("a URL");
    tokio::spawn(
        Server::builder()
            .add_service(guarded)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let channel = Channel::builder(uri.clone()).connect_lazy();
    (uri, channel)
}

fn check() -> HealthCheckRequest {
    HealthCheckRequest {
        service: String::new(),
    }
}

#[tokio::test]
async fn tonic_channel() {
    let (uri, channel) = grpc("Bearer a-token").await;
    let layer =
        AuthorizationLayer::new(Static::bearer("a-token").expect("a good token")).origin(&uri);
    let mut client = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
    client.check(check()).await.expect("let in");
}

#[tokio::test]
async fn tonic_client_that_knows_its_origin() {
    let (uri, channel) = grpc("Bearer a-token").await;
    let layer = AuthorizationLayer::new(Static::bearer("a-token").expect("a good token"));
    let mut client =
        HealthClient::with_origin(ServiceBuilder::new().layer(layer).service(channel), uri);
    client.check(check()).await.expect("let in");
}

#[tokio::test]
async fn a_token_that_a_grpc_server_rejects_is_dropped() {
    let (uri, channel) = grpc("Bearer another").await;
    let source = std::sync::Arc::new(Cached::new(|| async { Token::bearer("a-token") }));
    let layer = AuthorizationLayer::new(std::sync::Arc::clone(&source)).origin(&uri);
    let mut client = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
    source.token().await.expect("a token");
    assert!(source.cached().is_some());
    assert_eq!(
        client.check(check()).await.expect_err("kept out").code(),
        Code::Unauthenticated
    );
    assert!(source.cached().is_none());
}

#[tokio::test]
async fn a_tonic_client_that_does_not_say_where_it_leads_is_told_so() {
    let (_, channel) = grpc("Bearer a-token").await;
    let layer = AuthorizationLayer::new(Static::bearer("a-token").expect("a good token"));
    let mut client = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
    let status = client.check(check()).await.expect_err("refused");
    assert!(status.message().contains("origin"), "{status:?}");
}

/// Two servers, a redirect from the first to the second, and what the second received.
async fn redirected(layer: AuthorizationLayer) -> (Result<(), BoxError>, Vec<String>) {
    let target = Endpoint::start_plain(|_| answer(200, &[], "welcome")).await;
    let location = format!("location: {}", target.url());
    let server = Endpoint::start_plain(move |_| answer(302, &[&location], "")).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let service = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(layer)
        .service(client);
    let request = Request::get(server.url())
        .body(String::new())
        .expect("a request");
    let result = service.oneshot(request).await.map(drop);
    assert!(
        server.received()[0]
            .head
            .contains("authorization: Bearer a-token")
    );
    let heads = target.received().into_iter().map(|received| received.head);
    (result, heads.collect())
}

#[tokio::test]
async fn a_redirect_to_another_origin_gets_no_token() {
    let layer = || AuthorizationLayer::new(Static::bearer("a-token").expect("a good token"));
    let (result, received) = redirected(layer()).await;
    let error = result.expect_err("another port is another origin");
    let error = error.downcast::<AuthError>().expect("of this crate");
    assert_eq!(error.kind(), AuthErrorKind::ForeignOrigin);
    assert!(received.is_empty(), "{received:?}");

    let (result, received) = redirected(layer().forward_other_origins(true)).await;
    result.expect("the other server answered");
    assert_eq!(received.len(), 1);
    assert!(!received[0].contains("authorization"), "{received:?}");
}
