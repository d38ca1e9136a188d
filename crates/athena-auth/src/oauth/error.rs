//! Settings that cannot work.

use std::borrow::Cow;
use std::error::Error;

/// A setting that cannot work, found before anything is sent. Never shows a secret.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct ConfigError {
    setting: &'static str,
    problem: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl From<athena_net::SettingError> for ConfigError {
    fn from(error: athena_net::SettingError) -> Self {
        let (setting, problem, source) = error.into_parts();
        Self {
            setting,
            problem: problem.into(),
            source,
        }
    }
}

impl ConfigError {
    pub(super) fn new(setting: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self {
            setting,
            problem: problem.into(),
            source: None,
        }
    }

    pub(super) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The builder method or environment variable that has to change.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}
