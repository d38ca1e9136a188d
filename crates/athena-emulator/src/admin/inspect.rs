use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, InNamespace};
use crate::deployments::DeploymentInfo;
use crate::duration;
use crate::faults::Faults;
use crate::namespace::{Expectation, NamespaceState};
use crate::observe::{self, RecordedInput};
use crate::rules::{RuleInfo, Selector};
use crate::state::Emulated;

/// The longest that a request waits for inputs.
const MAX_WAIT: Duration = Duration::from_secs(300);

pub(super) async fn ca(State(state): State<Arc<Emulated>>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/x-pem-file")],
        state.ca_pem.clone(),
    )
}

pub(super) async fn namespaces(State(state): State<Arc<Emulated>>) -> Json<Vec<String>> {
    let all = state.namespaces.list().into_iter();
    Json(all.map(|namespace| namespace.name.to_string()).collect())
}

pub(super) async fn stats(InNamespace(namespace): InNamespace) -> Json<Value> {
    Json(stats_of(&namespace))
}

fn stats_of(namespace: &NamespaceState) -> Value {
    let mut stats = json!(namespace.observer.stats());
    stats["deployments"] = json!(namespace.deployments.list());
    stats["faults_struck"] = namespace.faults.struck().into();
    stats["known_hashes"] = namespace.classifier.known.len().into();
    stats
}

pub(super) async fn metrics(InNamespace(namespace): InNamespace) -> impl IntoResponse {
    let text = observe::render(
        &namespace.observer.stats(),
        &namespace.deployments.list(),
        namespace.faults.struck(),
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

pub(super) async fn faults(InNamespace(namespace): InNamespace) -> Json<Faults> {
    Json(namespace.faults.current())
}

pub(super) async fn rules(InNamespace(namespace): InNamespace) -> Json<Vec<RuleInfo>> {
    Json(namespace.classifier.rules.list())
}

pub(super) async fn known_hashes(InNamespace(namespace): InNamespace) -> Json<Vec<String>> {
    Json(namespace.classifier.known.list())
}

pub(super) async fn deployments(InNamespace(namespace): InNamespace) -> Json<Vec<DeploymentInfo>> {
    Json(namespace.deployments.list())
}

/// Everything of a namespace; what was set can be put back.
pub(super) async fn snapshot(InNamespace(namespace): InNamespace) -> Json<Value> {
    Json(json!({
        "rules": namespace.classifier.rules.list(),
        "faults": namespace.faults.current(),
        "known_hashes": namespace.classifier.known.list(),
        "stats": stats_of(&namespace),
        "inputs": namespace.observer.inputs(&Selector::any()),
    }))
}

/// Which inputs, and whether to wait for them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    md5: Option<String>,
    sha1: Option<String>,
    pixels: Option<String>,
    correlation_id: Option<String>,
    affiliate: Option<String>,
    deployment: Option<String>,
    format: Option<String>,
    /// Exactly so many.
    count: Option<usize>,
    /// So many or more.
    at_least: Option<usize>,
    #[serde(default, with = "duration::optional")]
    wait: Option<Duration>,
}

pub(super) async fn inputs(
    InNamespace(namespace): InNamespace,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let mut selector = Selector {
        md5: wanted.md5,
        sha1: wanted.sha1,
        pixels: wanted.pixels,
        correlation_id: wanted.correlation_id,
        affiliate: wanted.affiliate,
        deployment: wanted.deployment,
        format: wanted.format,
    };
    selector.check()?;
    let found = |inputs: Vec<RecordedInput>| Json(inputs).into_response();
    if (wanted.count, wanted.at_least, wanted.wait) == (None, None, None) {
        return Ok(found(namespace.observer.inputs(&selector)));
    }
    let expectation = Expectation::of(selector);
    let expectation = match (wanted.count, wanted.at_least) {
        (Some(count), None) => expectation.exactly(count),
        (None, least) => expectation.at_least(least.unwrap_or(1)),
        (Some(_), Some(_)) => return Err(Failure::request(&"give count or at_least, not both")),
    };
    let wait = wanted.wait.unwrap_or_default().min(MAX_WAIT);
    Ok(
        match expectation.within(wait).wait(&namespace.observer).await {
            Ok(inputs) => found(inputs),
            Err(unmet) => (StatusCode::EXPECTATION_FAILED, unmet.to_string()).into_response(),
        },
    )
}
