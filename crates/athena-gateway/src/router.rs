//! Which request goes where.

use athena_client::imaging::Hashes;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::gateway::Gateway;
use crate::problem::{Kind, Problem};
use crate::{batch, body, classify, compat, guard, health, judge, metrics};

/// The interface as OpenAPI describes it. A test holds it to the types and the routes.
pub(crate) const OPENAPI: &str = include_str!("../openapi.json");

/// Every route and its method: what the description is held to.
#[cfg(test)]
pub(crate) const ROUTES: &[(&str, &str)] = &[
    ("/v1/classify", "post"),
    ("/v1/classify:batch", "post"),
    ("/v1/hash", "post"),
    ("/v1/outcomes/{key}", "get"),
    ("/compat/pict-rs", "post"),
    ("/compat/scan", "post"),
    ("/livez", "get"),
    ("/readyz", "get"),
    ("/metrics", "get"),
    ("/openapi.json", "get"),
];

impl Gateway {
    /// The routes, for a server of your own. Its connections are then that server's business: times for
    /// heads and bodies that never come, TLS, and ending what is under way.
    pub fn router(&self) -> Router {
        let state = self.clone();
        let router = Router::new()
            .route("/v1/classify", post(classify::classify))
            .route("/v1/classify:batch", post(batch::batch))
            .route("/v1/hash", post(hash))
            .route("/v1/outcomes/{key}", get(classify::outcome))
            .route("/compat/pict-rs", post(compat::pict_rs))
            .route("/compat/scan", post(compat::scan))
            .route("/livez", get(health::livez))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(metrics::show))
            .route("/openapi.json", get(description))
            .method_not_allowed_fallback(async || {
                Problem::new(
                    Kind::MethodNotAllowed,
                    "this path is there, with another method",
                )
            })
            .fallback(async || Problem::new(Kind::NotFound, "no such path: see /openapi.json"));
        #[cfg(feature = "otel")]
        let router = router.layer(from_fn_with_state(state.clone(), crate::trace::observe));
        router
            .layer(from_fn_with_state(state.clone(), metrics::count))
            .layer(from_fn_with_state(state.clone(), guard::check))
            .with_state(state)
    }
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The digests of a file, in hexadecimal.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Digests {
    /// Its size.
    bytes: u64,
    md5: String,
    sha1: String,
    sha256: String,
}

/// `POST /v1/hash`: the digests that a look-up goes by. Nothing is sent to the service.
async fn hash(
    State(gateway): State<Gateway>,
    headers: axum::http::HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let limits = gateway.limits();
    let held = body::read(
        &headers,
        body,
        limits.image_bytes,
        limits,
        &gateway.shared.admission,
    )
    .await?;
    let bytes: Bytes = held.bytes;
    if bytes.is_empty() {
        return Err(Problem::bad_request("the body is empty"));
    }
    let digests = judge::off_the_runtime(move || {
        let hashes = Hashes::of(&bytes);
        Digests {
            bytes: bytes.len() as u64,
            md5: hashes.md5_hex(),
            sha1: hashes.sha1_hex(),
            sha256: HEXLOWER.encode(&Sha256::digest(&bytes)),
        }
    });
    let digests =
        (digests.await).ok_or_else(|| Problem::new(Kind::Stopping, "the server is stopping"))?;
    drop(held.memory);
    Ok(Json(digests).into_response())
}
