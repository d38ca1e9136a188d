//! athena-auth alone, in a plain HTTP client: `cargo run -p examples --bin auth_in_http`
//!
//! The same layer over a hyper client. With a client that is not a tower service, put
//! `source.token().await?.header_value()` into its `authorization` header instead.

use athena_auth::{AuthorizationLayer, Static};
use axum::{Router, body::Body, http::HeaderMap, http::Request, http::StatusCode, routing::get};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt as _};

#[tokio::main]
async fn main() -> Result<(), athena_auth::BoxError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/whoami", listener.local_addr()?);
    tokio::spawn(async {
        axum::serve(listener, Router::new().route("/whoami", get(whoami))).await
    });

    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let authorized = ServiceBuilder::new()
        // Tokens go over plaintext only to this very machine, as here.
        .layer(AuthorizationLayer::new(Static::bearer(
            "a-token-from-elsewhere",
        )?))
        .service(client);

    let answer = authorized
        .oneshot(Request::get(url).body(Body::empty())?)
        .await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    println!("{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// A server that wants a bearer token.
async fn whoami(headers: HeaderMap) -> (StatusCode, &'static str) {
    match headers.get("authorization") {
        Some(value) if value.as_bytes().starts_with(b"Bearer ") => (StatusCode::OK, "a bearer"),
        _ => (StatusCode::UNAUTHORIZED, "nobody"),
    }
}
