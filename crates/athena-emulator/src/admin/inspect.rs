use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::deployments::DeploymentInfo;
use crate::observe::{self, RecordedInput};
use crate::state::Emulated;

pub(super) async fn ca(State(state): State<Arc<Emulated>>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/x-pem-file")],
        state.ca_pem.clone(),
    )
}

pub(super) async fn stats(State(state): State<Arc<Emulated>>) -> Json<Value> {
    let mut stats = json!(state.observer.stats());
    stats["deployments"] = json!(state.deployments.list());
    stats["faults_struck"] = state.faults.struck().into();
    stats["known_hashes"] = state.classifier.known.len().into();
    Json(stats)
}

pub(super) async fn metrics(State(state): State<Arc<Emulated>>) -> impl IntoResponse {
    let text = observe::render(
        &state.observer.stats(),
        &state.deployments.list(),
        state.faults.struck(),
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

pub(super) async fn deployments(State(state): State<Arc<Emulated>>) -> Json<Vec<DeploymentInfo>> {
    Json(state.deployments.list())
}

pub(super) async fn inputs(State(state): State<Arc<Emulated>>) -> Json<Vec<RecordedInput>> {
    Json(state.observer.inputs())
}
