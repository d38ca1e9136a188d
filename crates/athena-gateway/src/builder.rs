//! How a gateway is configured.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use athena_client::Client;
use athena_outcome::Policy;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::Guard;
use crate::admission::Admission;
use crate::durable::Queue;
use crate::fetch::{Fetch, Sources};
use crate::gateway::{Gateway, Settings, Shared};
use crate::keys::{Caller, Keys};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::operations::ServiceProbe;
use crate::outcomes::Outcomes;
use crate::webhook::{Sender, Webhooks};

/// A gateway that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub(crate) String);

/// The configuration of a [`Gateway`].
#[must_use]
pub struct GatewayBuilder {
    client: Client,
    limits: Limits,
    policy: Option<Policy>,
    keys: Option<Keys>,
    hosts: HashSet<String>,
    origins: HashSet<String>,
    webhooks: Option<Webhooks>,
    sources: Option<Sources>,
    queue: Option<Arc<dyn Queue>>,
    deployment: Option<String>,
}

impl GatewayBuilder {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            limits: Limits::default(),
            policy: None,
            keys: None,
            hosts: HashSet::new(),
            origins: HashSet::new(),
            webhooks: None,
            sources: None,
            queue: None,
            deployment: None,
        }
    }

    /// What callers may cost.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The policy that decides about every image. Without one, outcomes have no decision, and the
    /// adapters under `/compat` do not answer.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Who may call. Without it everybody may who can reach the server.
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// A name by which the server is asked, besides `localhost` and loopback addresses. May be called
    /// several times. Without any, every name is taken: right only where callers need a key or certificate.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.insert(name.into().to_ascii_lowercase());
        self
    }

    /// An origin whose web pages may call, such as `https://admin.example.com`. Default: none.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.insert(origin.into());
        self
    }

    /// Lets callers ask for a webhook.
    pub fn webhooks(mut self, webhooks: Webhooks) -> Self {
        self.webhooks = Some(webhooks);
        self
    }

    /// Lets callers name an image by its URL: `fetch` gets it, and `guard` says which URLs and which
    /// addresses it may go to.
    pub fn fetch(mut self, fetch: impl Fetch + 'static, guard: Guard) -> Self {
        self.sources = Some(Sources {
            fetch: Arc::new(fetch),
            guard,
        });
        self
    }

    /// Lets callers have images queued, for whoever judges them out of this queue.
    pub fn queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// The deployment to join, instead of one of this process alone.
    pub fn deployment(mut self, id: impl Into<String>) -> Self {
        self.deployment = Some(id.into());
        self
    }

    /// Opens the session, which connects in the background.
    ///
    /// # Errors
    /// When a setting cannot work.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn open(self) -> Result<Gateway, SetupError> {
        let limits = self.limits;
        if limits.in_flight == 0 || limits.connections == 0 || limits.image_bytes == 0 {
            return Err(SetupError(
                "limits: places, connections and bytes must be more than 0".to_owned(),
            ));
        }
        let mut session = (self.client.session())
            .max_in_flight(limits.in_flight)
            .image_timeout(limits.image_time)
            .drain_timeout(limits.drain);
        if let Some(deployment) = self.deployment {
            session = session.deployment(deployment);
        }
        let session = session
            .open()
            .map_err(|error| SetupError(error.to_string()))?;
        let tasks = TaskTracker::new();
        let stopping = CancellationToken::new();
        let webhooks =
            (self.webhooks).map(|webhooks| Sender::new(webhooks, tasks.clone(), stopping.clone()));
        Ok(Gateway::new(Shared {
            admission: Arc::new(Admission::new(&limits)),
            outcomes: Arc::new(Outcomes::new(&limits)),
            metrics: Metrics::default(),
            #[cfg(feature = "otel")]
            tracing: crate::trace::Tracing::new(&self.client),
            webhooks,
            sources: self.sources,
            queue: self.queue,
            probe: ServiceProbe::default(),
            tasks,
            stopping,
            client: self.client,
            session,
            settings: Settings {
                limits,
                policy: self.policy.map(Arc::new),
                keys: self.keys,
                hosts: self.hosts,
                origins: self.origins,
                anybody: Arc::new(Caller::anybody()),
                certified: Arc::new(Caller::named("certificate")),
            },
        }))
    }
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
