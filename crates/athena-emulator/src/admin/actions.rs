use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Failure, InNamespace, Urls};
use crate::duration;
use crate::emulator::Control;
use crate::faults::Faults;
use crate::listener::{Scope, Signal};
use crate::namespace::NamespaceState;
use crate::oauth::TokenKind;
use crate::rules::{Digests, Rule, RuleInfo};
use crate::state::Emulated;

pub(super) async fn set_faults(
    InNamespace(namespace): InNamespace,
    Json(faults): Json<Faults>,
) -> Result<Json<Faults>, Failure> {
    namespace.faults.set(faults.clone())?;
    Ok(Json(faults))
}

pub(super) async fn clear_faults(
    InNamespace(namespace): InNamespace,
) -> Result<StatusCode, Failure> {
    namespace.faults.set(Faults::none())?;
    Ok(StatusCode::NO_CONTENT)
}

/// One rule or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Rules {
    Several(Vec<Rule>),
    One(Box<Rule>),
}

impl From<Rules> for Vec<Rule> {
    fn from(rules: Rules) -> Self {
        match rules {
            Rules::Several(rules) => rules,
            Rules::One(rule) => vec![*rule],
        }
    }
}

pub(super) async fn add_rules(
    InNamespace(namespace): InNamespace,
    Json(rules): Json<Rules>,
) -> Result<(StatusCode, Json<Vec<RuleInfo>>), Failure> {
    namespace.classifier.rules.add(rules.into())?;
    Ok((StatusCode::CREATED, Json(namespace.classifier.rules.list())))
}

pub(super) async fn set_rules(
    InNamespace(namespace): InNamespace,
    Json(rules): Json<Rules>,
) -> Result<Json<Vec<RuleInfo>>, Failure> {
    namespace.classifier.rules.set(rules.into())?;
    Ok(Json(namespace.classifier.rules.list()))
}

pub(super) async fn clear_rules(
    InNamespace(namespace): InNamespace,
) -> Result<StatusCode, Failure> {
    namespace.classifier.rules.set(Vec::new())?;
    Ok(StatusCode::NO_CONTENT)
}

/// What rules tell the image in the body by.
pub(super) async fn digests(file: Bytes) -> Result<Json<Digests>, Failure> {
    let digests = tokio::task::spawn_blocking(move || Digests::of_file(&file)).await;
    let digests = digests.map_err(|_| Failure::internal("the image decoder panicked"))?;
    Ok(Json(digests?))
}

pub(super) async fn add_known_hashes(
    InNamespace(namespace): InNamespace,
    Json(hashes): Json<Vec<String>>,
) -> Result<Json<Value>, Failure> {
    for hash in &hashes {
        namespace.classifier.known.insert(hash)?;
    }
    Ok(Json(
        json!({"known_hashes": namespace.classifier.known.len()}),
    ))
}

pub(super) async fn clear_known_hashes(InNamespace(namespace): InNamespace) -> StatusCode {
    namespace.classifier.known.clear();
    StatusCode::NO_CONTENT
}

pub(super) async fn clear_stats(InNamespace(namespace): InNamespace) -> StatusCode {
    namespace.observer.reset_stats();
    StatusCode::NO_CONTENT
}

pub(super) async fn clear_inputs(InNamespace(namespace): InNamespace) -> StatusCode {
    namespace.observer.clear_inputs();
    StatusCode::NO_CONTENT
}

pub(super) async fn clear_deployments(InNamespace(namespace): InNamespace) -> StatusCode {
    namespace.clear_deployments();
    StatusCode::NO_CONTENT
}

pub(super) async fn reset(
    State(state): State<Arc<Emulated>>,
    InNamespace(namespace): InNamespace,
) -> Result<StatusCode, Failure> {
    namespace.reset(state.namespaces.setup())?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a snapshot puts back: what it shows of the past is only to be read.
#[derive(Deserialize)]
pub(super) struct Snapshot {
    rules: Vec<SnapshotRule>,
    faults: Faults,
    known_hashes: Vec<String>,
}

#[derive(Deserialize)]
struct SnapshotRule {
    rule: Rule,
}

pub(super) async fn restore(
    InNamespace(namespace): InNamespace,
    Json(snapshot): Json<Snapshot>,
) -> Result<StatusCode, Failure> {
    let rules = snapshot.rules.into_iter().map(|rule| rule.rule).collect();
    namespace.classifier.rules.set(rules)?;
    namespace.faults.set(snapshot.faults)?;
    namespace.classifier.known.clear();
    for hash in &snapshot.known_hashes {
        namespace.classifier.known.insert(hash)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mint {
    kind: TokenKind,
    client_id: Option<String>,
}

pub(super) async fn mint(
    State(state): State<Arc<Emulated>>,
    InNamespace(namespace): InNamespace,
    Query(mint): Query<Mint>,
) -> Result<Json<Value>, Failure> {
    let client = mint.client_id.as_deref().unwrap_or(&namespace.client.id);
    let token = state.issuer.mint(mint.kind, client)?;
    Ok(Json(json!({"access_token": token, "token_type": "Bearer"})))
}

pub(super) async fn revoke_tokens(
    State(state): State<Arc<Emulated>>,
    InNamespace(namespace): InNamespace,
) -> StatusCode {
    state.revoke_tokens(&namespace);
    StatusCode::NO_CONTENT
}

pub(super) async fn cut_streams(InNamespace(namespace): InNamespace) -> StatusCode {
    namespace.cut_streams();
    StatusCode::NO_CONTENT
}

pub(super) async fn goaway(State(state): State<Arc<Emulated>>, scope: Scope) -> StatusCode {
    state.signal(Signal::GoAway, scope);
    StatusCode::NO_CONTENT
}

pub(super) async fn disconnect(State(state): State<Arc<Emulated>>, scope: Scope) -> StatusCode {
    state.signal(Signal::Disconnect, scope);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Downtime {
    #[serde(default, with = "duration")]
    downtime: Duration,
}

pub(super) async fn restart(
    State(control): State<Arc<Control>>,
    Query(query): Query<Downtime>,
) -> Result<StatusCode, Failure> {
    control.restart(query.downtime).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NewNamespace {
    name: Option<String>,
    affiliates: Vec<String>,
}

/// All that a client of a namespace needs to know.
#[derive(Serialize)]
pub(super) struct Credentials {
    name: String,
    client_id: String,
    client_secret: String,
    affiliate: String,
    audience: String,
    token_url: String,
    admin_url: String,
}

pub(super) async fn create_namespace(
    State(state): State<Arc<Emulated>>,
    State(urls): State<Arc<Urls>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Credentials>), Failure> {
    let wanted: NewNamespace = match body.is_empty() {
        true => NewNamespace::default(),
        false => serde_json::from_slice(&body).map_err(|error| Failure::request(&error))?,
    };
    let namespace = state.create_namespace(wanted.name, wanted.affiliates)?;
    Ok((StatusCode::CREATED, Json(credentials(&namespace, &urls))))
}

fn credentials(namespace: &NamespaceState, urls: &Urls) -> Credentials {
    let client = &namespace.client;
    Credentials {
        name: namespace.name.to_string(),
        client_id: client.id.clone(),
        client_secret: client.secret.clone(),
        affiliate: client.affiliates.first().cloned().unwrap_or_default(),
        audience: urls.audience.clone(),
        token_url: urls.token.clone(),
        admin_url: format!("{}/namespaces/{}", urls.admin, namespace.name),
    }
}

pub(super) async fn delete_namespace(
    State(state): State<Arc<Emulated>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    match state.delete_namespace(&name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::no_namespace(&name)),
    }
}
