//! The effective settings, each with the place it came from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::environment::{EnvFile, variable};
use super::file::{self, Selected};
use super::layers::{Layers, Setting, Source};
use super::secret::{SecretCommand, SecretOrigin};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::input::InputArgs;

/// The address of the live service.
const DEFAULT_HOST: &str = "api.athena-risk-intelligence.com:443";
/// The token endpoint of the live service.
const DEFAULT_TOKEN_URL: &str = "https://crispthinking.auth0.com/oauth/token";
/// gRPC's own variable for a file of trusted roots.
const GRPC_ROOTS: &str = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";
/// The audience of the live service.
const DEFAULT_AUDIENCE: &str = "crisp-athena-live";

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
    host: Option<String>,
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
    token_url: Option<String>,
    /// OAuth audience [env: OAUTH_AUDIENCE]
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Option<String>,
    /// CA certificate (PEM) to trust besides the system's [env: ATHENA_CA_FILE]
    #[arg(long = "ca", value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
    /// Longest wait for one answer
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Configuration file [default: ~/.config/athena/config.toml] [env: ATHENA_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File of environment variables [default: .env, when there is one]
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

impl ConnectArgs {
    /// Refuses to look for both the secret and images on standard input.
    pub(crate) fn share_standard_input(&self, input: &InputArgs) -> Outcome<()> {
        let secret = self.secret().map(|secret| secret.value);
        if matches!(secret, Some(SecretOrigin::StandardInput)) && input.takes_standard_input() {
            let cause = "standard input cannot hold both the client secret and the images";
            return Err(Failure::new(Exit::Usage, cause)
                .remedy("put the secret into a file, or use --client-secret-command"));
        }
        Ok(())
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
                value: SecretOrigin::Command(SecretCommand::Shell(line)),
                source: Source::Flag("client-secret-command"),
            })
        })
    }
}

/// Everything needed to reach the service.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) host: Setting,
    pub(crate) affiliate: Option<Setting>,
    pub(crate) client_id: Option<Setting>,
    pub(crate) client_secret: Option<Setting<SecretOrigin>>,
    pub(crate) token_url: Setting,
    pub(crate) audience: Setting,
    pub(crate) ca_certificate: Option<Setting<PathBuf>>,
}

impl Settings {
    /// Reads every layer. Nothing is fetched yet: the secret stays where it is.
    pub(crate) fn load(args: &ConnectArgs) -> Outcome<Self> {
        let env_file = EnvFile::load(args.env_file.as_deref())?;
        let layers = Layers {
            variable: &variable,
            env_file: &env_file,
            selected: &Selected::default(),
        };
        let from_environment = |name| layers.find(None, ("", name), None).map(|s| s.value);
        let config =
            (args.config.clone()).or_else(|| from_environment("ATHENA_CONFIG").map(PathBuf::from));
        let profile = (args.profile.clone()).or_else(|| from_environment("ATHENA_PROFILE"));
        let selected = file::select(config.as_deref(), profile.as_deref())?;
        Ok(Self::from_layers(
            args,
            &Layers {
                selected: &selected,
                ..layers
            },
        ))
    }

    fn from_layers(args: &ConnectArgs, layers: &Layers<'_>) -> Self {
        let profile = &layers.selected.profile;
        let or_default = |found: Option<Setting>, value: &str| {
            found.unwrap_or_else(|| Setting {
                value: value.to_owned(),
                source: Source::Default,
            })
        };
        let host = layers.find(
            args.host.as_ref(),
            ("host", "ATHENA_HOST"),
            profile.host.as_ref(),
        );
        let token_url = layers.find(
            args.token_url.as_ref(),
            ("token-url", "OAUTH_AUTH_URL"),
            profile.token_url.as_ref(),
        );
        let audience = layers.find(
            args.audience.as_ref(),
            ("audience", "OAUTH_AUDIENCE"),
            profile.audience.as_ref(),
        );
        let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        let ca_certificate = layers.find(
            text(&args.ca_certificate).as_ref(),
            ("ca", "ATHENA_CA_FILE"),
            None,
        );
        let profile_ca = || {
            Some(Setting {
                value: text(&profile.ca_certificate)?,
                source: layers.profile_source(),
            })
        };
        // Clients in other languages find their roots by this variable. Machines often set it for
        // everything, so only a `.env` file means this service by it.
        let ca_certificate = ca_certificate
            .or_else(|| layers.in_env_file(GRPC_ROOTS))
            .or_else(profile_ca)
            .or_else(|| layers.in_environment(GRPC_ROOTS));
        Self {
            host: or_default(host, DEFAULT_HOST),
            affiliate: layers.find(
                args.affiliate.as_ref(),
                ("affiliate", "ATHENA_AFFILIATE"),
                profile.affiliate.as_ref(),
            ),
            client_id: layers.find(
                args.client_id.as_ref(),
                ("client-id", "OAUTH_CLIENT_ID"),
                profile.client_id.as_ref(),
            ),
            client_secret: layers.secret(args),
            token_url: or_default(token_url, DEFAULT_TOKEN_URL),
            audience: or_default(audience, DEFAULT_AUDIENCE),
            ca_certificate: ca_certificate.map(|found| Setting {
                value: PathBuf::from(found.value),
                source: found.source,
            }),
        }
    }
}

/// Reads the CA file named in the settings.
pub(crate) fn read_ca(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Failure::configuration(format!(
            "cannot read the CA certificate {}: {}",
            path.display(),
            reason(&error)
        ))
    })
}

/// `500ms`, `30s`, `5m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected something like 30s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        connect: ConnectArgs,
    }

    fn settings(
        flags: &[&str],
        environment: &[(&str, &str)],
        dotenv: &str,
        config: &str,
    ) -> Settings {
        let folder = tempfile::tempdir().expect("temporary folder");
        let env_path = folder.path().join("env");
        let config_path = folder.path().join("config.toml");
        std::fs::write(&env_path, dotenv).expect("write");
        std::fs::write(&config_path, config).expect("write");
        let arguments = std::iter::once("athena").chain(flags.iter().copied());
        let args = Wrapper::parse_from(arguments).connect;
        let lookup = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::from_layers(
            &args,
            &Layers {
                variable: &lookup,
                env_file: &EnvFile::load(Some(&env_path)).expect("env file"),
                selected: &file::select(Some(&config_path), args.profile.as_deref())
                    .expect("config file"),
            },
        )
    }

    #[test]
    fn stronger_layers_win() {
        let config = "[profiles.default]\nhost='profile:1'\naffiliate='profile'\ntoken_url='https://profile'\nclient_id='profile'\n";
        let dotenv = "ATHENA_HOST=dotenv:1\nATHENA_AFFILIATE=dotenv\nOAUTH_CLIENT_ID=dotenv\n";
        let environment = [("ATHENA_HOST", "env:1"), ("ATHENA_AFFILIATE", "env")];
        let found = settings(&["--host", "flag:1"], &environment, dotenv, config);
        assert_eq!(found.host.value, "flag:1");
        assert_eq!(found.host.source, Source::Flag("host"));
        let affiliate = found.affiliate.expect("affiliate");
        assert_eq!(affiliate.value, "env");
        assert_eq!(affiliate.source, Source::Environment("ATHENA_AFFILIATE"));
        assert_eq!(found.client_id.expect("client id").value, "dotenv");
        assert_eq!(found.token_url.value, "https://profile");
        assert_eq!(found.audience.source, Source::Default);
    }

    #[test]
    fn a_built_in_profile_sets_the_audience() {
        let found = settings(&["--profile", "dev"], &[], "", "");
        assert_eq!(found.audience.value, "crisp-athena-dev");
        assert_eq!(found.audience.source, Source::Profile("dev".into(), None));
        assert_eq!(found.host.value, DEFAULT_HOST);
    }

    #[test]
    fn the_roots_of_an_env_file_win_over_those_of_the_machine() {
        let environment = [(GRPC_ROOTS, "/etc/ssl/all.pem")];
        let dotenv = format!("{GRPC_ROOTS}=emulator-ca.pem\n");
        let path = |found: Settings| found.ca_certificate.expect("CA").value;
        let both = path(settings(&[], &environment, &dotenv, ""));
        assert_eq!(both, Path::new("emulator-ca.pem"));
        let alone = path(settings(&[], &environment, "", ""));
        assert_eq!(alone, Path::new("/etc/ssl/all.pem"));
    }

    #[test]
    fn a_secret_file_wins_over_the_environment() {
        let environment = [("OAUTH_CLIENT_SECRET", "hunter2")];
        let found = settings(&["--client-secret-file", "s.txt"], &environment, "", "");
        let secret = found.client_secret.expect("secret");
        assert_eq!(secret.source, Source::Flag("client-secret-file"));
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
