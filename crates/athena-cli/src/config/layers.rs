//! The places a setting can come from.

use athena_client::environment;

use super::environment::EnvFile;
use super::file::Selected;
use super::secret::{Secret, SecretOrigin};
use super::setting::{Setting, Source};
use super::working_folder::WorkingFile;
use crate::failure::{Failure, Outcome};

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

    pub(super) fn secret(
        &self,
        flag: Option<Setting<SecretOrigin>>,
    ) -> Option<Setting<SecretOrigin>> {
        let text = |found: Setting| Setting {
            value: SecretOrigin::Value(Secret::new(found.value)),
            source: found.source,
        };
        let file = |found: Setting| Setting {
            value: SecretOrigin::File(found.value.into()),
            source: found.source,
        };
        flag.or_else(|| self.in_environment(environment::CLIENT_SECRET).map(text))
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
