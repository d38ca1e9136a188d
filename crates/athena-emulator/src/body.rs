//! Reads the bodies of HTTP requests before they are handled, so that none is large or takes for ever.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// How long a client may take for the body.
const PATIENCE: Duration = Duration::from_secs(30);

/// Passes on requests with bodies of at most `limit` bytes that come in time.
pub(crate) async fn read(limit: usize, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(PATIENCE, to_bytes(body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let message = format!("the body must be complete and have at most {limit} bytes\n");
            return (StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
        }
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body took too long\n").into_response(),
    };
    next.run(Request::from_parts(parts, Body::from(body))).await
}
