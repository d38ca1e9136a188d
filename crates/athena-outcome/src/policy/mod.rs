//! What becomes of an image: data, evaluated in one pure function.

mod evaluate;
mod file;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use file::PolicyError;

/// What to do with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Let it through.
    Allow,
    /// Keep it back until somebody, or a later attempt, has decided.
    Review,
    /// Refuse it.
    Block,
}

impl Decision {
    /// Its word in JSON and in policy files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Review => "review",
            Self::Block => "block",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of an image that could not be classified and that no rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It is let through unchecked. The record stays failed.
    Open,
    /// It is blocked.
    Closed,
    /// It is held for review.
    Hold,
}

impl OnError {
    /// The decision that it stands for.
    pub fn decision(self) -> Decision {
        match self {
            Self::Open => Decision::Allow,
            Self::Closed => Decision::Block,
            Self::Hold => Decision::Review,
        }
    }
}

/// What a rule asks of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// A hash of the file is on the service's list.
    KnownMatch,
    /// Only the hashes were looked up, and none is known.
    HashOnly,
    /// The file is an image that is broken.
    Undecodable,
    /// The file is not an image, or of a format that is not decoded.
    Unsupported,
    /// The file is over a limit.
    TooLarge,
    /// There is no verdict for any other reason.
    Error,
    /// A label's weight is at least so high.
    Weight {
        /// The label, with or without the service's prefix.
        label: String,
        /// The lowest weight for which the rule fires.
        at_least: f32,
    },
}

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    name: String,
    test: Test,
    then: Decision,
}

impl Rule {
    /// What the record says in `why` when this rule has decided.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it fires.
    pub fn test(&self) -> &Test {
        &self.test
    }

    /// What it decides.
    pub fn then(&self) -> Decision {
        self.then
    }
}

/// The status codes with which a server answers for each decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusCodes(BTreeMap<Decision, u16>);

impl StatusCodes {
    /// The code of a decision, where the policy names one.
    pub fn of(&self, decision: Decision) -> Option<u16> {
        self.0.get(&decision).copied()
    }
}

/// Rules, tried in order: the first that fires decides.
///
/// Made of TOML by [`str::parse`]; `docs/outcome.md` describes the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    version: String,
    digest: String,
    rules: Vec<Rule>,
    on_error: OnError,
    otherwise: Decision,
    status: StatusCodes,
}

impl Policy {
    /// What the file calls its version, or else the beginning of its digest.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the file's text, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What becomes of an image without a verdict that no rule speaks of.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// What becomes of a classified image for which no rule fires.
    pub fn otherwise(&self) -> Decision {
        self.otherwise
    }

    /// The status codes for gateways that look at nothing else.
    pub fn status_codes(&self) -> &StatusCodes {
        &self.status
    }
}
