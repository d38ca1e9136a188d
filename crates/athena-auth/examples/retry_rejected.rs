//! A retry above the layer: `cargo run -p athena-auth --example retry_rejected`
//!
//! The layer drops a token that the server rejects, but does not send the request again. A retry
//! above it does, and its second attempt carries a new token.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU32, Ordering};

use athena_auth::{AuthorizationLayer, BoxError, Cached, Token};
use http::{Request, Response, StatusCode};
use tower::retry::{Policy, RetryLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// Sends a request once more if its token was rejected.
#[derive(Clone)]
struct OnceMore {
    spent: bool,
}

impl Policy<Request<()>, Response<String>, BoxError> for OnceMore {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<()>,
        result: &mut Result<Response<String>, BoxError>,
    ) -> Option<Ready<()>> {
        let rejected =
            matches!(result, Ok(response) if response.status() == StatusCode::UNAUTHORIZED);
        let again = rejected && !self.spent;
        self.spent = true;
        again.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
        Some(request.clone())
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let number = AtomicU32::new(0);
    let source = Cached::new(move || {
        let number = number.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Token::bearer(format!("token-{number}")) }
    });

    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(OnceMore { spent: false }))
        .layer(AuthorizationLayer::new(source))
        .service(service_fn(server));

    let answer = service
        .oneshot(Request::get("https://api.example.com/").body(())?)
        .await?;
    println!("{}: {}", answer.status(), answer.body());
    Ok(())
}

/// A server that has revoked the first token.
async fn server(request: Request<()>) -> Result<Response<String>, Infallible> {
    let token = request.headers().get("authorization");
    println!(
        "the server got {}",
        token
            .and_then(|token| token.to_str().ok())
            .unwrap_or("no token")
    );
    let mut answer = Response::new("welcome".to_owned());
    if token.is_some_and(|token| token == "Bearer token-1") {
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
    }
    Ok(answer)
}
