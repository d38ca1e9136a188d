//! The places a setting can come from.

use std::fmt;
use std::path::PathBuf;

use super::environment::EnvFile;
use super::file::Selected;
use super::secret::{Secret, SecretOrigin};
use super::settings::ConnectArgs;

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag(&'static str),
    Environment(&'static str),
    EnvFile(PathBuf, &'static str),
    Profile(String, Option<PathBuf>),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::EnvFile(path, name) => write!(f, "{} {name}", path.display()),
            Self::Profile(name, Some(path)) => write!(f, "{} [{name}]", path.display()),
            Self::Profile(name, None) => write!(f, "built-in profile {name}"),
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
pub(super) struct Layers<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) env_file: &'a EnvFile,
    pub(super) selected: &'a Selected,
}

impl Layers<'_> {
    pub(super) fn find(
        &self,
        flag: Option<&String>,
        (flag_name, variable_name): (&'static str, &'static str),
        profile: Option<&String>,
    ) -> Option<Setting> {
        let found = |value: String, source| Some(Setting { value, source });
        if let Some(value) = flag {
            return found(value.clone(), Source::Flag(flag_name));
        }
        self.in_environment(variable_name)
            .or_else(|| self.in_env_file(variable_name))
            .or_else(|| profile.and_then(|value| found(value.clone(), self.profile_source())))
    }

    pub(super) fn in_environment(&self, name: &'static str) -> Option<Setting> {
        let value = (self.variable)(name)?;
        let source = Source::Environment(name);
        Some(Setting { value, source })
    }

    pub(super) fn in_env_file(&self, name: &'static str) -> Option<Setting> {
        let value = self
            .env_file
            .value(name)
            .filter(|value| !value.is_empty())?;
        Some(Setting {
            value: value.to_owned(),
            source: Source::EnvFile(self.env_file.path().to_owned(), name),
        })
    }

    pub(super) fn secret(&self, args: &ConnectArgs) -> Option<Setting<SecretOrigin>> {
        let found = |value, source| Some(Setting { value, source });
        if let Some(setting) = args.secret() {
            return Some(setting);
        }
        if let Some(text) = self.find(None, ("", "OAUTH_CLIENT_SECRET"), None) {
            return found(SecretOrigin::Value(Secret::new(text.value)), text.source);
        }
        let origin = self.selected.profile.secret()?;
        found(origin, self.profile_source())
    }

    pub(super) fn profile_source(&self) -> Source {
        let name = self.selected.name.clone().unwrap_or_default();
        Source::Profile(name, self.selected.path.clone())
    }
}
