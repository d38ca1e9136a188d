//! How a client is configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use athena_auth::{BoxError, TokenSource};
use tonic::body::Body;

use crate::client::{Client, Shared};
use crate::duration::bounded;
use crate::endpoint::{origin, tls_name};
use crate::environment::DEFAULT_ENDPOINT;
#[cfg(feature = "oauth")]
use crate::environment::{self, Credentials, Variables};
use crate::error::BuildError;
use crate::prepare::{self, Preparer, Preprocess};
use crate::transport::{self, Connector, GrpcService, Network, Proxy, TlsSettings, Transport};
use crate::unary::Unary;

/// The configuration of a [`Client`].
///
/// ```
/// use std::time::Duration;
/// use athena_client::{Client, auth::Static};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder()
///     .endpoint("https://athena.example.com")
///     .token_source(Static::bearer("secret")?)
///     .affiliate("acme")
///     .timeout(Duration::from_secs(10))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ClientBuilder {
    endpoint: String,
    tokens: Option<Arc<dyn TokenSource>>,
    affiliate: Arc<str>,
    preprocess: Option<Arc<dyn Preprocess>>,
    preparation_threads: Option<usize>,
    hash_undecodable: bool,
    sha256: bool,
    timeout: Duration,
    connect_timeout: Duration,
    ping_interval: Duration,
    ping_timeout: Duration,
    tls: TlsSettings,
    server_name: Option<String>,
    proxy: Option<Proxy>,
    plaintext: bool,
    service: Option<GrpcService>,
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            tokens: None,
            affiliate: "".into(),
            preprocess: None,
            preparation_threads: None,
            hash_undecodable: true,
            sha256: false,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
            tls: TlsSettings::default(),
            server_name: None,
            proxy: None,
            plaintext: false,
            service: None,
        }
    }

    /// The settings that the service's existing clients take from the [environment]: `ATHENA_HOST`,
    /// `ATHENA_AFFILIATE`, and `OAUTH_CLIENT_ID`, `OAUTH_CLIENT_SECRET` or
    /// `OAUTH_CLIENT_SECRET_FILE`, `OAUTH_AUTH_URL`, `OAUTH_AUDIENCE` for the tokens; or, where
    /// there is no client id, a finished token in `ATHENA_TOKEN`.
    ///
    /// # Errors
    /// When the credentials are missing or a value cannot be used.
    #[cfg(feature = "oauth")]
    pub fn from_env() -> Result<Self, BuildError> {
        let variables = Variables(&|name| std::env::var_os(name));
        let mut builder = match variables.any_credentials()? {
            Credentials::Token(token) => Self::new().token_source(token),
            Credentials::Client(credentials) => {
                let credentials = credentials.build().map_err(|error| {
                    BuildError::new("environment", "no usable credentials").with_source(error)
                })?;
                Self::new().token_source(credentials)
            }
        };
        if let Some(host) = variables.optional(environment::HOST)? {
            builder = builder.endpoint(host);
        }
        if let Some(affiliate) = variables.optional(environment::AFFILIATE)? {
            builder = builder.affiliate(affiliate);
        }
        Ok(builder)
    }

    /// The service's address: `https://host:port`, or `host:port`. Default: [`DEFAULT_ENDPOINT`].
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Where tokens come from. Without it calls carry none.
    pub fn token_source(mut self, source: impl TokenSource + 'static) -> Self {
        self.tokens = Some(Arc::new(source));
        self
    }

    /// The affiliate on whose behalf images are classified, unless an image names its own.
    pub fn affiliate(mut self, affiliate: impl Into<Arc<str>>) -> Self {
        self.affiliate = affiliate.into();
        self
    }

    /// What prepares images. Default with the feature `imaging`:
    /// `imaging::Preprocessor::default()`. Pass an `Arc` to share one.
    pub fn preprocessor(mut self, preprocess: impl Preprocess + 'static) -> Self {
        self.preprocess = Some(Arc::new(preprocess));
        self
    }

    /// Images prepared at the same time. Default: the number of cores.
    pub fn preparation_threads(mut self, threads: usize) -> Self {
        self.preparation_threads = Some(threads);
        self
    }

    /// Whether an image that cannot be decoded is looked up by its hashes. Default: yes, since a
    /// broken file can be known content.
    pub fn hash_undecodable(mut self, yes: bool) -> Self {
        self.hash_undecodable = yes;
        self
    }

    /// Whether verdicts and errors tell the SHA-256 of their file
    /// ([`Provenance::sha256`](crate::Provenance::sha256)), which the service has no use for.
    /// Default: no, since it costs time for every file.
    pub fn sha256(mut self, yes: bool) -> Self {
        self.sha256 = yes;
        self
    }

    /// The time for a unary call, preparation and retries included. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = bounded(timeout);
        self
    }

    /// The time for one connection: name, TCP, proxy and TLS. Default: 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = bounded(timeout);
        self
    }

    /// How often a quiet HTTP/2 connection is pinged, and how long the answer may take before
    /// the connection counts as dead. Default: 60 s and 20 s. Strict servers close connections
    /// that ping more often than about once a minute; sessions then ping less often by
    /// themselves.
    pub fn ping(mut self, interval: Duration, timeout: Duration) -> Self {
        self.ping_interval = bounded(interval);
        self.ping_timeout = bounded(timeout);
        self
    }

    /// Trusts these CA certificates (PEM) as well. May be called several times.
    pub fn ca_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.tls.authorities.push(pem.as_ref().to_vec());
        self
    }

    /// Trusts nothing but what [`ca_certificate`](Self::ca_certificate) gives, instead of the
    /// platform's and Mozilla's roots as well.
    pub fn only_given_authorities(mut self) -> Self {
        self.tls.only_given_authorities = true;
        self
    }

    /// Mutual TLS: the client's certificate chain and private key, both PEM.
    pub fn identity(mut self, certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.tls.identity = Some((certificates.as_ref().to_vec(), key.as_ref().to_vec()));
        self
    }

    /// The name that the server's certificate must have, where it is not the endpoint's host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// An HTTP CONNECT proxy for every connection (`http://user:password@host:port`), instead of
    /// what `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        self.proxy = Some(Proxy::always(url.as_ref()));
        self
    }

    /// No proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Some(Proxy::Direct);
        self
    }

    /// Whether an `http://` endpoint may be on another machine: images and tokens then travel in
    /// the clear. Default: no. For networks that encrypt below, such as a service mesh.
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.plaintext = allow;
        self
    }

    /// Sends calls through this tower service, such as a `tonic::transport::Channel`, instead of
    /// connections of the client's own. The settings for TLS, proxy, connecting and pings are then
    /// the caller's business; the endpoint still names the service, and tokens are still added.
    ///
    /// A session's streams share the service, and open streams anew through it when they break.
    pub fn service<S, B>(mut self, service: S) -> Self
    where
        S: tower_service::Service<http::Request<Body>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.service = Some(transport::boxed(service));
        self
    }

    /// Checks the configuration. Neither connects nor spawns anything.
    ///
    /// # Errors
    /// [`BuildError`] names the setting that cannot work.
    pub fn build(self) -> Result<Client, BuildError> {
        let origin = origin(&self.endpoint, self.plaintext)?;
        let transport = match self.service {
            Some(service) => Transport::service(service, origin, self.tokens, self.plaintext),
            None => {
                let tls = if origin.scheme_str() == Some("https") {
                    let name = match &self.server_name {
                        Some(name) => name.clone(),
                        None => origin.host().unwrap_or_default().to_owned(),
                    };
                    Some((self.tls.config()?, tls_name(name)?))
                } else {
                    None
                };
                let proxy = self.proxy.unwrap_or_else(Proxy::environment);
                let connector = Connector::new(origin.clone(), tls, proxy, self.connect_timeout);
                let network =
                    Network::new(connector, origin, self.ping_interval, self.ping_timeout);
                Transport::network(network, self.tokens, self.plaintext)
            }
        };
        let threads = match self.preparation_threads {
            Some(0) => {
                return Err(BuildError::new(
                    "preparation_threads",
                    "at least one is needed",
                ));
            }
            Some(threads) => threads,
            None => std::thread::available_parallelism().map_or(1, Into::into),
        };
        let settings = prepare::Settings {
            preprocess: self.preprocess.or_else(default_preprocess),
            hash_undecodable: self.hash_undecodable,
            sha256: self.sha256,
        };
        Ok(Client {
            shared: Arc::new(Shared {
                unary: Unary::new(transport.clone()),
                transport,
                preparer: Preparer::new(settings, threads),
                affiliate: self.affiliate,
                timeout: self.timeout,
            }),
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("endpoint", &self.endpoint)
            .field("affiliate", &self.affiliate)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "imaging")]
fn default_preprocess() -> Option<Arc<dyn Preprocess>> {
    Some(Arc::new(athena_imaging::Preprocessor::default()))
}

#[cfg(not(feature = "imaging"))]
fn default_preprocess() -> Option<Arc<dyn Preprocess>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn building_needs_no_runtime() {
        let client = Client::builder().affiliate("acme").build().unwrap();
        assert!(format!("{client:?}").contains("acme"));
    }
}
