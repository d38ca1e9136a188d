//! The admin API: plain HTTP with JSON, for people with curl and for tests in other languages.

mod actions;
mod inspect;

use std::sync::Arc;

use axum::extract::{FromRef, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::StatusCode;
use http::header::{HOST, ORIGIN};

use crate::emulator::Control;
use crate::state::Emulated;

#[derive(Clone)]
struct Admin {
    state: Arc<Emulated>,
    control: Arc<Control>,
}

impl FromRef<Admin> for Arc<Emulated> {
    fn from_ref(admin: &Admin) -> Self {
        admin.state.clone()
    }
}

impl FromRef<Admin> for Arc<Control> {
    fn from_ref(admin: &Admin) -> Self {
        admin.control.clone()
    }
}

/// The admin API, for requests to a loopback name or one of `names`.
pub(crate) fn router(
    state: Arc<Emulated>,
    control: Arc<Control>,
    mut names: Vec<String>,
) -> axum::Router {
    names.extend(["localhost", "127.0.0.1", "[::1]"].map(String::from));
    let names: Arc<[String]> = names.into();
    axum::Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ca.pem", get(inspect::ca))
        .route("/stats", get(inspect::stats))
        .route("/metrics", get(inspect::metrics))
        .route("/deployments", get(inspect::deployments))
        .route("/inputs", get(inspect::inputs))
        .route(
            "/faults",
            get(actions::faults)
                .merge(put(actions::set_faults))
                .delete(actions::clear_faults),
        )
        .route("/known-hashes", post(actions::add_known_hashes))
        .route("/tokens", post(actions::mint))
        .route("/tokens/revoke", post(actions::revoke_tokens))
        .route("/streams/cut", post(actions::cut_streams))
        .route("/connections/goaway", post(actions::goaway))
        .route("/connections/drop", post(actions::disconnect))
        .route("/listener/restart", post(actions::restart))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            refuse_browsers(names.clone(), request, next)
        }))
        .with_state(Admin { state, control })
}

/// Keeps web pages out, which a browser lets send requests to loopback: those carry an `Origin`,
/// or, with a rebound DNS name, a foreign `Host`.
async fn refuse_browsers(names: Arc<[String]>, request: Request, next: Next) -> Response {
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
