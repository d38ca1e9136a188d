//! From flags and NATS' own variables to a connection.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use athena_net::{Identity, Network, is_loopback};
use athena_worker::QueueError;
use athena_worker::jetstream::{Queue, QueueNames};
use clap::Args;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::config::{duration, others_can_read};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::output::terminal::{NOTICE, say};

const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// The queue, as users of NATS name it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Queue")]
pub(crate) struct NatsArgs {
    /// Servers: nats://HOST:PORT or tls://HOST:PORT, several separated by commas
    /// [env: NATS_URL] [default: nats://127.0.0.1:4222]
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    #[command(flatten)]
    options: QueueOptions,
}

/// Everything but its address.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Queue")]
pub(crate) struct QueueOptions {
    /// Credentials file: a JWT and its NKEY [env: NATS_CREDS]
    #[arg(long, value_name = "FILE", conflicts_with = "nats_nkey")]
    nats_creds: Option<PathBuf>,
    /// File with the seed of an NKEY [env: NATS_NKEY]
    #[arg(long, value_name = "FILE")]
    nats_nkey: Option<PathBuf>,
    /// CA certificate (PEM) to trust besides the system's [env: NATS_CA]
    #[arg(long, value_name = "FILE")]
    nats_ca: Option<PathBuf>,
    /// Client certificate (PEM) [env: NATS_CERT]
    #[arg(long, value_name = "FILE", requires = "nats_key")]
    nats_cert: Option<PathBuf>,
    /// Its private key (PEM) [env: NATS_KEY]
    #[arg(long, value_name = "FILE", requires = "nats_cert")]
    nats_key: Option<PathBuf>,
    /// Stream of jobs; made if it is missing
    #[arg(long, value_name = "STREAM", default_value = "ATHENA_JOBS")]
    jobs: String,
    /// Stream of outcomes; made if it is missing
    #[arg(long, value_name = "STREAM", default_value = "ATHENA_OUTCOMES")]
    outcomes: String,
    /// Servers that keep each stream that is made
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
    /// How long a job is its worker's before it is given to another: for all workers from now on
    /// [default: as it was set, or 30s]
    #[arg(long, value_name = "DURATION", value_parser = lease)]
    lease: Option<Duration>,
}

fn lease(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|lease| match lease >= Duration::from_secs(1) {
        true => Ok(lease),
        false => Err("a lease has a second at least".to_owned()),
    })
}

/// The end of a command that the queue has stopped.
pub(crate) fn queue_failure(error: &QueueError) -> Failure {
    Failure::new(Exit::Unreachable, format!("the queue: {}", chain(error))).remedy(
        "JetStream must be enabled (`nats-server -js`), and this user must be allowed to use it",
    )
}

impl NatsArgs {
    /// The stream of jobs.
    pub(crate) fn jobs(&self) -> &str {
        &self.options.jobs
    }

    /// The stream of outcomes.
    pub(crate) fn outcomes(&self) -> &str {
        &self.options.outcomes
    }

    /// Connects, and finds or makes the streams.
    pub(crate) async fn open(&self) -> Outcome<Queue> {
        self.options.open("--nats", self.nats.as_deref()).await
    }
}

impl QueueOptions {
    /// Connects to the address that the flag gives, or the environment, and finds or makes the streams.
    pub(crate) async fn open(&self, flag: &str, address: Option<&str>) -> Outcome<Queue> {
        let client = self.connect(flag, address).await?;
        let mut names = QueueNames::default();
        names.jobs = self.jobs.clone();
        names.outcomes = self.outcomes.clone();
        names.replicas = usize::from(self.replicas);
        names.lease = self.lease;
        Queue::open(client, names)
            .await
            .map_err(|error| queue_failure(&error))
    }

    async fn connect(&self, flag: &str, address: Option<&str>) -> Outcome<async_nats::Client> {
        let servers = servers(flag, address)?;
        let network = self.network()?;
        let mut options = ConnectOptions::new()
            .name("athena")
            .connection_timeout(Duration::from_secs(5))
            .tls_client_config((*network.ready_tls().await).clone())
            .event_callback(async |event| tracing::warn!("queue: {event}"));
        if let Some(path) = given(&self.nats_creds, "NATS_CREDS") {
            let creds = secret(&path, "--nats-creds")?;
            options = options.credentials(&creds).map_err(|_| {
                Failure::configuration(format!(
                    "--nats-creds: {} holds no JWT and NKEY",
                    path.display()
                ))
            })?;
        } else if let Some(path) = given(&self.nats_nkey, "NATS_NKEY") {
            let seed = secret(&path, "--nats-nkey")?;
            options = options.nkey(seed.trim().to_owned());
        }
        // Words that are sent as they are: never in arguments, and not in the clear over a network.
        let in_url = servers.iter().find(|server| server.has_user_pass());
        let in_words = if let Some(server) = in_url {
            let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let user = plain(server.username().unwrap_or(""));
            options = match server.password() {
                Some(password) => options.user_and_password(user, plain(password)),
                None => options.token(user),
            };
            true
        } else if let Some(token) = variable("NATS_TOKEN") {
            options = options.token(token);
            true
        } else if let (Some(user), Some(password)) =
            (variable("NATS_USER"), variable("NATS_PASSWORD"))
        {
            options = options.user_and_password(user, password);
            true
        } else {
            false
        };
        if in_words && servers.iter().any(|server| !is_loopback(server.host())) {
            options = options.require_tls(true);
        }
        options
            .connect(servers.clone())
            .await
            .map_err(|error| unreachable(&servers, &error))
    }

    fn network(&self) -> Outcome<Network> {
        let invalid = |error: athena_net::BuildError| Failure::configuration(chain(&error));
        let mut builder = Network::builder();
        if let Some(path) = given(&self.nats_ca, "NATS_CA") {
            builder = builder.ca_certificate(crate::config::read_ca(&path)?);
        }
        let certificate = given(&self.nats_cert, "NATS_CERT");
        if let (Some(certificate), Some(key)) = (certificate, given(&self.nats_key, "NATS_KEY")) {
            builder = builder.identity(Identity::from_files(certificate, key).map_err(invalid)?);
        }
        builder.build().map_err(invalid)
    }
}

fn servers(flag: &str, address: Option<&str>) -> Outcome<Vec<ServerAddr>> {
    let (text, from) = match (address, variable("NATS_URL")) {
        (Some(text), _) => (text.to_owned(), flag),
        (None, Some(text)) => (text, "NATS_URL"),
        (None, None) => (DEFAULT_URL.to_owned(), flag),
    };
    let mut servers = Vec::new();
    for text in text
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let server: ServerAddr = text.parse().map_err(|_| {
            Failure::configuration(format!(
                "{from}: expected nats://HOST:PORT or tls://HOST:PORT"
            ))
        })?;
        if address.is_some() && server.has_user_pass() {
            // Everybody on the machine can read arguments.
            return Err(Failure::new(
                Exit::Usage,
                format!("{flag}: there is a user or token in it"),
            )
            .remedy("use --nats-creds FILE, NATS_USER and NATS_PASSWORD, or NATS_URL"));
        }
        servers.push(server);
    }
    match servers.is_empty() {
        true => Err(Failure::configuration(format!(
            "{from}: there is no server in it"
        ))),
        false => Ok(servers),
    }
}

fn given(flag: &Option<PathBuf>, name: &str) -> Option<PathBuf> {
    flag.clone().or_else(|| variable(name).map(PathBuf::from))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn secret(path: &std::path::Path, flag: &str) -> Outcome<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let why = crate::failure::reason(&error);
        Failure::configuration(format!("{flag}: cannot read {}: {why}", path.display()))
    })?;
    if others_can_read(path) {
        say(format_args!(
            "{NOTICE}note:{NOTICE:#} others can read {}: chmod 600 it",
            path.display()
        ));
    }
    Ok(Zeroizing::new(text))
}

fn unreachable(servers: &[ServerAddr], error: &ConnectError) -> Failure {
    let names: Vec<String> = (servers.iter())
        .map(|server| format!("{}:{}", server.host(), server.port()))
        .collect();
    let cause = format!(
        "no connection to NATS at {}: {}",
        names.join(", "),
        chain(error)
    );
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            Failure::new(Exit::Refused, cause)
                .remedy("check --nats-creds, --nats-nkey, NATS_USER and NATS_PASSWORD")
        }
        ConnectErrorKind::Tls => Failure::new(Exit::Unreachable, cause)
            .remedy("trust its CA with --nats-ca FILE; a password goes to other machines over TLS alone"),
        _ if is_tls(error) => Failure::new(Exit::Unreachable, cause).remedy(
            "trust its CA with --nats-ca FILE, and show the certificate it wants with --nats-cert and --nats-key",
        ),
        _ => Failure::new(Exit::Unreachable, cause)
            .remedy("`nats-server -js` starts one; --nats or NATS_URL says where it is"),
    }
}

/// Whether a handshake has failed: that comes as an I/O error.
fn is_tls(error: &ConnectError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        let inner = (current.downcast_ref::<std::io::Error>()).and_then(std::io::Error::get_ref);
        if current.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = current.source();
    }
    false
}
