use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ClientConfig, Config, Labels, Limits, Ports, RateLimit, Unmatched};
use crate::{Emulator, Error, Faults, Rule};

/// Configures and starts an [`Emulator`]. By default: free ports on loopback, fresh certificates,
/// one client, benign labels, no faults.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct EmulatorBuilder {
    config: Config,
}

impl EmulatorBuilder {
    /// Starts from these settings in place of the defaults.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The address of gRPC and the token endpoint. Default: 127.0.0.1. The admin API stays on
    /// loopback.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.config.address = address;
        self
    }

    /// The host name in the URLs that are given out; the certificate covers it.
    pub fn public_host(mut self, host: impl Into<String>) -> Self {
        self.config.public_host = host.into();
        self
    }

    /// The ports to listen on.
    pub fn ports(mut self, ports: Ports) -> Self {
        self.config.ports = ports;
        self
    }

    /// One more DNS name or IP address that the certificate covers.
    pub fn subject_name(mut self, name: impl Into<String>) -> Self {
        self.config.subject_names.push(name.into());
        self
    }

    /// A folder that keeps the CA and the token signing key, so that both survive a restart.
    pub fn certificates(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config.certificates = Some(folder.into());
        self
    }

    /// A file to write the environment variables to, once ready. It holds the client secret and is
    /// readable by its owner only.
    pub fn env_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.env_file = Some(path.into());
        self
    }

    /// Serves the token endpoint over plain HTTP.
    pub fn plain_token_endpoint(mut self) -> Self {
        self.config.plain_token_endpoint = true;
        self
    }

    /// The audience that tokens must have.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.config.audience = audience.into();
        self
    }

    /// How long an access token lives: whole seconds, at least one.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.token_lifetime = lifetime;
        self
    }

    /// How many token requests each client may make.
    pub fn token_rate_limit(mut self, limit: RateLimit) -> Self {
        self.config.token_rate_limit = Some(limit);
        self
    }

    /// One more client. The first one is the one that the handle tells of; the well-known client
    /// exists only without any.
    pub fn client(mut self, client: ClientConfig) -> Self {
        self.config.clients.push(client);
        self
    }

    /// Which categories the answers name.
    pub fn labels(mut self, labels: Labels) -> Self {
        self.config.labels = labels;
        self
    }

    /// Leaves the `UnknownCSAM-*` labels out of an answer whose hash is known.
    pub fn omit_scores_on_match(mut self) -> Self {
        self.config.omit_scores_on_match = true;
        self
    }

    /// One more MD5 or SHA-1 digest, in hexadecimal, that counts as known.
    pub fn known_hash(mut self, digest: impl Into<String>) -> Self {
        self.config.known_hashes.push(digest.into());
        self
    }

    /// Bounds on sizes and memory.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// How long a result waits for somebody to collect it.
    pub fn backlog_retention(mut self, retention: Duration) -> Self {
        self.config.backlog_retention = retention;
        self
    }

    /// How long a deployment without streams is kept.
    pub fn deployment_expiry(mut self, expiry: Duration) -> Self {
        self.config.deployment_expiry = expiry;
        self
    }

    /// How long after its creation a deployment starts to answer.
    pub fn deployment_latency(mut self, latency: Duration) -> Self {
        self.config.deployment_latency = latency;
        self
    }

    /// How long a shutdown waits for work in progress.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.config.drain = drain;
        self
    }

    /// One more rule, behind those there are: the first that fits an input decides its answer.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.config.rules.push(rule);
        self
    }

    /// Several more rules, such as those of [`Rule::from_expected_outputs`].
    pub fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.config.rules.extend(rules);
        self
    }

    /// What an input gets that no rule fits.
    pub fn unmatched(mut self, unmatched: Unmatched) -> Self {
        self.config.unmatched = unmatched;
        self
    }

    /// Answers mistakes that the service may overlook with an error: hashes that are not lower-case
    /// digest, bytes behind the end of a Brotli stream.
    pub fn strict(mut self) -> Self {
        self.config.strict = true;
        self
    }

    /// Beside the error of an image, answers the labels of the stages before it: those of its hashes.
    pub fn labels_with_errors(mut self) -> Self {
        self.config.labels_with_errors = true;
        self
    }

    /// Passes calls on to a real service at `host:port`, with the clients' own tokens, and notes its
    /// answers.
    #[cfg(feature = "upstream")]
    pub fn upstream(mut self, host: impl Into<String>) -> Self {
        self.config.upstream = Some(host.into());
        self
    }

    /// A CA to trust beside the usual ones when calling that service, as a PEM file.
    #[cfg(feature = "upstream")]
    pub fn upstream_ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.upstream_ca = Some(path.into());
        self
    }

    /// A file that gets one JSON line for each input and its answer, without the image.
    /// [`Rule::from_recording`] gives the answers again.
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.record = Some(path.into());
        self
    }

    /// What to do wrong on purpose, from the start.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.config.faults = faults;
        self
    }

    /// Starts the emulator. It is ready to be called once this returns.
    ///
    /// # Errors
    /// When a setting is invalid, a port is taken, or a file cannot be read or written.
    pub async fn start(self) -> Result<Emulator, Error> {
        Emulator::start(self.config).await
    }
}
