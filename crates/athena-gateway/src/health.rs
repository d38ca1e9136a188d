//! Is the process alive, and can it do its work?

use std::time::Duration;

use athena_client::ErrorKind;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::gateway::Gateway;

/// How long what the service has answered counts for readiness, and how long its silence does.
const GOOD_FOR: Duration = Duration::from_secs(10);
const BAD_FOR: Duration = Duration::from_secs(1);
/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// An image that is under way for so much longer than it may be is not coming back.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The last look at the service; one request looks for all.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    last: Mutex<Option<(Instant, Service)>>,
}

#[derive(Clone, Copy, Debug)]
struct Service {
    token: bool,
    reachable: bool,
}

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

    async fn service(&self) -> Service {
        let mut last = self.shared.probe.last.lock().await;
        if let Some((at, service)) = *last {
            let good = service.token && service.reachable;
            if at.elapsed() < if good { GOOD_FOR } else { BAD_FOR } {
                return service;
            }
        }
        let service = match timeout(PATIENCE, self.shared.client.list_deployments()).await {
            Err(_) => Service {
                token: true,
                reachable: false,
            },
            Ok(Ok(_)) => Service {
                token: true,
                reachable: true,
            },
            Ok(Err(error)) => Service {
                token: error.kind() != ErrorKind::Authentication,
                reachable: !matches!(
                    error.kind(),
                    ErrorKind::Authentication
                        | ErrorKind::Connect
                        | ErrorKind::Tls
                        | ErrorKind::Timeout
                        | ErrorKind::Unavailable
                        | ErrorKind::Closed
                ),
            },
        };
        *last = Some((Instant::now(), service));
        service
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
    let service = gateway.service().await;
    let mut answer = Ready {
        ready: false,
        token: service.token,
        service: service.reachable,
        room: gateway.shared.admission.has_room(),
        flowing: !gateway.is_stuck(),
        stopping: gateway.shared.stopping.is_cancelled(),
    };
    answer.ready =
        answer.token && answer.service && answer.room && answer.flowing && !answer.stopping;
    let code = match answer.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(answer)).into_response()
}
