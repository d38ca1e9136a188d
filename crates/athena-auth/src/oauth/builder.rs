//! Settings of the client-credentials source.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use athena_net::{Network, NetworkBuilder, is_loopback};
use oauth2::TokenUrl;

use super::authentication::{Authenticator, Method};
use super::exchange::Exchange;
use super::http_client::HttpClient;
use super::quota::Quota;
#[cfg(feature = "store")]
use super::shared::Shared;
use super::{BuildError, ClientAuthentication, OAuthClientCredentials};
#[cfg(feature = "store")]
use crate::TokenStore;
use crate::{Cached, Timing, TokenEvent};

/// Parameters that have builder methods of their own, or that the grant fixes.
const RESERVED: [&str; 7] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "audience",
];

/// The configuration of an [`OAuthClientCredentials`].
#[must_use]
pub struct OAuthBuilder {
    client_id: String,
    authentication: ClientAuthentication,
    token_url: Option<String>,
    parameters: Vec<(String, String)>,
    scopes: Vec<String>,
    basic: bool,
    allow_plaintext: bool,
    http_client: Option<reqwest::Client>,
    network: NetworkBuilder,
    timing: Timing,
    hook: Option<Hook>,
    #[cfg(feature = "store")]
    store: Option<Arc<dyn TokenStore>>,
}

type Hook = Box<dyn Fn(&TokenEvent<'_>) + Send + Sync>;

impl OAuthBuilder {
    pub(super) fn new(client_id: String, authentication: ClientAuthentication) -> Self {
        Self {
            client_id,
            authentication,
            token_url: None,
            parameters: Vec::new(),
            scopes: Vec::new(),
            basic: false,
            allow_plaintext: false,
            http_client: None,
            network: Network::builder().connect_timeout(Duration::from_secs(5)),
            timing: Timing::default(),
            hook: None,
            #[cfg(feature = "store")]
            store: None,
        }
    }

    /// The token endpoint. Must be `https`, unless its host is loopback. Required.
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.token_url = Some(url.into());
        self
    }

    /// The API that the token is for: the `audience` parameter, as Auth0 and others want it. A
    /// blank one is not sent.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        let audience = audience.into();
        self.parameters.retain(|(name, _)| name != "audience");
        if !audience.trim().is_empty() {
            self.parameters.push(("audience".into(), audience));
        }
        self
    }

    /// Adds a scope to ask for. May be called several times. A blank one is not sent.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self.scopes.retain(|scope| !scope.trim().is_empty());
        self
    }

    /// Adds any other parameter to the request body.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sends client id and secret as HTTP Basic authentication instead of in the body
    /// (RFC 6749, section 2.3.1). For a client secret only.
    pub fn basic_auth(mut self) -> Self {
        self.basic = true;
        self
    }

    /// Whether the secret may be sent over plain `http` to a host other than this one.
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.allow_plaintext = allow;
        self
    }

    /// The HTTP client to use, in place of a built-in one. TLS, proxy and connection timeout are
    /// then its own affair.
    ///
    /// Make it with `redirect(reqwest::redirect::Policy::none())`: an answer that came by way of a
    /// redirect is refused, but by then the client has sent the secret along.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http_client = Some(client);
        self
    }

    /// Trusts these certificate authorities (PEM) besides the system's and Mozilla's.
    pub fn ca_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.network = self.network.ca_certificate(pem);
        self
    }

    /// The HTTP proxy for token requests (`http://user:password@host:port`), in place of what
    /// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say. From those there is none for an endpoint on
    /// this machine.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.network = self.network.proxy(url);
        self
    }

    /// No proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.network = self.network.no_proxy();
        self
    }

    /// How long connecting to the endpoint may take, TLS included. 5 s by default. The time for a
    /// whole attempt is set by [`Timing::attempt_timeout`].
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.network = self.network.connect_timeout(limit);
        self
    }

    /// Reaches the endpoint as something else is reached: trusts the authorities of this network
    /// as well, and takes its proxy where none was set here. Its client certificate is not shown.
    pub fn network(mut self, network: &NetworkBuilder) -> Self {
        self.network = self.network.complete_from(network);
        self
    }

    /// When to refresh, how long to wait, how often to try.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Calls `hook` when a token is asked for, arrives, fails to, or is rejected: see
    /// [`Cached::on_event`].
    pub fn on_event(mut self, hook: impl Fn(&TokenEvent<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Shares tokens with other processes through this store: only one of those that start
    /// together asks the endpoint. A token that the server rejected is not taken from it again.
    #[cfg(feature = "store")]
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Checks the settings. Sends nothing and starts nothing.
    ///
    /// # Errors
    /// If a setting is missing or cannot work; [`BuildError::setting`] says which.
    pub fn build(self) -> Result<OAuthClientCredentials, BuildError> {
        if self.client_id.is_empty() {
            return Err(BuildError::new("client_id", "is empty"));
        }
        if let Some(setting) = self.padded() {
            let problem = "begins or ends in white space: remove it";
            return Err(BuildError::new(setting, problem));
        }
        if let Some(name) = self.reserved_parameter() {
            let problem = format!("{name:?} has a method of its own, or is fixed by the grant");
            return Err(BuildError::new("parameter", problem));
        }
        let token_url = self.checked_url()?;
        let mut authentication = self.authentication;
        if self.basic {
            authentication.method = match authentication.method {
                Method::SecretPost => Method::SecretBasic,
                _ => {
                    let problem = "is for a client secret, which this client does not have";
                    return Err(BuildError::new("basic_auth", problem));
                }
            };
        }
        authentication.check()?;
        let http = match (self.http_client, &authentication.method) {
            (Some(_), Method::Certificate(_)) => {
                let problem = "has certificates of its own: none can be added to it";
                return Err(BuildError::new("http_client", problem));
            }
            (Some(client), _) => HttpClient::Given(client),
            (None, Method::Certificate(identity)) => {
                HttpClient::built_in(self.network.identity(identity.clone()).build()?)
            }
            (None, _) => HttpClient::built_in(self.network.build()?),
        };
        #[cfg(feature = "store")]
        let shared = self.store.map(|store| {
            let purpose = (
                &self.client_id,
                token_url.as_str(),
                &self.parameters,
                &self.scopes,
            );
            Shared::new(store, &format!("{purpose:?}"))
        });
        let exchange = Exchange {
            authenticator: Authenticator::new(self.client_id, &token_url, authentication),
            token_url,
            parameters: self.parameters,
            scopes: self.scopes,
            http,
            quota: Quota::default(),
            requests: AtomicU64::new(0),
            #[cfg(feature = "store")]
            shared,
        };
        let mut cached = Cached::with_timing(exchange, self.timing);
        if let Some(hook) = self.hook {
            cached = cached.on_event(hook);
        }
        Ok(OAuthClientCredentials {
            cached: Arc::new(cached),
        })
    }

    /// A setting that begins or ends in white space: a slip, in which no endpoint sees sense.
    fn padded(&self) -> Option<&'static str> {
        let padded = |text: &str| text.trim().len() != text.len();
        let audience = |(name, value): &(String, String)| name == "audience" && padded(value);
        if padded(&self.client_id) {
            Some("client_id")
        } else if self.token_url.as_deref().is_some_and(padded) {
            Some("token_url")
        } else if self.parameters.iter().any(audience) {
            Some("audience")
        } else if self.scopes.iter().any(|scope| padded(scope)) {
            Some("scope")
        } else {
            None
        }
    }

    fn reserved_parameter(&self) -> Option<&str> {
        let mut audiences = 0;
        self.parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .find(|name| {
                audiences += usize::from(*name == "audience");
                RESERVED.contains(name) && (*name != "audience" || audiences > 1)
            })
    }

    fn checked_url(&self) -> Result<TokenUrl, BuildError> {
        let text = self
            .token_url
            .as_deref()
            .ok_or_else(|| BuildError::new("token_url", "is not set"))?;
        let url = TokenUrl::new(text.to_owned())
            .map_err(|error| BuildError::new("token_url", "is not a URL").with_source(error))?;
        // What is not taken here would only be found when the first request is made.
        let sendable = url.url().as_str().parse::<http::Uri>();
        sendable.map_err(|error| {
            BuildError::new("token_url", "is longer than HTTP clients take").with_source(error)
        })?;
        let parts = url.url();
        if !parts.username().is_empty() || parts.password().is_some() {
            let problem = "must not hold credentials: pass them to the builder";
            return Err(BuildError::new("token_url", problem));
        }
        match (parts.scheme(), parts.host_str()) {
            (_, None) => Err(BuildError::new("token_url", "has no host")),
            ("https", Some(_)) => Ok(url),
            ("http", Some(host)) if self.allow_plaintext || is_loopback(host) => Ok(url),
            ("http", Some(_)) => Err(BuildError::new(
                "token_url",
                "would send the client secret over plain http: use https, or allow plaintext",
            )),
            (scheme, _) => Err(BuildError::new(
                "token_url",
                format!("has the scheme {scheme:?}, not https"),
            )),
        }
    }
}

impl fmt::Debug for OAuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthBuilder")
            .field("client_id", &self.client_id)
            .field("authentication", &self.authentication)
            .field("scopes", &self.scopes)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
