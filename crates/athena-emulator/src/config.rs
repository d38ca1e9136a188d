//! Everything that can be set, as one value: from code or from a TOML file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::Error;
use crate::duration;
use crate::faults::Faults;
use crate::rules::Rule;

/// All settings of an emulator, as the builder collects them and as a TOML file states them.
///
/// ```
/// let config: athena_emulator::Config = r#"
///     token_lifetime = "90s"
///
///     [ports]
///     grpc = 8443
///
///     [[clients]]
///     id = "moderation"
///     secret = "only-for-tests"
///     affiliates = ["acme"]
///
///     [faults]
///     swallow = { every = 10 }
/// "#
/// .parse()?;
/// assert_eq!(config.token_lifetime.as_secs(), 90);
/// # Ok::<(), athena_emulator::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The address of gRPC and the token endpoint: 127.0.0.1 unless said otherwise.
    pub address: IpAddr,
    /// The address of the admin API, on which nobody is asked for a token: 127.0.0.1 unless said
    /// otherwise.
    pub admin_address: IpAddr,
    /// The host name in the URLs that are given out, `localhost` by default. The certificate covers it.
    pub public_host: String,
    /// The ports; 0 takes a free one.
    pub ports: Ports,
    /// DNS names and IP addresses that the certificate covers besides `localhost`, 127.0.0.1 and ::1.
    pub subject_names: Vec<String>,
    /// A folder that keeps the CA and the token signing key, so that both survive a restart.
    pub certificates: Option<PathBuf>,
    /// A file to write the environment variables to, once ready.
    pub env_file: Option<PathBuf>,
    /// Serve the token endpoint over plain HTTP, for HTTP clients that cannot be given a CA.
    pub plain_token_endpoint: bool,
    /// The audience that a token must have, and that is handed out by default.
    pub audience: String,
    /// How long an access token lives, at least a second.
    #[serde(with = "duration")]
    pub token_lifetime: Duration,
    /// How many token requests each client may make; unlimited when absent.
    pub token_rate_limit: Option<RateLimit>,
    /// Who may ask for tokens; one well-known client when empty.
    pub clients: Vec<ClientConfig>,
    /// Which categories the answers name.
    pub labels: Labels,
    /// Leave the `UnknownCSAM-*` labels out of an answer whose hash is on the known list.
    pub omit_scores_on_match: bool,
    /// MD5 and SHA-1 digests, in hexadecimal, that count as known.
    pub known_hashes: Vec<String>,
    /// A file of such digests, one a line; `#` starts a comment.
    pub known_hashes_file: Option<PathBuf>,
    /// Bounds on sizes and memory.
    pub limits: Limits,
    /// How long a result waits for somebody to collect it: an hour, as the service documents.
    #[serde(with = "duration")]
    pub backlog_retention: Duration,
    /// How long a deployment without streams is kept: a day, as the service documents.
    #[serde(with = "duration")]
    pub deployment_expiry: Duration,
    /// How long after its creation a deployment starts to answer.
    #[serde(with = "duration")]
    pub deployment_latency: Duration,
    /// How long a shutdown waits for work in progress.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// A file that gets one JSON line for each input and its answer, without the image.
    pub record: Option<PathBuf>,
    /// A real service, as `host:port`, that calls are passed on to, with the clients' own tokens: for
    /// recording its answers.
    #[cfg(feature = "upstream")]
    pub upstream: Option<String>,
    /// A CA to trust beside the usual ones when calling that service, as a PEM file.
    #[cfg(feature = "upstream")]
    pub upstream_ca: Option<PathBuf>,
    /// Which inputs get which answers, beside those of the files below. The first rule that fits wins.
    pub rules: Vec<Rule>,
    /// A file of such rules.
    pub rules_file: Option<PathBuf>,
    /// A file `expected_outputs.json` of the public test cases: its weights are answered to its images.
    pub expected_outputs: Option<PathBuf>,
    /// A recording whose answers are given again, each to the image that got it.
    pub replay: Option<PathBuf>,
    /// What an input gets that no rule fits.
    pub unmatched: Unmatched,
    /// Answer mistakes that the service may overlook with an error: hashes that are not lower-case digest,
    /// bytes behind the end of a Brotli stream.
    pub strict: bool,
    /// Beside the error of an image, answer the labels of the stages before it: those of its hashes.
    pub labels_with_errors: bool,
    /// What to do wrong on purpose.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            admin_address: Ipv4Addr::LOCALHOST.into(),
            public_host: "localhost".into(),
            ports: Ports::FREE,
            subject_names: Vec::new(),
            certificates: None,
            env_file: None,
            plain_token_endpoint: false,
            audience: "crisp-athena-live".into(),
            token_lifetime: Duration::from_secs(3600),
            token_rate_limit: None,
            clients: Vec::new(),
            labels: Labels::Benign,
            omit_scores_on_match: false,
            known_hashes: Vec::new(),
            known_hashes_file: None,
            limits: Limits::default(),
            backlog_retention: Duration::from_secs(3600),
            deployment_expiry: Duration::from_secs(24 * 3600),
            deployment_latency: Duration::ZERO,
            drain: Duration::from_secs(5),
            record: None,
            #[cfg(feature = "upstream")]
            upstream: None,
            #[cfg(feature = "upstream")]
            upstream_ca: None,
            rules: Vec::new(),
            rules_file: None,
            expected_outputs: None,
            replay: None,
            unmatched: Unmatched::default(),
            strict: false,
            labels_with_errors: false,
            faults: Faults::default(),
        }
    }
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has a setting that does not exist.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        std::fs::read_to_string(path)
            .map_err(Error::file("read the configuration file", path))?
            .parse()
    }

    /// Whether calls are passed on to another service.
    pub(crate) fn relays(&self) -> bool {
        #[cfg(feature = "upstream")]
        return self.upstream.is_some();
        #[cfg(not(feature = "upstream"))]
        false
    }

    /// The names and addresses that the emulator is called by, beside the loopback ones.
    pub(crate) fn names(&self) -> Vec<String> {
        let addresses = [self.address, self.admin_address].map(|address| address.to_string());
        let mut names = self.subject_names.clone();
        names.push(self.public_host.clone());
        names.extend(addresses);
        names
    }

    /// The clients, or the well-known one when none is configured, each with a scope.
    pub(crate) fn effective_clients(&self) -> Vec<ClientConfig> {
        let mut clients = self.clients.clone();
        if clients.is_empty() {
            clients.push(ClientConfig::well_known());
        }
        let clients = clients.into_iter();
        clients.map(ClientConfig::with_default_scope).collect()
    }
}

impl std::str::FromStr for Config {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // The parser's own report quotes the offending line, which may hold a client secret.
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text[..span.start].lines().count().max(1));
            let place = line.map(|n| format!("line {n}: ")).unwrap_or_default();
            Error::setting(
                "the configuration file",
                format!("{place}{}", error.message()),
            )
        })
    }
}

/// The ports that the emulator listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Ports {
    /// gRPC over TLS.
    pub grpc: u16,
    /// The token endpoint.
    pub oauth: u16,
    /// The admin API, plain HTTP.
    pub admin: u16,
}

impl Ports {
    /// Three free ports: what tests want.
    pub const FREE: Self = Self {
        grpc: 0,
        oauth: 0,
        admin: 0,
    };

    /// The documented ports 8443, 8444 and 8445: what a long-running emulator wants.
    pub const FIXED: Self = Self {
        grpc: 8443,
        oauth: 8444,
        admin: 8445,
    };
}

impl Default for Ports {
    fn default() -> Self {
        Self::FREE
    }
}

/// The scope of a client that configures none. The public Node.js client asks for this one, and the
/// public .NET client reads no token answer that names no scope.
pub const DEFAULT_SCOPE: &str = "manage:classify";

/// An OAuth client.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The client id.
    pub id: String,
    /// The client secret; empty for a client that has none and shows a key or a certificate.
    #[serde(default)]
    pub secret: String,
    /// Public keys that its assertions may be signed with (`private_key_jwt`): PEM, a JSON Web Key,
    /// or a set of them.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Certificates (PEM) by which it may authenticate in the TLS handshake of a token request
    /// (RFC 8705, section 2.2).
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Audiences it may ask for besides the emulator's own.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Scopes it may ask for, all granted when it asks for none; [`DEFAULT_SCOPE`] when empty.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Affiliates it may classify for; `*` stands for any.
    #[serde(default)]
    pub affiliates: Vec<String>,
}

impl ClientConfig {
    /// A client that may use the emulator's audience and no affiliate yet.
    #[must_use]
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: secret.into(),
            keys: Vec::new(),
            certificates: Vec::new(),
            audiences: Vec::new(),
            scopes: Vec::new(),
            affiliates: Vec::new(),
        }
    }

    /// A client without a secret. [`key`](Self::key) or [`certificate`](Self::certificate) must
    /// follow.
    #[must_use]
    pub fn keyless(id: impl Into<String>) -> Self {
        Self::new(id, "")
    }

    /// Registers a public key for assertions: PEM, a JSON Web Key, or a set of them.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Registers a certificate (PEM) for the TLS handshake of token requests.
    #[must_use]
    pub fn certificate(mut self, pem: impl Into<String>) -> Self {
        self.certificates.push(pem.into());
        self
    }

    /// Allows one more affiliate; `*` stands for any.
    #[must_use]
    pub fn affiliate(mut self, affiliate: impl Into<String>) -> Self {
        self.affiliates.push(affiliate.into());
        self
    }

    /// Allows one more audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Allows one more scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    pub(crate) fn with_default_scope(mut self) -> Self {
        if self.scopes.is_empty() {
            self.scopes.push(DEFAULT_SCOPE.into());
        }
        self
    }

    /// The client of an emulator that configures none. Its secret is public and protects nothing.
    fn well_known() -> Self {
        Self::new("athena-emulator", "athena-emulator-secret").affiliate("emulator")
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("id", &self.id)
            .field("secret", &"[redacted]")
            .field("audiences", &self.audiences)
            .field("scopes", &self.scopes)
            .field("affiliates", &self.affiliates)
            .finish()
    }
}

/// At most `requests` in each period of `per`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests a period allows.
    pub requests: u32,
    /// The length of a period.
    #[serde(with = "duration")]
    pub per: Duration,
}

/// The categories that answers name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Labels {
    /// Those of the benign classifier: Lakeside, Mountains, Trees, Seashore, Ducks, Goose.
    #[default]
    Benign,
    /// Those of the live classifier: classA, classB, classC, adult, indicative, distraction.
    Live,
}

/// What an input gets that no [`Rule`] fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Unmatched {
    /// Weights that follow from its pixels.
    #[default]
    Weights,
    /// An error that says so.
    Error,
}

/// Bounds on what a client may send and on what the emulator keeps.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The largest gRPC message in bytes. The service's documented batch of 50 raw frames has 30 MB.
    pub message_bytes: usize,
    /// How many bytes of messages may be on their way in or worked on, over all connections; a call
    /// that goes beyond ends with `RESOURCE_EXHAUSTED`.
    pub memory_bytes: usize,
    /// How long nothing of a message that has begun may come, after which its call ends with
    /// `DEADLINE_EXCEEDED`. Less than 64 KiB a second uses this time up, too.
    #[serde(with = "duration")]
    pub message_pause: Duration,
    /// The largest image in bytes, as sent and once decompressed.
    pub image_bytes: usize,
    /// How many results a deployment keeps; the oldest is dropped to make room.
    pub backlog: usize,
    /// How many deployments there may be at once.
    pub deployments: usize,
    /// How many streams a connection may hold.
    pub streams_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 << 20,
            memory_bytes: 2 << 30,
            message_pause: Duration::from_secs(30),
            image_bytes: 64 << 20,
            backlog: 10_000,
            deployments: 10_000,
            streams_per_connection: 10_000,
        }
    }
}

/// The longest delay or lifetime that is told apart from for ever; keeps clocks from overflowing.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
