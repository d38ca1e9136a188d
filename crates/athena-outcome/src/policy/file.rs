//! The policy's TOML, and what it may not say.

use std::collections::BTreeMap;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Decision, OnError, Policy, Rule, StatusCodes, Test};
use crate::most_weight;

/// Characters of the digest that stand for a version where the file names none.
const SHORT_DIGEST: usize = 12;
/// Rules are looked at for every image.
const MOST_RULES: usize = 256;

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<String>,
    on_error: OnError,
    otherwise: Decision,
    #[serde(default)]
    rules: Vec<RuleText>,
    #[serde(default)]
    status: BTreeMap<Decision, u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: Option<String>,
    when: Option<When>,
    label: Option<String>,
    at_least: Option<f32>,
    then: Decision,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    KnownMatch,
    HashOnly,
    Undecodable,
    Unsupported,
    TooLarge,
    Error,
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let file: File = toml::from_str(text).map_err(|error| {
            // The first line names what is wrong; the rest draws it.
            PolicyError(error.to_string().trim_end().to_owned())
        })?;
        let mut rules = Vec::with_capacity(file.rules.len());
        for (index, rule) in file.rules.into_iter().enumerate() {
            let problem = |problem| PolicyError(format!("rule {}: {problem}", index + 1));
            rules.push(rule.read().map_err(problem)?);
        }
        check(&rules)?;
        for (decision, code) in &file.status {
            check_status(*decision, *code)?;
        }
        let digest = HEXLOWER.encode(&Sha256::digest(text));
        Ok(Self {
            version: file
                .version
                .unwrap_or_else(|| digest[..SHORT_DIGEST].to_owned()),
            digest,
            rules,
            on_error: file.on_error,
            otherwise: file.otherwise,
            status: StatusCodes(file.status),
        })
    }
}

impl RuleText {
    fn read(self) -> Result<Rule, String> {
        let (default_name, test) = match (self.when, self.label, self.at_least) {
            (Some(when), None, None) => {
                let (name, test) = when.read();
                (name.to_owned(), test)
            }
            (None, Some(label), Some(at_least)) => {
                if !at_least.is_finite() || label.trim().is_empty() {
                    return Err(
                        "`label` must name a label, `at_least` a number such as 0.8".to_owned()
                    );
                }
                let most = most_weight(&label);
                if !(0.0..=most).contains(&at_least) {
                    return Err(format!(
                        "no image has {label} = {at_least}: weights are 0 to {most}"
                    ));
                }
                (
                    format!("{label} >= {at_least}"),
                    Test::Weight { label, at_least },
                )
            }
            _ => {
                return Err(
                    "it needs either `when`, or `label` and `at_least`, besides `then`".to_owned(),
                );
            }
        };
        Ok(Rule {
            name: self.name.unwrap_or(default_name),
            test,
            then: self.then,
        })
    }
}

impl When {
    fn read(self) -> (&'static str, Test) {
        match self {
            Self::KnownMatch => ("known_match", Test::KnownMatch),
            Self::HashOnly => ("hash_only", Test::HashOnly),
            Self::Undecodable => ("undecodable", Test::Undecodable),
            Self::Unsupported => ("unsupported", Test::Unsupported),
            Self::TooLarge => ("too_large", Test::TooLarge),
            Self::Error => ("error", Test::Error),
        }
    }
}

/// A policy that would let known content through is a mistake, whatever else it says.
fn check(rules: &[Rule]) -> Result<(), PolicyError> {
    if rules.len() > MOST_RULES {
        return Err(PolicyError(format!("more than {MOST_RULES} rules")));
    }
    let known = rules.iter().position(|rule| rule.test == Test::KnownMatch);
    let Some(known) = known else {
        return Err(PolicyError(
            "no rule says what becomes of known content: add one with `when = \"known_match\"`"
                .to_owned(),
        ));
    };
    if rules[known].then == Decision::Allow {
        return Err(PolicyError(
            "known content must not be allowed: let the rule `known_match` block or review"
                .to_owned(),
        ));
    }
    let early = rules[..known]
        .iter()
        .find(|rule| rule.then == Decision::Allow);
    match early {
        Some(rule) => Err(PolicyError(format!(
            "the rule {:?} would allow known content: put the rule `known_match` before it",
            rule.name
        ))),
        None => Ok(()),
    }
}

/// Codes must keep the decisions apart for a caller that knows success from failure and nothing else.
fn check_status(decision: Decision, code: u16) -> Result<(), PolicyError> {
    let (fits, wanted) = match decision {
        Decision::Allow => (matches!(code, 200 | 204), "200 or 204"),
        Decision::Review | Decision::Block => ((400..=499).contains(&code), "between 400 and 499"),
    };
    if fits {
        return Ok(());
    }
    Err(PolicyError(format!(
        "[status] {decision} = {code}: the code must be {wanted}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "[[rules]]\nwhen = 'known_match'\nthen = 'block'\n";

    fn error(text: &str) -> String {
        text.parse::<Policy>().expect_err("refused").to_string()
    }

    #[test]
    fn nothing_is_decided_by_default() {
        assert!(error(&format!("otherwise = 'allow'\n{KNOWN}")).contains("on_error"));
        assert!(error(&format!("on_error = 'hold'\n{KNOWN}")).contains("otherwise"));
        assert!(error("on_error = 'hold'\notherwise = 'allow'\n").contains("known_match"));
    }

    #[test]
    fn rules_are_bounded_in_number() {
        let rule = |at: usize| {
            format!("[[rules]]\nname = 'r{at}'\nlabel = 'L{at}'\nat_least = 0.5\nthen = 'block'\n")
        };
        let with = |count: usize| {
            let others: String = (1..count).map(rule).collect();
            format!("on_error = 'hold'\notherwise = 'allow'\n{KNOWN}{others}")
        };
        let most: Policy = with(MOST_RULES).parse().expect("as many as there may be");
        assert_eq!(most.rules().len(), MOST_RULES);
        assert_eq!(most.rules()[1].name(), "r1");
        assert!(error(&with(MOST_RULES + 1)).contains("more than 256 rules"));
    }

    #[test]
    fn known_content_cannot_be_allowed() {
        let base = "on_error = 'hold'\notherwise = 'allow'\n";
        let allowed = format!("{base}[[rules]]\nwhen = 'known_match'\nthen = 'allow'\n");
        assert!(error(&allowed).contains("must not be allowed"));
        let early = format!(
            "{base}[[rules]]\nname = 'ducks'\nlabel = 'Ducks'\nat_least = 0.9\nthen = 'allow'\n{KNOWN}"
        );
        assert!(error(&early).contains("\"ducks\""));
    }

    #[test]
    fn mistakes_name_their_rule() {
        let base = format!("on_error = 'hold'\notherwise = 'allow'\n{KNOWN}");
        for wrong in [
            "label = 'PCSAM'",
            "at_least = 0.8",
            "when = 'error'\nlabel = 'PCSAM'",
            "label = 'PCSAM'\nat_least = nan",
            "label = ' '\nat_least = 0.5",
            "label = 'PCSAM'\nat_least = 80",
            "label = 'UnknownCSAM-PCSAM'\nat_least = -0.1",
            "label = 'Entropy'\nat_least = 11",
        ] {
            let text = format!("{base}[[rules]]\n{wrong}\nthen = 'block'\n");
            assert!(error(&text).starts_with("rule 2:"), "{wrong}");
        }
        let entropy = "label = 'UnknownCSAM-Entropy'\nat_least = 1.5\nthen = 'review'\n";
        let entropy: Result<Policy, _> = format!("{base}[[rules]]\n{entropy}").parse();
        assert!(entropy.is_ok(), "{entropy:?}");
        assert!(error(&format!("{base}[[rules]]\nwhen='error'\nthen='drop'\n")).contains("drop"));
        assert!(error(&format!("on_eror = 'open'\n{base}")).contains("on_eror"));
    }

    #[test]
    fn status_codes_keep_decisions_apart() {
        let base = format!("on_error = 'hold'\notherwise = 'allow'\n{KNOWN}");
        let policy: Policy = format!("{base}[status]\nblock = 451\nreview = 406\n")
            .parse()
            .expect("valid");
        assert_eq!(policy.status_codes().of(Decision::Block), Some(451));
        assert_eq!(policy.status_codes().of(Decision::Allow), None);
        for wrong in ["block = 200", "review = 202", "allow = 451", "block = 503"] {
            assert!(error(&format!("{base}[status]\n{wrong}\n")).contains("[status]"));
        }
    }

    #[test]
    fn a_version_is_the_files_or_its_digest() {
        let base = format!("on_error = 'hold'\notherwise = 'allow'\n{KNOWN}");
        let named: Policy = format!("version = '7'\n{base}").parse().expect("valid");
        assert_eq!(named.version(), "7");
        let unnamed: Policy = base.parse().expect("valid");
        assert_eq!(unnamed.version(), &unnamed.digest()[..12]);
    }
}
