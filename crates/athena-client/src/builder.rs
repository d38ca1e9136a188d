//! How a client is configured.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use athena_auth::{BoxError, TokenSource};
use athena_net::{Connector, Identity, Network, NetworkBuilder};
use tonic::body::Body;

use crate::client::Client;
use crate::common::Core;
use crate::duration::bounded;
use crate::endpoint::origin;
use crate::environment::DEFAULT_ENDPOINT;
#[cfg(feature = "oauth")]
use crate::environment::{self, Credentials, Variables};
use crate::error::BuildError;
use crate::prepare::{self, Preparer, Preprocess};
use crate::telemetry::Telemetry;
use crate::transport::{self, Connections, GrpcService, Link, Transport};
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
    tokens: Tokens,
    affiliate: Arc<str>,
    preprocess: Option<Arc<dyn Preprocess>>,
    preparation_threads: Option<usize>,
    hash_undecodable: bool,
    sha256: bool,
    timeout: Duration,
    ping_interval: Duration,
    ping_timeout: Duration,
    network: NetworkBuilder,
    identity: Option<Result<Identity, BuildError>>,
    server_name: Option<String>,
    plaintext: bool,
    service: Option<GrpcService>,
    telemetry: Option<Telemetry>,
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            tokens: Tokens::None,
            affiliate: "".into(),
            preprocess: None,
            preparation_threads: None,
            hash_undecodable: true,
            sha256: false,
            timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
            network: Network::builder(),
            identity: None,
            server_name: None,
            plaintext: false,
            service: None,
            telemetry: None,
        }
    }

    /// The settings that the service's existing clients take from the [environment]: `ATHENA_HOST`,
    /// `ATHENA_AFFILIATE`, and `OAUTH_CLIENT_ID`, `OAUTH_CLIENT_SECRET` or
    /// `OAUTH_CLIENT_SECRET_FILE`, `OAUTH_AUTH_URL`, `OAUTH_AUDIENCE` for the tokens; or, where
    /// there is no client id, a finished token in `ATHENA_TOKEN`. `ATHENA_CA_FILE` names a file
    /// for [`ca_certificate`](Self::ca_certificate). The token endpoint is reached as the service
    /// is: see [`credentials`](Self::credentials).
    ///
    /// # Errors
    /// When the credentials are missing or a value cannot be used.
    #[cfg(feature = "oauth")]
    pub fn from_env() -> Result<Self, BuildError> {
        let variables = Variables(&|name| std::env::var_os(name));
        let mut builder = match variables.any_credentials()? {
            Credentials::Token(token) => Self::new().token_source(token),
            Credentials::Client(credentials) => Self::new().credentials(*credentials),
        };
        if let Some(host) = variables.optional(environment::HOST)? {
            builder = builder.endpoint(host);
        }
        if let Some(affiliate) = variables.optional(environment::AFFILIATE)? {
            builder = builder.affiliate(affiliate);
        }
        if let Some(path) = variables.optional(environment::CA_FILE)? {
            let pem = std::fs::read(&path).map_err(|error| {
                let problem = format!("{path:?} cannot be read");
                BuildError::new(environment::CA_FILE, problem).with_source(error)
            })?;
            builder = builder.ca_certificate(pem);
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
        self.tokens = Tokens::Source(Arc::new(source));
        self
    }

    /// Tokens by client credentials, as [`token_source`](Self::token_source), from an endpoint that
    /// is reached as the service is: CA certificates and proxy need to be told once, here.
    ///
    /// ```
    /// use athena_client::{Client, environment};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder()
    ///     .credentials(environment::credentials("my-id", "my-secret"))
    ///     .proxy("http://proxy.internal:3128") // to the token endpoint, too
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "oauth")]
    pub fn credentials(mut self, credentials: athena_auth::OAuthBuilder) -> Self {
        self.tokens = Tokens::Credentials(Box::new(credentials));
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
        self.network = self.network.connect_timeout(bounded(timeout));
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
        self.network = self.network.ca_certificate(pem);
        self
    }

    /// Trusts nothing but what [`ca_certificate`](Self::ca_certificate) gives, instead of the
    /// platform's and Mozilla's roots as well.
    pub fn only_given_authorities(mut self) -> Self {
        self.network = self.network.only_given_authorities();
        self
    }

    /// Mutual TLS: the client's certificate chain and private key, both PEM.
    pub fn identity(mut self, certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity::from_pem(certificates, key));
        self
    }

    /// As [`identity`](Self::identity), from files, which are read anew for every connection: a
    /// renewed certificate needs no restart. While the two do not belong together, as in the middle
    /// of a renewal, the pair before is used.
    pub fn identity_files(
        mut self,
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some(Identity::from_files(certificates, key));
        self
    }

    /// The name that the server's certificate must have, where it is not the endpoint's host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// An HTTP CONNECT proxy for every connection (`http://user:password@host:port`, or `https://`
    /// for one that is itself spoken to over TLS), instead of what `HTTPS_PROXY`, `ALL_PROXY` and
    /// `NO_PROXY` say. From those there is none for a service on this machine.
    pub fn proxy(mut self, url: impl AsRef<str>) -> Self {
        self.network = self.network.proxy(url.as_ref());
        self
    }

    /// No proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.network = self.network.no_proxy();
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

    /// Where metrics and spans are reported. Default: [`Telemetry::global`](crate::otel::Telemetry::global).
    #[cfg(feature = "otel")]
    pub fn telemetry(mut self, telemetry: crate::otel::Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// Checks the configuration. Neither connects nor spawns anything.
    ///
    /// # Errors
    /// [`BuildError`] names the setting that cannot work.
    pub fn build(self) -> Result<Client, BuildError> {
        let origin = origin(&self.endpoint, self.plaintext)?;
        let tokens = self.tokens.source(&self.network)?;
        let link = match self.service {
            Some(service) => Link::Service(service),
            None => {
                let network = match self.identity.transpose()? {
                    Some(identity) => self.network.identity(identity),
                    None => self.network,
                };
                let name = self.server_name.as_deref();
                let connector = Connector::new(network.build()?, origin.clone(), name)?.http2();
                let connections =
                    Connections::new(connector, self.ping_interval, self.ping_timeout);
                Link::Own(Arc::new(connections))
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
        let telemetry = self.telemetry.unwrap_or_else(Telemetry::global);
        let settings = prepare::Settings {
            preprocess: self.preprocess.or_else(default_preprocess),
            hash_undecodable: self.hash_undecodable,
            sha256: self.sha256,
            telemetry: telemetry.clone(),
        };
        let preparer = Preparer::new(settings, threads);
        let membership = telemetry.join(tokens.as_ref(), &preparer);
        let transport = Transport::new(link, origin, tokens, self.plaintext, telemetry);
        Ok(Client {
            shared: Arc::new(Core {
                unary: Unary::new(transport.clone()),
                transport,
                preparer,
                affiliate: self.affiliate,
                timeout: self.timeout,
                _membership: membership,
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
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// Where tokens come from.
enum Tokens {
    None,
    Source(Arc<dyn TokenSource>),
    /// To be made when it is known how the service is reached.
    #[cfg(feature = "oauth")]
    Credentials(Box<athena_auth::OAuthBuilder>),
}

impl Tokens {
    #[cfg_attr(not(feature = "oauth"), expect(unused_variables))]
    fn source(self, network: &NetworkBuilder) -> Result<Option<Arc<dyn TokenSource>>, BuildError> {
        match self {
            Self::None => Ok(None),
            Self::Source(source) => Ok(Some(source)),
            #[cfg(feature = "oauth")]
            Self::Credentials(builder) => {
                let source = builder.network(network).build().map_err(no_credentials)?;
                Ok(Some(Arc::new(source)))
            }
        }
    }
}

#[cfg(feature = "oauth")]
fn no_credentials(error: athena_auth::BuildError) -> BuildError {
    BuildError::new("credentials", "no usable credentials").with_source(error)
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
