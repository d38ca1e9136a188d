//! `athena emulator`: a local Athena for the tests of any client.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use athena_emulator::{Config, Emulator, EmulatorErrorKind, Faults, Labels, Ports, Unmatched};
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::config::duration;
use crate::connect::block_on;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::interrupt::signal;
use crate::output::terminal::{BOLD, DIM, GOOD, NOTICE, say};
use crate::output::write_json;
use crate::trust;

const EXAMPLES: &str = "\
Examples:
  athena emulator                                          Ports 8443, 8444 and 8445
  athena emulator --env-file emulator.env                  Then: set -a; . ./emulator.env; set +a
  athena emulator --port 0 --token-port 0 --admin-port 0   Free ports
  athena emulator --fault 'swallow = { every = 10 }' --fault 'delay = { constant = \"200ms\" }'
  athena emulator mint expired                             A bad token for a test

It is not a classifier: its weights are computed from the pixels and mean nothing.
docs/emulator.md has the settings file, the faults and the admin API.";

/// Run a local Athena: gRPC over TLS, token endpoint, admin API
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct EmulatorArgs {
    #[command(subcommand)]
    command: Option<EmulatorCommand>,
    /// Settings (TOML); flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Port of the gRPC service; 0 takes a free one [default: 8443]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Port of the token endpoint [default: 8444]
    #[arg(long, value_name = "PORT")]
    token_port: Option<u16>,
    /// Port of the admin API [default: 8445]
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// Host name in the addresses that are given out [default: localhost]
    #[arg(long, value_name = "NAME")]
    public_host: Option<String>,
    /// Name or address that the certificate covers as well. May be repeated
    #[arg(long = "san", value_name = "NAME")]
    subject_names: Vec<String>,
    /// Folder that keeps the CA and the signing key, so that they survive a restart
    #[arg(long, value_name = "FOLDER")]
    certificates: Option<PathBuf>,
    /// File to write the environment variables for clients to, once ready
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Serve tokens over plain HTTP, for HTTP clients that cannot be given a CA
    #[arg(long)]
    plain_token_endpoint: bool,
    /// How long a token lives [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    token_lifetime: Option<Duration>,
    /// Which categories answers name [default: benign]
    #[arg(long, value_enum, value_name = "SET")]
    labels: Option<LabelsArg>,
    /// File of MD5 and SHA-1 digests that count as known, one a line
    #[arg(long, value_name = "FILE")]
    known_hashes: Option<PathBuf>,
    /// Rules (TOML): which inputs get which answers
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Public test cases (expected_outputs.json, beside its folder images) whose weights are answered
    #[arg(long, value_name = "FILE")]
    expected_outputs: Option<PathBuf>,
    /// Pass calls on to a real service, with the clients' own tokens, to record its answers
    #[arg(long, value_name = "HOST:PORT", requires = "record")]
    upstream: Option<String>,
    /// CA (PEM) to trust beside the usual ones when calling that service
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_ca: Option<PathBuf>,
    /// Write a JSON line for each input and its answer, without the image
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Give the answers of such a file again
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// What an input gets that no rule fits [default: weights]
    #[arg(long, value_enum, value_name = "ANSWER")]
    unmatched: Option<UnmatchedArg>,
    /// Answer mistakes of clients with errors that the service may overlook
    #[arg(long)]
    strict: bool,
    /// Something to do wrong, as the settings file's faults. May be repeated
    #[arg(long, value_name = "TOML")]
    fault: Vec<String>,
    /// Seed of the faults that strike at random
    #[arg(long, value_name = "NUMBER", requires = "fault")]
    seed: Option<u64>,
    /// Say where it is as one JSON object, once ready
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum EmulatorCommand {
    Mint(MintArgs),
}

/// Print an access token of a running emulator: a good one, or a bad one for a test
#[derive(Args, Debug)]
struct MintArgs {
    /// What kind of token
    #[arg(value_enum)]
    kind: Kind,
    /// Admin API of the emulator [env: ATHENA_EMULATOR_ADMIN_URL]
    #[arg(
        long,
        value_name = "URL",
        env = "ATHENA_EMULATOR_ADMIN_URL",
        hide_env = true
    )]
    #[arg(default_value = "http://127.0.0.1:8445")]
    admin_url: String,
    /// Client that the token is for
    #[arg(long, value_name = "ID", default_value = "athena-emulator")]
    client_id: String,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Accepted until it expires
    Valid,
    /// Expired an hour ago
    Expired,
    /// For the audience of another platform
    WrongAudience,
    /// Signed by somebody else
    Foreign,
    /// With the algorithm `none`
    Unsigned,
    /// No JSON Web Token at all
    Malformed,
}

impl Kind {
    /// The admin API's word.
    fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::WrongAudience => "wrong_audience",
            Self::Foreign => "foreign",
            Self::Unsigned => "unsigned",
            Self::Malformed => "malformed",
        }
    }
}

/// Which categories answers name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LabelsArg {
    /// Lakeside, Mountains, Trees, Seashore, Ducks, Goose
    Benign,
    /// classA, classB, classC, adult, indicative, distraction
    Live,
}

/// What an input gets that no rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum UnmatchedArg {
    /// Weights that follow from its pixels
    Weights,
    /// An error that says so
    Error,
}

/// Where the emulator is. The secret is in the env file only.
#[derive(Serialize)]
struct Ready<'a> {
    host: &'a str,
    token_url: &'a str,
    admin_url: &'a str,
    client_id: &'a str,
    audience: &'a str,
    affiliate: &'a str,
    ca_file: Option<String>,
}

pub(crate) fn run(args: &EmulatorArgs) -> Outcome {
    if let Some(EmulatorCommand::Mint(args)) = &args.command {
        let token = block_on(mint(args))?;
        writeln!(std::io::stdout(), "{token}").map_err(|error| Failure::output(&error))?;
        return Ok(Exit::Done);
    }
    let config = args.settings()?;
    let address = config.address;
    block_on(async {
        let emulator = Emulator::builder()
            .config(config)
            .start()
            .await
            .map_err(|error| failure(&error))?;
        if !address.is_loopback() {
            say(format_args!(
                "{NOTICE}warning:{NOTICE:#} other machines can reach {address}: the emulator is made for tests and protects nothing"
            ));
        }
        args.announce(&emulator)
            .map_err(|error| Failure::output(&error))?;
        signal().await;
        say(format_args!("{DIM}stopping{DIM:#}"));
        tokio::select! {
            () = emulator.shutdown() => {}
            () = signal() => {}
        }
        Ok(Exit::Done)
    })
}

async fn mint(args: &MintArgs) -> Outcome<String> {
    #[derive(Deserialize)]
    struct Minted {
        access_token: String,
    }
    let failed = |error: reqwest::Error| {
        let cause = format!(
            "no token from {}: {}",
            args.admin_url,
            chain(&error.without_url())
        );
        Failure::new(Exit::Unreachable, cause)
            .remedy("is the emulator running, and is this its admin API? --admin-url says where")
    };
    let url = format!(
        "{}/tokens?kind={}&client_id={}",
        args.admin_url.trim_end_matches('/'),
        args.kind.word(),
        args.client_id
    );
    let client = trust::http_client(&trust::network(None)?, Duration::from_secs(10)).await?;
    let answer = client.post(url).send().await.map_err(failed)?;
    let body = answer.error_for_status().map_err(failed)?.bytes().await;
    let minted: Minted = serde_json::from_slice(&body.map_err(failed)?)
        .map_err(|_| Failure::new(Exit::Service, "the answer is not a token"))?;
    Ok(minted.access_token)
}

impl EmulatorArgs {
    fn settings(&self) -> Outcome<Config> {
        let mut config = match &self.config {
            Some(path) => Config::from_file(path).map_err(|error| failure(&error))?,
            None => {
                let mut config = Config::default();
                config.ports = Ports::FIXED;
                config
            }
        };
        fn set<T>(target: &mut T, flag: Option<T>) {
            if let Some(value) = flag {
                *target = value;
            }
        }
        set(&mut config.address, self.address);
        set(&mut config.ports.grpc, self.port);
        set(&mut config.ports.oauth, self.token_port);
        set(&mut config.ports.admin, self.admin_port);
        set(&mut config.public_host, self.public_host.clone());
        set(&mut config.token_lifetime, self.token_lifetime);
        set(
            &mut config.labels,
            self.labels.map(|labels| match labels {
                LabelsArg::Benign => Labels::Benign,
                LabelsArg::Live => Labels::Live,
            }),
        );
        config.subject_names.extend(self.subject_names.clone());
        config.certificates = self.certificates.clone().or(config.certificates);
        config.env_file = self.env_file.clone().or(config.env_file);
        config.known_hashes_file = self.known_hashes.clone().or(config.known_hashes_file);
        set(
            &mut config.unmatched,
            self.unmatched.map(|unmatched| match unmatched {
                UnmatchedArg::Weights => Unmatched::Weights,
                UnmatchedArg::Error => Unmatched::Error,
            }),
        );
        config.rules_file = self.rules.clone().or(config.rules_file);
        config.expected_outputs = self.expected_outputs.clone().or(config.expected_outputs);
        config.record = self.record.clone().or(config.record);
        config.upstream = self.upstream.clone().or(config.upstream);
        config.upstream_ca = self.upstream_ca.clone().or(config.upstream_ca);
        config.replay = self.replay.clone().or(config.replay);
        config.strict |= self.strict;
        config.plain_token_endpoint |= self.plain_token_endpoint;
        if !self.fault.is_empty() {
            config.faults = self.faults()?;
        }
        Ok(config)
    }

    fn faults(&self) -> Outcome<Faults> {
        let faults: Faults = toml::from_str(&self.fault.join("\n")).map_err(|error| {
            Failure::new(Exit::Usage, format!("--fault: {}", error.message()))
                .remedy("as in --fault 'swallow = { every = 10 }'")
        })?;
        Ok(match self.seed {
            Some(seed) => faults.seed(seed),
            None => faults,
        })
    }

    fn announce(&self, emulator: &Emulator) -> std::io::Result<()> {
        let ready = Ready {
            host: emulator.host(),
            token_url: emulator.token_url(),
            admin_url: emulator.admin_url(),
            client_id: emulator.client_id(),
            audience: emulator.audience(),
            affiliate: emulator.affiliate(),
            ca_file: emulator.ca_file().map(|path| path.display().to_string()),
        };
        let mut out = anstream::stdout().lock();
        if self.json {
            return write_json(&ready, &mut out);
        }
        writeln!(
            out,
            "{GOOD}✓{GOOD:#} {BOLD}Athena emulator{BOLD:#}: no classifier, its weights mean nothing"
        )?;
        let mut line = |name: &str, value: &str| writeln!(out, "  {DIM}{name:<10}{DIM:#}{value}");
        line("host", ready.host)?;
        line("token URL", ready.token_url)?;
        line("admin API", ready.admin_url)?;
        line("client id", ready.client_id)?;
        line("affiliate", ready.affiliate)?;
        if let Some(path) = &ready.ca_file {
            line("CA", path)?;
        }
        match &self.env_file {
            Some(path) => {
                let path = path.display();
                line("variables", &format!("set -a; . {path}; set +a"))?;
            }
            None => line(
                "variables",
                "--env-file FILE writes them, the secret included",
            )?,
        }
        out.flush()
    }
}

fn failure(error: &athena_emulator::Error) -> Failure {
    match error.kind() {
        EmulatorErrorKind::Setting => Failure::configuration(chain(error)),
        _ => Failure::local(chain(error)),
    }
}
