//! Scripted answers: which inputs a test has an answer for, and what it is.

mod book;
mod digest;
mod files;
mod rule;
mod selector;

pub use book::RuleInfo;
pub(crate) use book::Rulebook;
pub(crate) use digest::{Digests, of_pixels};
pub(crate) use rule::Answer;
pub use rule::{AnswerError, Rule};
pub use selector::Selector;
pub(crate) use selector::{Circumstances, sent_digests};

use crate::config::Config;
use crate::error::Error;

/// All rules that the settings name, in the order of precedence.
pub(crate) fn configured(config: &Config) -> Result<Vec<Rule>, Error> {
    let mut rules = config.rules.clone();
    if let Some(path) = &config.rules_file {
        rules.extend(Rule::from_file(path)?);
    }
    if let Some(path) = &config.expected_outputs {
        rules.extend(Rule::from_expected_outputs(path)?);
    }
    if let Some(path) = &config.replay {
        rules.extend(Rule::from_recording(path)?);
    }
    Ok(rules)
}
