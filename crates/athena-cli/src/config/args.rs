//! The flags of every command that reaches the service.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::secret::{SecretCommand, SecretOrigin};
use super::setting::{Setting, Source};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::input::InputArgs;

/// How to reach the service: shared by every command that does.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArgs {
    /// Use a local emulator started for this run: no account, no network
    #[arg(long, conflicts_with_all = ["host", "token_url"])]
    pub(crate) emulator: bool,
    /// Profile of the configuration file: live, dev, qa or one of your own
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Address of the service [env: ATHENA_HOST]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) host: Option<String>,
    /// Affiliate the images belong to [env: ATHENA_AFFILIATE]
    #[arg(long, value_name = "ID")]
    pub(crate) affiliate: Option<String>,
    /// OAuth client id [env: OAUTH_CLIENT_ID]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// File with the client secret, `-` for standard input; or set OAUTH_CLIENT_SECRET
    #[arg(long, value_name = "FILE", conflicts_with = "client_secret_command")]
    client_secret_file: Option<PathBuf>,
    /// Shell command that prints the client secret
    #[arg(long, value_name = "COMMAND")]
    client_secret_command: Option<String>,
    /// OAuth token endpoint [env: OAUTH_AUTH_URL]
    #[arg(long, value_name = "URL")]
    pub(super) token_url: Option<String>,
    /// OAuth audience [env: OAUTH_AUDIENCE]
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Option<String>,
    /// CA certificate (PEM) to trust besides the system's [env: ATHENA_CA_FILE]
    #[arg(long = "ca", value_name = "FILE")]
    pub(super) ca_certificate: Option<PathBuf>,
    /// Longest wait for one answer
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Configuration file [default: ~/.config/athena/config.toml] [env: ATHENA_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// File of environment variables [default: .env, if it is yours and no secret is elsewhere]
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
    /// What the command works on: settings that lie in there are not the user's.
    #[arg(skip)]
    pub(super) scanned: Option<InputArgs>,
}

impl ConnectArgs {
    /// For a command that works on this input: it is hostile, and may be on standard input, which
    /// cannot hold the secret as well.
    pub(crate) fn working_on(&self, input: &InputArgs) -> Outcome<Self> {
        let secret = self.secret().map(|secret| secret.value);
        if matches!(secret, Some(SecretOrigin::Stdin)) && input.takes_standard_input() {
            let cause = "standard input cannot hold both the client secret and the images";
            return Err(Failure::new(Exit::Usage, cause)
                .remedy("put the secret into a file, or use --client-secret-command"));
        }
        Ok(Self {
            scanned: Some(input.clone()),
            ..self.clone()
        })
    }

    /// Where the flags say that the secret is.
    pub(crate) fn secret(&self) -> Option<Setting<SecretOrigin>> {
        let file = self.client_secret_file.clone().map(|path| Setting {
            value: SecretOrigin::from_path(path),
            source: Source::Flag("client-secret-file"),
        });
        file.or_else(|| {
            let line = self.client_secret_command.clone()?;
            Some(Setting {
                value: SecretOrigin::Command {
                    command: SecretCommand::Shell(line),
                    folder: None,
                },
                source: Source::Flag("client-secret-command"),
            })
        })
    }
}

/// `500ms`, `30s`, `5m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected something like 30s"))
}
