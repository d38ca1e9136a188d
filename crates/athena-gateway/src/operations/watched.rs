//! A server for probers alone.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Exposition;
use crate::limits::Limits;
use crate::server::{self, Listener};

/// Connections of probers at the same time.
const CONNECTIONS: usize = 100;

/// Something that works by itself, and that others look at.
pub trait Watched: Send + Sync + 'static {
    /// Whether only a restart helps.
    fn is_stuck(&self) -> bool;

    /// Whether it can do its work.
    fn readiness(&self) -> BoxFuture<'_, Readiness>;

    /// Writes its figures.
    fn figures(&self, text: &mut Exposition);
}

/// The answer to `/readyz`.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Whether all is well.
    pub ready: bool,
    /// What is, and what is not.
    pub parts: serde_json::Value,
}

/// Serves `/livez`, `/readyz` and `/metrics` until `stop` completes.
pub async fn watch(
    watched: Arc<dyn Watched>,
    listeners: Vec<Listener>,
    stop: impl Future<Output = ()>,
) {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(map_response(async |mut response: Response| {
            let headers = response.headers_mut();
            let value = header::HeaderValue::from_static;
            headers.insert(header::CACHE_CONTROL, value("no-store"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, value("nosniff"));
            response
        }))
        .with_state(watched);
    let limits = Limits {
        connections: CONNECTIONS,
        ..Limits::default()
    };
    let stopping = CancellationToken::new();
    let (accepting, connections) = server::open(
        router,
        listeners,
        &limits,
        stopping.clone(),
        Arc::new(AtomicU64::new(0)),
    );
    stop.await;
    stopping.cancel();
    accepting.wait().await;
    connections.end_now().await;
}

async fn livez(State(watched): State<Arc<dyn Watched>>) -> Response {
    if watched.is_stuck() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stuck\n").into_response();
    }
    "alive\n".into_response()
}

async fn readyz(State(watched): State<Arc<dyn Watched>>) -> Response {
    let readiness = watched.readiness().await;
    let code = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(readiness.parts)).into_response()
}

async fn metrics(State(watched): State<Arc<dyn Watched>>) -> Response {
    let mut text = Exposition::default();
    watched.figures(&mut text);
    text.into_response()
}
