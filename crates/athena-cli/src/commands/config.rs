//! `athena config show`: the effective settings and where each comes from.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::config::{ConnectArgs, Setting, Settings, Source};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, without_userinfo};
use crate::output::terminal::{BOLD, DIM, NOTICE};
use crate::output::write_json;

const EXAMPLES: &str = "\
Examples:
  athena config show
  athena config show --profile qa --json

Flags win over the environment, the environment over the file of --env-file, that over the profile in
config.toml, and that over .env in the working folder:

  default_profile = \"live\"

  [profiles.live]
  affiliate = \"acme\"
  client_id = \"…\"
  client_secret_command = [\"pass\", \"show\", \"athena/live\"]   # or client_secret_file = \"/run/secrets/athena\"

A profile may set host, affiliate, client_id, client_secret_file, client_secret_command, token_url,
audience and ca_certificate.";

/// Show the configuration
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    Show(Box<ShowArgs>),
}

/// Print the effective settings and where each comes from; secrets are never shown
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct ShowArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// One JSON object with a member for each setting
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// One setting as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(skip)]
    pub(crate) name: &'static str,
    /// What can be shown of it; none when it is not set.
    pub(crate) value: Option<String>,
    pub(crate) source: Option<String>,
}

pub(crate) fn run(args: &ConfigArgs) -> Outcome {
    let ConfigCommand::Show(args) = &args.command;
    let settings = Settings::load(&args.connect)?;
    let shown = shown(&settings);
    let mut notes = settings.notes.clone();
    notes.extend(settings.permit().err().map(|failure| failure.to_string()));
    let mut out = anstream::stdout().lock();
    let printed = if args.json {
        let settings = shown.iter().map(|s| (s.name, s)).collect();
        write_json(&ShownSettings { settings, notes }, &mut out)
    } else {
        print(&shown, &notes, &mut out)
    };
    printed.map_err(|error| Failure::output(&error))?;
    Ok(Exit::Done)
}

/// The object of `--json`.
#[derive(Serialize)]
struct ShownSettings<'a> {
    #[serde(flatten)]
    settings: BTreeMap<&'static str, &'a Shown>,
    /// What was left out or cannot stand, and why.
    notes: Vec<String>,
}

fn print(shown: &[Shown], notes: &[String], out: &mut dyn Write) -> io::Result<()> {
    for setting in shown {
        let value = setting.value.as_deref().unwrap_or("not set");
        let source = setting.source.as_deref().unwrap_or_default();
        writeln!(
            out,
            "{BOLD}{:<15}{BOLD:#}{}  {DIM}{}{DIM:#}",
            setting.name,
            one_line(value),
            one_line(source)
        )?;
    }
    for note in notes {
        writeln!(out, "{NOTICE}!{NOTICE:#} {}", one_line(note))?;
    }
    Ok(())
}

/// Every setting, secrets redacted.
pub(crate) fn shown(settings: &Settings) -> Vec<Shown> {
    let row = |name, value: Option<String>, source: Option<&Source>| Shown {
        name,
        value,
        source: source.map(Source::to_string),
    };
    let text = |name, setting: Option<&Setting>| {
        row(
            name,
            setting.map(|s| shown_address(&s.value)),
            setting.map(|s| &s.source),
        )
    };
    let secret = settings.client_secret.as_ref();
    let token = settings.token.as_ref();
    let ca = settings.ca_certificate.as_ref();
    vec![
        text("host", Some(&settings.host)),
        text("affiliate", settings.affiliate.as_ref()),
        text("client_id", settings.client_id.as_ref()),
        row(
            "client_secret",
            secret.map(|s| s.value.describe()),
            secret.map(|s| &s.source),
        ),
        row(
            "token",
            token.map(|_| "[redacted]".to_owned()),
            token.map(|s| &s.source),
        ),
        text("token_url", Some(&settings.token_url)),
        text("audience", Some(&settings.audience)),
        row(
            "ca_certificate",
            ca.map(|s| s.value.display().to_string()),
            ca.map(|s| &s.source),
        ),
    ]
}

/// An address may hold a password, though it should not; without a scheme as well.
fn shown_address(value: &str) -> String {
    match (value.contains("://"), value.rsplit_once('@')) {
        (false, Some((_, host))) => format!("[redacted]@{host}"),
        _ => without_userinfo(value),
    }
}
