//! How [`Sources`] are set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "cloud")]
use tokio::sync::Mutex;

use super::{Counts, Inner, Sources};
#[cfg(feature = "cloud")]
use crate::cloud::Means;
use crate::error::Error;
#[cfg(feature = "transport")]
use crate::error::SourceErrorKind;
#[cfg(feature = "transport")]
use crate::transport::Transport;

/// The settings of [`Sources`].
#[derive(Default)]
#[must_use]
pub struct SourcesBuilder {
    #[cfg(feature = "transport")]
    network: Option<athena_net::Network>,
    #[cfg(feature = "cloud")]
    environment: Option<crate::environment::Environment>,
    #[cfg(feature = "http")]
    gate: Option<crate::web::Gate>,
    #[cfg(feature = "http")]
    client: Option<reqwest::Client>,
    anonymous: bool,
    files: bool,
    patience: Option<Duration>,
}

impl SourcesBuilder {
    /// By these rules hosts are reached: who is trusted, and which proxy stands before a host.
    #[cfg(feature = "transport")]
    pub fn network(mut self, network: athena_net::Network) -> Self {
        self.network = Some(network);
        self
    }

    /// These variables instead of the process's.
    #[cfg(feature = "cloud")]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = Some(crate::environment::Environment::of(variables));
        self
    }

    /// Asks object stores without credentials, as for public buckets.
    pub fn anonymous(mut self, anonymous: bool) -> Self {
        self.anonymous = anonymous;
        self
    }

    /// Whether `file://` is read. Names that come from others must not lead to files of this machine: it is off
    /// unless it is set.
    pub fn files(mut self, files: bool) -> Self {
        self.files = files;
        self
    }

    /// How long a request may take, however it trickles: an object, a page of a listing, a write.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience = Some(timeout);
        self
    }

    /// Asks before an address of a web server is gone to, redirects included.
    #[cfg(feature = "http")]
    pub fn gate(mut self, gate: impl Fn(&url::Url) -> bool + Send + Sync + 'static) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// This client for web servers, such as one that resolves names by rules of its own. It must follow no
    /// redirects.
    #[cfg(feature = "http")]
    pub fn web_client(mut self, client: reqwest::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Prepares the clients. Nothing is asked yet.
    ///
    /// # Errors
    /// When the network's settings cannot work.
    pub async fn build(self) -> Result<Sources, Error> {
        #[cfg(feature = "transport")]
        let transport = {
            let network = match self.network {
                Some(network) => network,
                None => athena_net::Network::builder().build().map_err(|error| {
                    Error::new(
                        SourceErrorKind::Unusable,
                        "the network's settings cannot work",
                    )
                    .because(error)
                })?,
            };
            Transport::new(&network).await?
        };
        Ok(Sources(Arc::new(Inner {
            patience: self.patience.unwrap_or(Duration::from_secs(60)),
            files: self.files,
            counts: Counts::default(),
            #[cfg(feature = "http")]
            web: crate::web::Web::new(transport.clone(), self.client, self.gate),
            #[cfg(feature = "cloud")]
            means: Means {
                transport,
                environment: self
                    .environment
                    .unwrap_or_else(crate::environment::Environment::of_process),
                anonymous: self.anonymous,
            },
            #[cfg(feature = "cloud")]
            buckets: Mutex::default(),
        })))
    }
}

impl fmt::Debug for SourcesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourcesBuilder")
            .field("anonymous", &self.anonymous)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
