//! The effective settings, each with the place it came from.

use std::path::{Path, PathBuf};

use athena_client::environment::{self, DEFAULT_AUDIENCE, DEFAULT_TOKEN_URL};

use super::args::ConnectArgs;
use super::dotenv::Problem;
use super::environment::{EnvFile, variable};
use super::file::{self, Selected};
use super::layers::Layers;
use super::secret::{Secret, SecretOrigin};
use super::setting::{Setting, Source, Trust};
use super::working_folder::{self, WorkingFile};
use crate::bounded;
use crate::failure::{Failure, Outcome, reason};

/// The address of the live service.
const DEFAULT_HOST: &str = "api.athena-risk-intelligence.com:443";
/// The variable for a CA besides the system's.
const CA_FILE: &str = athena_client::environment::CA_FILE;
/// gRPC's own variable for a file of trusted roots.
const GRPC_ROOTS: &str = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

/// Larger than any system's list of roots.
const MAX_CA_BYTES: u64 = 4 * 1024 * 1024;

/// Everything needed to reach the service.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) host: Setting,
    pub(crate) affiliate: Option<Setting>,
    pub(crate) client_id: Option<Setting>,
    pub(crate) client_secret: Option<Setting<SecretOrigin>>,
    /// A token from elsewhere; client credentials go before it.
    pub(crate) token: Option<Setting<Secret>>,
    pub(crate) token_url: Setting,
    pub(crate) audience: Setting,
    pub(crate) ca_certificate: Option<Setting<PathBuf>>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

impl Settings {
    /// Reads every layer. Nothing is fetched yet: the secret stays where it is.
    pub(crate) fn load(args: &ConnectArgs) -> Outcome<Self> {
        let env_file = match &args.env_file {
            Some(path) => EnvFile::load(path)?,
            None => EnvFile::default(),
        };
        let layers = Layers {
            variable: &variable,
            env_file: &env_file,
            selected: &Selected::default(),
            working_file: None,
        };
        let from_environment = |name| layers.find(None, ("", name), None).map(|s| s.value);
        let config =
            (args.config.clone()).or_else(|| from_environment("ATHENA_CONFIG").map(PathBuf::from));
        let profile = (args.profile.clone()).or_else(|| from_environment("ATHENA_PROFILE"));
        let selected = file::select(config.as_deref(), profile.as_deref())?;
        let layers = Layers {
            selected: &selected,
            ..layers
        };
        layers.one_secret_each()?;
        let mut settings = Self::from_layers(args, &layers);
        if args.env_file.is_none() {
            let working_file = WorkingFile::look(args.scanned.as_ref());
            settings = settings.completed(args, layers, &working_file);
        }
        let problems = env_file.problems();
        settings
            .notes
            .extend(unreadable_lines(env_file.path(), problems));
        Ok(settings)
    }

    /// With the `.env` of the working folder, which counts as a whole, and only where no other place
    /// has a secret: it never steers where one from elsewhere goes, and never takes its place.
    fn completed(self, args: &ConnectArgs, layers: Layers<'_>, file: &WorkingFile) -> Self {
        let held_back = match (self.credential(), file.refused()) {
            (_, Some(why)) => Some(why.to_owned()),
            (Some((what, source)), None) => Some(format!("{what} comes from {source}")),
            (None, None) => None,
        };
        let path = working_folder::PATH;
        let Some(why) = held_back else {
            let working_file = Some(file);
            let mut settings = Self::from_layers(
                args,
                &Layers {
                    working_file,
                    ..layers
                },
            );
            let left_out = file.forbidden().chain(settings.drop_foreign_ca());
            settings.notes.extend(
                left_out
                    .map(|name| format!("{path}: {name} is ignored; --env-file {path} takes it")),
            );
            let problems = file.problems();
            settings
                .notes
                .extend(unreadable_lines(Path::new(path), problems));
            return settings;
        };
        let mut settings = self;
        let differs = |name: &&str| {
            (file.value(name)).is_some_and(|value| settings.variable(name) != Some(value))
        };
        let names = (working_folder::MAY_SET.into_iter())
            .chain(working_folder::MAY_SET_FOR_ITS_OWN)
            .filter(differs)
            .chain(file.forbidden());
        let lost: Vec<&str> = names.collect();
        // Somebody else's file for something else deserves no words.
        if !lost.is_empty() || file.is_opaque() {
            let names = match lost.is_empty() {
                true => String::new(),
                false => format!(" ({})", lost.join(", ")),
            };
            let note = format!("{path} is ignored{names}: {why}; --env-file {path} takes it");
            settings.notes.push(note);
        }
        settings
    }

    /// The `.env` of the working folder says whom to trust for its own host and endpoint only.
    fn drop_foreign_ca(&mut self) -> Option<&'static str> {
        let in_folder = |source: &Source| source.trust() == Trust::WorkingFolder;
        if in_folder(&self.host.source) && in_folder(&self.token_url.source) {
            return None;
        }
        let ca = self.ca_certificate.take_if(|ca| in_folder(&ca.source))?;
        match ca.source {
            Source::WorkingFolder(name) => Some(name),
            _ => None,
        }
    }

    /// The value that a variable would have to have to change nothing.
    fn variable(&self, name: &str) -> Option<&str> {
        match name {
            environment::HOST => Some(&self.host.value),
            environment::TOKEN_URL => Some(&self.token_url.value),
            environment::AUDIENCE => Some(&self.audience.value),
            environment::AFFILIATE => self.affiliate.as_ref().map(|s| s.value.as_str()),
            environment::CLIENT_ID => self.client_id.as_ref().map(|s| s.value.as_str()),
            environment::CLIENT_SECRET => match self.client_secret.as_ref().map(|s| &s.value) {
                Some(SecretOrigin::Value(secret)) => Some(secret.expose()),
                _ => None,
            },
            CA_FILE | GRPC_ROOTS => self.ca_certificate.as_ref()?.value.to_str(),
            _ => None,
        }
    }

    /// Refuses to send the secret where a weaker level points than the one that it comes from.
    pub(crate) fn permit(&self) -> Outcome<()> {
        let Some((what, place)) = self.credential() else {
            return Ok(());
        };
        let trusted = place.trust();
        let text = |setting: &Setting, default: &str| {
            (setting.value != default).then(|| setting.source.clone())
        };
        let mut steering = vec![
            (
                "host",
                "--host or ATHENA_HOST",
                text(&self.host, DEFAULT_HOST),
            ),
            (
                "ca_certificate",
                "--ca or ATHENA_CA_FILE",
                self.ca_certificate.as_ref().map(|ca| ca.source.clone()),
            ),
        ];
        if self.client_secret.is_some() {
            steering.extend([
                (
                    "token_url",
                    "--token-url or OAUTH_AUTH_URL",
                    text(&self.token_url, DEFAULT_TOKEN_URL),
                ),
                (
                    "audience",
                    "--audience or OAUTH_AUDIENCE",
                    text(&self.audience, DEFAULT_AUDIENCE),
                ),
            ]);
        }
        let weaker = steering.into_iter().find_map(|(name, how, source)| {
            let source = source.filter(|source| source.trust() < trusted)?;
            Some((name, how, source))
        });
        let Some((name, how, source)) = weaker else {
            return Ok(());
        };
        let cause = format!("{what} comes from {place}, so {name} may not come from {source}");
        Err(Failure::configuration(cause).remedy(format!(
            "set it with {how}, or keep the secret with the profile: client_secret_file or client_secret_command"
        )))
    }

    /// The token from elsewhere, where it is what will be shown.
    pub(crate) fn finished_token(&self) -> Option<&Setting<Secret>> {
        let token = self.token.as_ref();
        token.filter(|_| self.client_secret.is_none())
    }

    /// What is sent to show who we are, and where it comes from.
    fn credential(&self) -> Option<(&'static str, &Source)> {
        let secret = self.client_secret.as_ref();
        (secret.map(|secret| ("the client secret", &secret.source)))
            .or_else(|| Some(("the token", &self.token.as_ref()?.source)))
    }

    fn from_layers(args: &ConnectArgs, layers: &Layers<'_>) -> Self {
        let profile = &layers.selected.profile;
        let or_default = |found: Option<Setting>, value: &str| {
            found.unwrap_or_else(|| Setting {
                value: value.to_owned(),
                source: Source::Default,
            })
        };
        let find = |flag: &Option<String>, names, profile: &Option<String>| {
            layers.find(flag.as_ref(), names, layers.in_profile(profile.clone()))
        };
        let host = find(&args.host, ("host", environment::HOST), &profile.host);
        let token_url = find(
            &args.token_url,
            ("token-url", environment::TOKEN_URL),
            &profile.token_url,
        );
        let in_profile = layers.in_profile(profile.audience.clone());
        let audience = layers.find(
            args.audience.as_ref(),
            ("audience", environment::AUDIENCE),
            in_profile.or_else(|| layers.selected.built_in_audience.clone()),
        );
        let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        // Clients in other languages find their roots by this variable. Machines often set it for
        // everything, so only a file of variables means this service by it.
        let ca_certificate = (layers.find(
            text(&args.ca_certificate).as_ref(),
            ("ca", CA_FILE),
            (layers.in_env_file(GRPC_ROOTS))
                .or_else(|| layers.in_profile(text(&profile.ca_certificate))),
        ))
        .or_else(|| layers.in_working_file(GRPC_ROOTS))
        .or_else(|| layers.in_environment(GRPC_ROOTS));
        Self {
            host: or_default(host, DEFAULT_HOST),
            affiliate: find(
                &args.affiliate,
                ("affiliate", environment::AFFILIATE),
                &profile.affiliate,
            ),
            client_id: find(
                &args.client_id,
                ("client-id", environment::CLIENT_ID),
                &profile.client_id,
            ),
            client_secret: layers.secret(args.secret()),
            token: layers.token(),
            token_url: or_default(token_url, DEFAULT_TOKEN_URL),
            audience: or_default(audience, DEFAULT_AUDIENCE),
            ca_certificate: ca_certificate.map(|found| Setting {
                value: PathBuf::from(found.value),
                source: found.source,
            }),
            notes: Vec::new(),
        }
    }
}

/// The first lines that could not be read.
fn unreadable_lines(path: &Path, problems: &[Problem]) -> impl Iterator<Item = String> {
    const SHOWN: usize = 5;
    let more = problems.len().saturating_sub(SHOWN);
    let first = problems.iter().take(SHOWN);
    (first.map(move |problem| format!("{}, {problem}", path.display())))
        .chain((more > 0).then(|| format!("{}: {more} more lines like these", path.display())))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Reads the CA file named in the settings.
pub(crate) fn read_ca(path: &Path) -> Outcome<Vec<u8>> {
    let read = std::fs::File::open(path).and_then(|file| bounded::read(file, MAX_CA_BYTES));
    read.map(|bytes| bytes.to_vec()).map_err(|error| {
        Failure::configuration(format!(
            "cannot read the CA certificate {}: {}",
            path.display(),
            reason(&error)
        ))
    })
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
                env_file: &EnvFile::load(&env_path).expect("env file"),
                selected: &file::select(Some(&config_path), args.profile.as_deref())
                    .expect("config file"),
                working_file: None,
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
        assert_eq!(
            found.audience.source,
            Source::BuiltIn("dev".into(), Trust::Command)
        );
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
