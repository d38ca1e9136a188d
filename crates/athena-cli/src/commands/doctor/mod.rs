//! `athena doctor`: step by step, what works and what does not, with a remedy.

mod certificate;
mod checkup;
mod network;
mod service;

use std::time::Duration;

use clap::Args;

use self::checkup::{Checkup, Health};
use crate::commands::config::shown;
use crate::config::{ConnectArgs, SecretOrigin, Settings, others_can_read};
use crate::connect::{Connection, Credentials, block_on};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::write_json;
use crate::trust;

const EXAMPLES: &str = "\
Examples:
  athena doctor
  athena doctor --profile qa
  athena doctor --json > doctor.json       For a support ticket: it holds no secret

It classifies a picture that it makes itself, seven times. The exit code is that of the first
step that fails: 3 configuration, 4 refused, 5 unreachable, 6 service.";

/// Check configuration, network, TLS, token and permissions, step by step
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// One JSON object
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) fn run(args: &DoctorArgs) -> Outcome {
    let mut checkup = Checkup::new(!args.json);
    block_on(async {
        examine(&args.connect, &mut checkup).await;
        Ok(())
    })?;
    if args.json {
        write_json(&checkup, &mut anstream::stdout().lock())
            .map_err(|error| Failure::output(&error))?;
    }
    Ok(checkup.exit())
}

async fn examine(args: &ConnectArgs, checkup: &mut Checkup) {
    let prepared = if args.emulator {
        checkup.ok("configuration", "an emulator, started for this run");
        Connection::prepare(args).await
    } else {
        match configuration(args, checkup) {
            Some(settings) => Connection::from_settings(&settings, args.timeout),
            None => return,
        }
    };
    let connection = match prepared {
        Ok(connection) => connection,
        Err(failure) => return checkup.fail("settings", &failure),
    };
    let target = &connection.target;
    let network = match trust::network(connection.access.ca_certificate.as_deref()) {
        Ok(network) => network,
        Err(failure) => return checkup.fail("network", &failure),
    };
    let mut token_reached = true;
    if let Credentials::Client { token_url, .. } = &connection.access.credentials {
        token_reached = network::examine("token endpoint", token_url, &network, checkup).await;
        if token_reached {
            network::clock(token_url, &network, checkup).await;
        }
    }
    let service_reached = network::examine("service", &target.endpoint, &network, checkup).await;
    if !token_reached {
        return checkup.skip("token", "the token endpoint cannot be reached");
    }
    if !service::token(&connection, checkup).await {
        return checkup.skip("permissions", "there is no token");
    }
    if service_reached {
        service::examine(&connection, checkup).await;
    } else {
        checkup.skip("permissions", "the service cannot be reached");
    }
}

/// The settings, if they are enough to go on.
fn configuration(args: &ConnectArgs, checkup: &mut Checkup) -> Option<Settings> {
    let settings = match Settings::load(args) {
        Ok(settings) => settings,
        Err(failure) => {
            checkup.fail("configuration", &failure);
            return None;
        }
    };
    for note in &settings.notes {
        checkup.add("configuration", Health::Warning, note.clone(), None);
    }
    for setting in shown(&settings) {
        // One of them is enough.
        let needless = match setting.name {
            "ca_certificate" | "token" => true,
            "client_id" | "client_secret" => settings.finished_token().is_some(),
            _ => false,
        };
        match (setting.value, setting.source) {
            (Some(value), Some(source)) => checkup.ok(setting.name, format!("{value} ({source})")),
            _ if needless => {}
            _ => checkup.fail(
                setting.name,
                &Failure::configuration("not set").remedy(format!(
                    "set {} or a profile; `athena config show --help` shows one",
                    variable(setting.name)
                )),
            ),
        }
    }
    if let Err(failure) = settings.permit() {
        checkup.fail("trust", &failure);
    }
    let secret = settings
        .client_secret
        .as_ref()
        .map(|setting| &setting.value);
    if let Some(SecretOrigin::File(path)) = secret
        && others_can_read(path)
    {
        let detail = format!("others can read {}", path.display());
        checkup.warn("client_secret", detail, "chmod 600 it");
    }
    (checkup.exit() == Exit::Done).then_some(settings)
}

fn variable(setting: &str) -> &'static str {
    match setting {
        "affiliate" => "ATHENA_AFFILIATE",
        "client_id" => "OAUTH_CLIENT_ID",
        _ => "OAUTH_CLIENT_SECRET",
    }
}

/// A duration as a person reads it.
fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
