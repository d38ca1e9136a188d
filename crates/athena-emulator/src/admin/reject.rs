//! What the admin API refuses, and how it says so.

use std::fmt::Display;
use std::sync::Arc;

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HOST, ORIGIN};
use serde_json::json;

use crate::{EmulatorErrorKind, Error};

/// An error as the admin API answers it.
pub(super) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    pub(super) fn request(error: &impl Display) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: error.to_string(),
        }
    }

    pub(super) fn internal(message: &str) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: message.into(),
        }
    }

    pub(super) fn no_namespace(name: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("there is no namespace {name:?}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            status: match error.kind() {
                EmulatorErrorKind::Setting => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            message: error.to_string(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.message}))).into_response()
    }
}

/// Keeps web pages out, which a browser lets send requests to loopback: those carry an `Origin`,
/// or, with a rebound DNS name, a foreign `Host`.
pub(super) async fn refuse_browsers(
    names: Arc<[String]>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host.trim_end_matches(|c: char| c.is_ascii_digit());
    let name = name.strip_suffix(':').unwrap_or(host);
    if headers.contains_key(ORIGIN) || !names.iter().any(|known| known == name) {
        return (
            StatusCode::FORBIDDEN,
            "the admin API is not for web pages\n",
        )
            .into_response();
    }
    next.run(request).await
}
