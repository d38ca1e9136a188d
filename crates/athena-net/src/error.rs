//! Settings that cannot work.

use std::error::Error;

/// A setting that cannot work, found before anything is sent. Never shows a password.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct SettingError {
    setting: &'static str,
    problem: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SettingError {
    pub(crate) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self {
            setting,
            problem: problem.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The builder's method, or the environment variable, that has to change.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The setting, what is wrong with it, and the cause: for builders that pass it on as an error
    /// of their own.
    pub fn into_parts(self) -> (&'static str, String, Option<Box<dyn Error + Send + Sync>>) {
        (self.setting, self.problem, self.source)
    }
}
