//! `athena serve`: the outcome of an image over HTTP, for programs in any language.

mod listen;
mod queue;
mod systemd;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use athena_gateway::{
    AddressRules, Drained, Gateway, GatewayBuilder, Guard, Keys, Limits, Webhooks,
};
use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use self::listen::{Bound, Place};
use self::queue::QueueArgs;
use super::policy::PolicyArg;
use crate::allowed::AllowedSources;
use crate::config::{ConnectArgs, duration, others_can_read};
use crate::connect::{Connection, block_on};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain, reason};
use crate::interrupt::on_interrupt;
use crate::output::terminal::{BOLD, DIM, GOOD, NOTICE, say};
use crate::output::write_json;
use crate::telemetry::{self, TelemetryArgs};
use crate::trust;

const EXAMPLES: &str = "\
Examples:
  athena serve --emulator                            Try it: no account, no network
  curl -s -H 'Content-Type: image/jpeg' --data-binary @photo.jpg http://127.0.0.1:8080/v1/classify
  athena serve --policy policy.toml                  Outcomes with a decision
  athena serve --listen unix:/run/athena/athena.sock --socket-mode 660
  athena serve --queue nats://127.0.0.1:4222         And ?queue=true: judged by `athena worker`
  athena serve --mint-key forum                      A key, and its entry for --keys
  athena serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --keys keys.toml

docs/serve.md has the interface, examples in seven languages, and how to run it.";

/// The longest file of keys, certificates or a secret.
const MOST_BYTES: u64 = 4 << 20;

/// Serve outcomes over HTTP to programs in any language
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Where to listen: ADDRESS:PORT or unix:/PATH. May be repeated; sockets of systemd come first
    /// [default: 127.0.0.1:8080]
    #[arg(long, value_name = "WHERE", help_heading = "Server")]
    listen: Vec<Place>,
    /// Mode of a Unix socket
    #[arg(long, value_name = "OCTAL", default_value = "600", value_parser = listen::mode, help_heading = "Server")]
    socket_mode: u32,
    /// Certificate chain (PEM), for HTTPS
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "Server"
    )]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Server"
    )]
    tls_key: Option<PathBuf>,
    /// Serve other machines without TLS: for networks that encrypt below
    #[arg(long, conflicts_with = "tls_cert", help_heading = "Server")]
    plaintext: bool,
    /// Name by which callers ask for this server, besides localhost. May be repeated
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    hostname: Vec<String>,
    /// Print the addresses as JSON when ready
    #[arg(long, help_heading = "Server")]
    json: bool,
    /// Who may call: a file of keys, by their digests (see --mint-key)
    #[arg(long, value_name = "FILE", help_heading = "Callers")]
    keys: Option<PathBuf>,
    /// Make a key for a caller, print it and its entry for the file of keys, and end
    #[arg(long, value_name = "NAME", exclusive = true, help_heading = "Callers")]
    mint_key: Option<String>,
    /// CA (PEM) that must have signed the certificates of callers
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Callers"
    )]
    client_ca: Option<PathBuf>,
    /// Origin whose web pages may call: scheme, host and port. May be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "Callers")]
    origin: Vec<String>,
    #[command(flatten)]
    policy: PolicyArg,
    /// Images under way at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Limits")]
    in_flight: u32,
    /// Largest image, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256), help_heading = "Limits")]
    max_image: u32,
    /// Memory for images that are under way or on their way in, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_048_576), help_heading = "Limits")]
    max_memory: u32,
    /// Connections at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    connections: u32,
    /// How long a connection may be idle
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, help_heading = "Limits")]
    idle: Duration,
    /// How long an outcome is kept for those who come back for it
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, help_heading = "Limits")]
    keep: Duration,
    /// How long what is under way may take after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, help_heading = "Limits")]
    drain: Duration,
    /// Webhooks may go to URLs that begin so. May be repeated
    #[arg(
        long,
        value_name = "URL",
        requires = "webhook_secret_file",
        help_heading = "Webhooks"
    )]
    webhook_allow: Vec<String>,
    /// File with the secret that webhooks are signed with
    #[arg(
        long,
        value_name = "FILE",
        requires = "webhook_allow",
        help_heading = "Webhooks"
    )]
    webhook_secret_file: Option<PathBuf>,
    /// Webhooks may go to addresses of this machine and of private networks
    #[arg(long, requires = "webhook_allow", help_heading = "Webhooks")]
    webhook_private: bool,
    /// Callers may name images by URLs that begin so: s3://…, gs://…, az://… or https://…. May be repeated
    #[arg(long, value_name = "URL", help_heading = "Images by URL")]
    allow_url: Vec<String>,
    /// Addresses of --allow-url may be of this machine and of private networks
    #[arg(long, requires = "allow_url", help_heading = "Images by URL")]
    allow_private: bool,
    #[command(flatten)]
    queue: QueueArgs,
    /// Deployment to use, instead of one for this process
    #[arg(long, value_name = "ID", help_heading = "Connection")]
    deployment: Option<String>,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What is printed when the server is ready.
#[derive(Serialize)]
struct Ready {
    urls: Vec<String>,
}

pub(crate) fn run(args: &ServeArgs) -> Outcome {
    if let Some(name) = &args.mint_key {
        return mint(name);
    }
    let guarded = args.keys.is_some() || args.client_ca.is_some();
    let encrypted = args.tls_cert.is_some() || args.plaintext;
    let places = listen::places(&args.listen);
    for place in &places {
        place.check(guarded, encrypted)?;
    }
    listen::raise_file_limit();
    block_on(serve(args, &places, guarded))
}

fn mint(name: &str) -> Outcome {
    let (key, entry) =
        Keys::mint(name).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let mut out = anstream::stdout().lock();
    std::io::Write::write_all(&mut out, entry.as_bytes())
        .map_err(|error| Failure::output(&error))?;
    say(format_args!(
        "{BOLD}{}{BOLD:#}\n{DIM}The key is shown once: give it to the caller. The entry goes into the file of --keys.{DIM:#}",
        &*key
    ));
    Ok(Exit::Done)
}

async fn serve(args: &ServeArgs, places: &[Place], guarded: bool) -> Outcome {
    let builder = configure(args, guarded)?;
    let by_url = by_url(args).await?;
    // Before the client, which reports to it.
    let export = telemetry::start(&args.telemetry).await?;
    let bound = Bound::all(args, places).await?;
    let connection = Connection::open(&args.connect).await?;
    let mut builder = builder(Gateway::builder(connection.client.clone()));
    if let Some((sources, guard)) = by_url {
        builder = builder.fetch(sources, guard);
    }
    if let Some(queue) = args.queue.open().await? {
        builder = builder.queue(queue);
    }
    let gateway = builder
        .open()
        .map_err(|error| Failure::configuration(error.to_string()))?;
    let interrupted = on_interrupt();
    let stop = {
        let interrupted = interrupted.clone();
        async move { interrupted.cancelled().await }
    };
    announce(args, &bound.urls)?;
    let drained = {
        let _watchdog = systemd::ready(&gateway);
        let stopped = async {
            stop.await;
            systemd::stopping();
            say(format_args!(
                "{NOTICE}stopping{NOTICE:#}: what is under way is finished first"
            ));
        };
        gateway.serve(bound.listeners, stopped).await
    };
    if let Some(export) = export {
        export.finish().await;
    }
    finished(drained)
}

fn finished(drained: Drained) -> Outcome {
    if drained.complete {
        return Ok(Exit::Done);
    }
    say(format_args!(
        "{NOTICE}stopped before everything was finished{NOTICE:#}: {} images had no answer yet",
        drained.unfinished
    ));
    Ok(Exit::SomeFailed)
}

fn announce(args: &ServeArgs, urls: &[String]) -> Outcome<()> {
    if args.json {
        let ready = Ready {
            urls: urls.to_vec(),
        };
        let mut out = anstream::stdout().lock();
        write_json(&ready, &mut out)
            .and_then(|()| std::io::Write::flush(&mut out))
            .map_err(|error| Failure::output(&error))?;
        return Ok(());
    }
    for url in urls {
        say(format_args!(
            "{GOOD}listening{GOOD:#} on {BOLD}{url}{BOLD:#}"
        ));
    }
    if args.policy.policy.is_none() {
        say(format_args!(
            "{DIM}no policy: outcomes have no decision, and /compat does not answer (--policy FILE){DIM:#}"
        ));
    }
    Ok(())
}

/// Reads what the settings name, before anything is listened to.
fn configure(
    args: &ServeArgs,
    guarded: bool,
) -> Outcome<impl FnOnce(GatewayBuilder) -> GatewayBuilder> {
    let policy = args.policy.load()?;
    let keys = args.keys.as_deref().map(keys).transpose()?;
    let webhooks = webhooks(args)?;
    let mut limits = Limits::default();
    limits.image_bytes = (args.max_image as usize) << 20;
    limits.held_bytes = (args.max_memory as usize) << 20;
    limits.in_flight = args.in_flight as usize;
    limits.waiting = args.in_flight as usize;
    limits.connections = args.connections as usize;
    limits.idle = args.idle;
    limits.image_time = args.connect.timeout;
    limits.outcome_time = args.keep;
    limits.drain = args.drain;
    if limits.held_bytes < limits.image_bytes {
        return Err(Failure::new(
            Exit::Usage,
            "--max-memory: one image of --max-image must have room in it",
        ));
    }
    let (hostnames, origins) = (args.hostname.clone(), args.origin.clone());
    let deployment = args.deployment.clone();
    Ok(move |mut builder: GatewayBuilder| {
        builder = builder.limits(limits);
        if let Some(policy) = policy {
            builder = builder.policy(policy);
        }
        if let Some(keys) = keys {
            builder = builder.keys(keys);
        }
        // Where nobody needs a key, a web page could call by a name of its own: only ours are taken.
        if !guarded {
            builder = builder.host("localhost");
        }
        builder = hostnames.into_iter().fold(builder, GatewayBuilder::host);
        builder = origins.into_iter().fold(builder, GatewayBuilder::origin);
        if let Some(webhooks) = webhooks {
            builder = builder.webhooks(webhooks);
        }
        match deployment {
            Some(id) => builder.deployment(id),
            None => builder,
        }
    })
}

/// Who fetches what callers name by its URL, and by which rules.
async fn by_url(args: &ServeArgs) -> Outcome<Option<(AllowedSources, Guard)>> {
    let mut guard = Guard::new(AddressRules {
        private: args.allow_private,
    });
    for prefix in &args.allow_url {
        guard = guard
            .allow(prefix)
            .map_err(|error| Failure::new(Exit::Usage, format!("--allow-url: {error}")))?;
    }
    let sources = AllowedSources::open(&args.allow_url, args.allow_private).await?;
    Ok(sources.map(|sources| (sources, guard)))
}

fn keys(path: &Path) -> Outcome<Keys> {
    let text = read(path, "--keys")?;
    let text = std::str::from_utf8(&text)
        .map_err(|_| Failure::configuration(format!("--keys: {} is not text", path.display())))?;
    text.parse().map_err(|error| {
        Failure::configuration(format!("--keys: {}: {error}", path.display()))
            .remedy("`athena serve --mint-key NAME` prints an entry")
    })
}

fn webhooks(args: &ServeArgs) -> Outcome<Option<Webhooks>> {
    let Some(path) = &args.webhook_secret_file else {
        return Ok(None);
    };
    if others_can_read(path) {
        say(format_args!(
            "{NOTICE}note:{NOTICE:#} others can read {}: chmod 600 it",
            path.display()
        ));
    }
    let secret = read(path, "--webhook-secret-file")?;
    let mut guard = Guard::new(AddressRules {
        private: args.webhook_private,
    });
    for prefix in &args.webhook_allow {
        guard = guard
            .allow(prefix)
            .map_err(|error| Failure::new(Exit::Usage, format!("--webhook-allow: {error}")))?;
    }
    let webhooks = Webhooks::new(secret.trim_ascii_end(), guard, trust::network(None)?)
        .map_err(|error| Failure::configuration(error.to_string()))?;
    Ok(Some(webhooks))
}

/// Reads a file that a flag names.
fn read(path: &Path, flag: &str) -> Outcome<Zeroizing<Vec<u8>>> {
    let unreadable = |error: std::io::Error| {
        Failure::configuration(format!(
            "{flag}: cannot read {}: {}",
            path.display(),
            reason(&error)
        ))
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len().min(MOST_BYTES);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    file.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

/// The TLS of the flags.
fn tls(args: &ServeArgs) -> Outcome<Option<athena_gateway::ServerTls>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    let client_ca = (args.client_ca.as_deref())
        .map(|path| read(path, "--client-ca"))
        .transpose()?;
    let tls = athena_gateway::ServerTls::new(
        &read(certificate, "--tls-cert")?,
        &read(key, "--tls-key")?,
        client_ca.as_deref().map(Vec::as_slice),
    );
    tls.map(Some)
        .map_err(|error| Failure::configuration(chain(&error)))
}
