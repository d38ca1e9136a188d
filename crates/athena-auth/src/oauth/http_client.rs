//! The HTTP client of token requests: the caller's, or one by the rules of a network.

use athena_net::Network;
use tokio::sync::OnceCell;

use crate::{AuthError, AuthErrorKind};

/// Where token requests go through.
pub(super) enum HttpClient {
    /// The caller's own.
    Given(reqwest::Client),
    /// Made for the first request: it may have to read the platform's roots of trust.
    BuiltIn {
        network: Network,
        client: OnceCell<reqwest::Client>,
    },
}

impl HttpClient {
    pub(super) fn built_in(network: Network) -> Self {
        Self::BuiltIn {
            network,
            client: OnceCell::new(),
        }
    }

    pub(super) async fn get(&self) -> Result<reqwest::Client, AuthError> {
        match self {
            Self::Given(client) => Ok(client.clone()),
            Self::BuiltIn { network, client } => {
                client.get_or_try_init(|| make(network)).await.cloned()
            }
        }
    }
}

async fn make(network: &Network) -> Result<reqwest::Client, AuthError> {
    let builder = network.http_client().await;
    let client = builder
        .user_agent(concat!(
            env!("CARGO_PKG_NAME"),
            "/",
            env!("CARGO_PKG_VERSION")
        ))
        // Requests are minutes apart: a kept connection would only be found dead, or tied to
        // a runtime that is gone.
        .pool_max_idle_per_host(0)
        .build();
    client.map_err(|error| {
        AuthError::new(AuthErrorKind::Unavailable, "the HTTP client cannot be made")
            .with_source(error.without_url())
    })
}
