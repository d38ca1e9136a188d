//! Does the service answer?

use std::time::Duration;

use athena_client::{Client, ErrorKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long what the service has answered counts for readiness, and how long its silence does.
const GOOD_FOR: Duration = Duration::from_secs(10);
const BAD_FOR: Duration = Duration::from_secs(1);
/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last look at the service; one request looks for all.
#[derive(Debug, Default)]
pub struct ServiceProbe {
    last: Mutex<Option<(Instant, Service)>>,
}

/// What a look at the service has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// A token can be had.
    pub token: bool,
    /// The service answers.
    pub reachable: bool,
}

impl ServiceProbe {
    /// Asks, unless the last answer is still good.
    pub async fn ask(&self, client: &Client) -> Service {
        let mut last = self.last.lock().await;
        if let Some((at, service)) = *last {
            let good = service.token && service.reachable;
            if at.elapsed() < if good { GOOD_FOR } else { BAD_FOR } {
                return service;
            }
        }
        let service = Self::look(client).await;
        *last = Some((Instant::now(), service));
        service
    }

    /// Asks now, since something has failed after the last answer.
    pub async fn ask_anew(&self, client: &Client) -> Service {
        let mut last = self.last.lock().await;
        let service = Self::look(client).await;
        *last = Some((Instant::now(), service));
        service
    }

    async fn look(client: &Client) -> Service {
        match timeout(PATIENCE, client.list_deployments()).await {
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
        }
    }
}
