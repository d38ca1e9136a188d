use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::duration;
use crate::emulator::Control;
use crate::faults::Faults;
use crate::listener::Signal;
use crate::oauth::TokenKind;
use crate::state::Emulated;
use crate::{Error, ErrorKind};

/// An error as the admin API answers it.
pub(super) struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::Setting => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({"error": self.0.to_string()}))).into_response()
    }
}

pub(super) async fn faults(State(state): State<Arc<Emulated>>) -> Json<Faults> {
    Json(state.faults.current())
}

pub(super) async fn set_faults(
    State(state): State<Arc<Emulated>>,
    Json(faults): Json<Faults>,
) -> Result<Json<Faults>, Failure> {
    state.faults.set(faults.clone())?;
    Ok(Json(faults))
}

pub(super) async fn clear_faults(
    State(state): State<Arc<Emulated>>,
) -> Result<StatusCode, Failure> {
    state.faults.set(Faults::none())?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn add_known_hashes(
    State(state): State<Arc<Emulated>>,
    Json(hashes): Json<Vec<String>>,
) -> Result<Json<Value>, Failure> {
    for hash in &hashes {
        state.classifier.known.insert(hash)?;
    }
    Ok(Json(json!({"known_hashes": state.classifier.known.len()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mint {
    kind: TokenKind,
    client_id: Option<String>,
}

pub(super) async fn mint(
    State(state): State<Arc<Emulated>>,
    Query(mint): Query<Mint>,
) -> Result<Json<Value>, Failure> {
    let client = mint.client_id.as_deref().unwrap_or(&state.client.id);
    let token = state.issuer.mint(mint.kind, client)?;
    Ok(Json(json!({"access_token": token, "token_type": "Bearer"})))
}

pub(super) async fn revoke_tokens(State(state): State<Arc<Emulated>>) -> StatusCode {
    state.issuer.revoke_all();
    StatusCode::NO_CONTENT
}

pub(super) async fn cut_streams(State(control): State<Arc<Control>>) -> StatusCode {
    control.cut_streams();
    StatusCode::NO_CONTENT
}

pub(super) async fn goaway(State(control): State<Arc<Control>>) -> StatusCode {
    control.signal(Signal::GoAway);
    StatusCode::NO_CONTENT
}

pub(super) async fn disconnect(State(control): State<Arc<Control>>) -> StatusCode {
    control.signal(Signal::Disconnect);
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
