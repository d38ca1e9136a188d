//! The places a setting can come from, and who stands behind each.

use std::fmt;
use std::path::PathBuf;

use athena_client::environment;

use super::environment::EnvFile;
use super::file::Selected;
use super::secret::{Secret, SecretOrigin};
use super::settings::ConnectArgs;
use super::working_folder::{self, WorkingFile};
use crate::failure::{Failure, Outcome};

/// Who stands behind a value, the weakest first. A secret, and the token that it is exchanged for,
/// goes only where the same level or a stronger one points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// Whoever packed the folder that the user is in.
    WorkingFolder,
    /// The user, at some earlier time: the configuration file.
    OwnFile,
    /// Whoever starts the command: flags, environment, the file of `--env-file`; and what is built in.
    Command,
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(&'static str),
    Environment(&'static str),
    /// The file that `--env-file` names.
    EnvFile(PathBuf, &'static str),
    /// A profile and its file.
    Profile(String, PathBuf),
    /// A built-in profile, and who chose it.
    BuiltIn(String, Trust),
    /// `.env` of the working folder.
    WorkingFolder(&'static str),
    Default,
}

impl Source {
    pub(crate) fn trust(&self) -> Trust {
        match self {
            Self::Flag(_) | Self::Environment(_) | Self::EnvFile(..) | Self::Default => {
                Trust::Command
            }
            Self::Profile(..) => Trust::OwnFile,
            Self::BuiltIn(_, chosen_by) => *chosen_by,
            Self::WorkingFolder(_) => Trust::WorkingFolder,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvFile(path, name) => write!(f, "{} {name}", path.display()),
            Self::Profile(name, path) => write!(f, "{} [{name}]", path.display()),
            Self::BuiltIn(name, _) => write!(f, "built-in profile {name}"),
            Self::WorkingFolder(name) => write!(f, "{} {name}", working_folder::PATH),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it was found.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T = String> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

/// The places a value can come from, strongest first.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) env_file: &'a EnvFile,
    pub(super) selected: &'a Selected,
    /// The `.env` of the working folder, where it counts.
    pub(super) working_file: Option<&'a WorkingFile>,
}

impl Layers<'_> {
    pub(super) fn find(
        &self,
        flag: Option<&String>,
        (flag_name, variable_name): (&'static str, &'static str),
        profile: Option<Setting>,
    ) -> Option<Setting> {
        let flag = flag.map(|value| Setting {
            value: value.clone(),
            source: Source::Flag(flag_name),
        });
        flag.or_else(|| self.in_environment(variable_name))
            .or_else(|| self.in_env_file(variable_name))
            .or(profile)
            .or_else(|| self.in_working_file(variable_name))
    }

    /// What the profile says.
    pub(super) fn in_profile<T>(&self, value: Option<T>) -> Option<Setting<T>> {
        let (name, path) = self.selected.stored.clone()?;
        Some(Setting {
            value: value?,
            source: Source::Profile(name, path),
        })
    }

    pub(super) fn in_environment(&self, name: &'static str) -> Option<Setting> {
        Some(Setting {
            value: (self.variable)(name)?,
            source: Source::Environment(name),
        })
    }

    pub(super) fn in_env_file(&self, name: &'static str) -> Option<Setting> {
        Some(Setting {
            value: self.env_file.value(name)?.to_owned(),
            source: Source::EnvFile(self.env_file.path().to_owned(), name),
        })
    }

    pub(super) fn in_working_file(&self, name: &'static str) -> Option<Setting> {
        Some(Setting {
            value: self.working_file?.value(name)?.to_owned(),
            source: Source::WorkingFolder(name),
        })
    }

    pub(super) fn secret(&self, args: &ConnectArgs) -> Option<Setting<SecretOrigin>> {
        let text = |found: Setting| Setting {
            value: SecretOrigin::Value(Secret::new(found.value)),
            source: found.source,
        };
        let file = |found: Setting| Setting {
            value: SecretOrigin::File(found.value.into()),
            source: found.source,
        };
        args.secret()
            .or_else(|| self.in_environment(environment::CLIENT_SECRET).map(text))
            .or_else(|| (self.in_environment(environment::CLIENT_SECRET_FILE)).map(file))
            .or_else(|| self.in_env_file(environment::CLIENT_SECRET).map(text))
            .or_else(|| (self.in_env_file(environment::CLIENT_SECRET_FILE)).map(file))
            .or_else(|| self.in_profile(self.selected.profile.secret.clone()))
            .or_else(|| self.in_working_file(environment::CLIENT_SECRET).map(text))
    }

    /// Refuses a place that has two secrets, as flags and profiles do.
    pub(super) fn one_secret_each(&self) -> Outcome<()> {
        let (secret, file) = (environment::CLIENT_SECRET, environment::CLIENT_SECRET_FILE);
        let both = [
            (self.in_environment(secret)).zip(self.in_environment(file)),
            self.in_env_file(secret).zip(self.in_env_file(file)),
        ];
        match both.into_iter().flatten().next() {
            Some((secret, file)) => {
                let cause = format!("{} is set, and so is {}", secret.source, file.source);
                Err(Failure::configuration(cause).remedy("keep one of them"))
            }
            None => Ok(()),
        }
    }

    /// A finished token. It stands in no file of strange origin.
    pub(super) fn token(&self) -> Option<Setting<Secret>> {
        let found = (self.in_environment(environment::TOKEN))
            .or_else(|| self.in_env_file(environment::TOKEN))?;
        Some(Setting {
            value: Secret::new(found.value),
            source: found.source,
        })
    }
}
