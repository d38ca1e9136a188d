//! What all requests share.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use athena_client::{Client, Session};
use athena_outcome::Policy;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::builder::GatewayBuilder;
use crate::durable::Queue;
use crate::fetch::Sources;
use crate::keys::{Caller, Keys};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::operations::ServiceProbe;
use crate::outcomes::Outcomes;
use crate::webhook::Sender;

/// A server's inside: the session, the places, the outcomes. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) session: Session,
    pub(crate) settings: Settings,
    pub(crate) admission: Arc<Admission>,
    pub(crate) outcomes: Arc<Outcomes>,
    pub(crate) metrics: Metrics,
    #[cfg(feature = "otel")]
    pub(crate) tracing: crate::trace::Tracing,
    pub(crate) webhooks: Option<Sender>,
    pub(crate) sources: Option<Sources>,
    pub(crate) queue: Option<Arc<dyn Queue>>,
    pub(crate) probe: ServiceProbe,
    /// Images whose callers come back for the outcome, and webhooks.
    pub(crate) tasks: TaskTracker,
    /// Nothing new is taken on.
    pub(crate) stopping: CancellationToken,
}

/// What does not change while the server runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) keys: Option<Keys>,
    /// Names by which the server may be asked; empty for any.
    pub(crate) hosts: HashSet<String>,
    pub(crate) origins: HashSet<String>,
    pub(crate) anybody: Arc<Caller>,
    /// Who has a certificate of the server's CA, where there is no file of keys.
    pub(crate) certified: Arc<Caller>,
}

impl Settings {
    /// Whether a request for this host can be meant for this server. A page in a browser cannot make
    /// an address of this machine stand in for a name, so loopback addresses always may.
    pub(crate) fn knows_host(&self, host: &str) -> bool {
        let loopback = || {
            host.parse::<IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback())
        };
        self.hosts.is_empty()
            || host.eq_ignore_ascii_case("localhost")
            || loopback()
            || self.hosts.contains(&host.to_ascii_lowercase())
    }
}

impl Gateway {
    /// Starts the configuration of a gateway in front of this client.
    pub fn builder(client: Client) -> GatewayBuilder {
        GatewayBuilder::new(client)
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.settings.limits
    }

    /// The session through which all images go, for its figures.
    pub fn session(&self) -> &Session {
        &self.shared.session
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}
