use std::collections::BTreeMap;
use std::time::Duration;

use athena_proto::ErrorCode;
use serde::{Deserialize, Serialize};

use super::Selector;
use crate::config::FOR_EVER;
use crate::duration;
use crate::error::Error;
use crate::faults::error_code;

/// What a test wants answered, and to which inputs.
///
/// ```
/// use athena_emulator::{Rule, Selector};
///
/// let blocked = Rule::when(Selector::any().correlation_id("upload-*"))
///     .weight("UnknownCSAM-PCSAM", 0.97)
///     .next(1);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    pub(super) when: Selector,
    /// How many inputs it answers before it is spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<u64>,
    pub(super) answer: Answer,
}

/// What is said of an input. What is left out is as without the rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Answer {
    /// Exactly these labels, beside those of the hashes that are not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weights: Option<BTreeMap<String, f32>>,
    /// What is answered for each hash that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<bool>,
    /// In place of the weights, or beside those that are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<AnswerError>,
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Duration>,
    /// No answer at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) silent: bool,
}

/// The error that an input is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AnswerError {
    /// The code, by its name in the contract without the prefix: `model_error`.
    #[serde(with = "error_code")]
    pub code: ErrorCode,
    /// The message.
    #[serde(default)]
    pub message: String,
    /// The details; mostly empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl Rule {
    /// A rule for these inputs, which are answered as usual until it says otherwise.
    pub fn when(selector: Selector) -> Self {
        Self {
            when: selector,
            ..Self::default()
        }
    }

    /// Names the rule, for its count and for the record of an input.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The rule answers so many inputs, then it is spent.
    pub fn next(mut self, count: u64) -> Self {
        self.next = Some(count);
        self
    }

    /// Answers with this label, and with none but those that are given so, beside those of the hashes
    /// that are sent. Any label may be named.
    pub fn weight(mut self, label: impl Into<String>, weight: f32) -> Self {
        let weights = self.answer.weights.get_or_insert_default();
        weights.insert(label.into(), weight);
        self
    }

    /// Whether the hashes that are sent are known content.
    pub fn known(mut self, known: bool) -> Self {
        self.answer.known = Some(known);
        self
    }

    /// Answers with an error, beside the weights that are given, if any are.
    pub fn error(mut self, code: ErrorCode, message: impl Into<String>) -> Self {
        self.answer.error = Some(AnswerError {
            code,
            message: message.into(),
            details: String::new(),
        });
        self
    }

    /// Answers so much later.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.answer.delay = Some(delay);
        self
    }

    /// Never answers.
    pub fn silent(mut self) -> Self {
        self.answer.silent = true;
        self
    }

    /// The name, or the rule's place from 1.
    pub(super) fn label(&self, place: usize) -> String {
        self.name.clone().unwrap_or_else(|| (place + 1).to_string())
    }

    /// Folds case and refuses what could never strike or be answered.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        self.when.check()?;
        if self.next == Some(0) {
            return Err(Error::setting("next", "0 answers no input: count from 1"));
        }
        let weights = self.answer.weights.iter().flatten();
        for (label, weight) in weights {
            if label.is_empty() || !weight.is_finite() {
                return Err(Error::setting(
                    "weights",
                    format!("{label:?} = {weight}: a label needs a name and a finite weight"),
                ));
            }
        }
        let answer = &self.answer;
        if answer.silent && (answer.weights.is_some() || answer.error.is_some()) {
            return Err(Error::setting("silent", "it leaves no room for an answer"));
        }
        self.answer.delay = self.answer.delay.map(|delay| delay.min(FOR_EVER));
        Ok(())
    }
}
