//! Settings that cannot work.

use std::error::Error;

/// A setting of a builder that cannot work, found before anything is sent. Never shows a secret.
///
/// All builders of the crates above end in it.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BuildError {
    setting: &'static str,
    problem: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BuildError {
    /// The setting, by its builder's method or environment variable, and what is wrong with it.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self {
            setting,
            problem: problem.into(),
            source: None,
        }
    }

    /// Adds the cause, to be found by [`Error::source`].
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The builder's method, or the environment variable, that has to change.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}
