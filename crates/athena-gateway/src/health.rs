//! Is the process alive, and can it do its work?

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::gateway::Gateway;

/// An image that is under way for so much longer than it may be is not coming back.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// What `/readyz` answers.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Ready {
    /// All of what follows.
    ready: bool,
    /// A token can be had.
    token: bool,
    /// The service answers.
    service: bool,
    /// There is room for an image.
    room: bool,
    /// The queue can be reached, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<bool>,
    /// No image is under way for longer than any may be.
    flowing: bool,
    /// The server is on its way out.
    stopping: bool,
}

impl Gateway {
    /// Whether an image is under way that should have ended long ago.
    pub fn is_stuck(&self) -> bool {
        let oldest = self.shared.admission.figures().oldest;
        oldest.is_some_and(|age| age > self.limits().image_time + STUCK_AFTER)
    }
}

/// Alive unless an image is stuck, which only a restart mends.
pub(crate) async fn livez(State(gateway): State<Gateway>) -> Response {
    if gateway.is_stuck() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stuck\n").into_response();
    }
    "alive\n".into_response()
}

pub(crate) async fn readyz(State(gateway): State<Gateway>) -> Response {
    let service = gateway.shared.probe.ask(&gateway.shared.client).await;
    let mut answer = Ready {
        ready: false,
        token: service.token,
        service: service.reachable,
        room: gateway.shared.admission.has_room(),
        queue: (gateway.shared.queue.as_ref()).map(|queue| queue.is_connected()),
        flowing: !gateway.is_stuck(),
        stopping: gateway.shared.stopping.is_cancelled(),
    };
    answer.ready = answer.token
        && answer.service
        && answer.room
        && answer.queue != Some(false)
        && answer.flowing
        && !answer.stopping;
    let code = match answer.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(answer)).into_response()
}
