//! Record in, decision and reason out.

use std::borrow::Cow;

use super::{Decision, Policy, Rule, Test};
use crate::record::{HashLookup, Record, Status};

/// Why there is no verdict, as far as rules tell reasons apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Undecodable,
    Unsupported,
    TooLarge,
    Other,
}

impl Policy {
    /// Decides about an image, and names the rule that did.
    ///
    /// An image without a verdict is decided by a rule that speaks of such, or by `on_error`; never by
    /// `otherwise`. The same holds for an answer that lacks a label for which there is a rule: what the
    /// service did not say is not a low weight.
    pub fn decide(&self, record: &Record) -> (Decision, Cow<'_, str>) {
        let failure = failure(record);
        let fired = self.rules.iter().find(|rule| rule.fires(record, failure));
        if let Some(rule) = fired {
            return (rule.then, Cow::Borrowed(&rule.name));
        }
        let held = |why: String| (self.on_error.decision(), Cow::Owned(why));
        if failure.is_some() {
            let kind = record.error.as_ref().map_or("no verdict", |e| &e.kind);
            return held(format!("on_error: {kind}"));
        }
        let missing = self.rules.iter().find_map(|rule| match &rule.test {
            Test::Weight { label, .. } if record.weight(label).is_none() => Some(label),
            _ => None,
        });
        if let Some(label) = missing {
            return held(format!("on_error: the answer lacks {label}"));
        }
        // The answer says nothing of known content: a look-up that did not happen is not an all-clear.
        if record.scores.known_match.is_none() {
            return held("on_error: no hash was looked up".to_owned());
        }
        (self.otherwise, Cow::Borrowed("otherwise"))
    }
}

impl Rule {
    fn fires(&self, record: &Record, failure: Option<Failure>) -> bool {
        match &self.test {
            Test::KnownMatch => record.scores.known_match == Some(true),
            Test::HashOnly => failure.is_none() && hashes_alone(record),
            Test::Undecodable => failure == Some(Failure::Undecodable),
            Test::Unsupported => failure == Some(Failure::Unsupported),
            Test::TooLarge => failure == Some(Failure::TooLarge),
            Test::Error => failure == Some(Failure::Other),
            // Not "<": a weight that is not a number must not pass for a low one.
            Test::Weight { label, at_least } => record
                .weight(label)
                .is_some_and(|weight| weight.is_nan() || weight >= *at_least),
        }
    }
}

fn hashes_alone(record: &Record) -> bool {
    record.scores.known_match == Some(false)
        && (record.scores.weights.keys()).all(|label| label.starts_with("KnownCSAM-"))
}

fn failure(record: &Record) -> Option<Failure> {
    if record.status == Status::Classified && record.error.is_none() {
        return None;
    }
    // Whatever is wrong with the file: when not even its hashes were answered, nothing is known of it.
    if record.hash_lookup == Some(HashLookup::Failed) {
        return Some(Failure::Other);
    }
    Some(match record.error.as_ref().map(|error| &*error.kind) {
        Some("undecodable" | "truncated" | "corrupt") => Failure::Undecodable,
        Some("unsupported" | "unknown_format") => Failure::Unsupported,
        Some("too_large") => Failure::TooLarge,
        _ => Failure::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use athena_client::Verdict;
    use proptest::prelude::*;

    fn policy(on_error: &str) -> Policy {
        let text = format!(
            "on_error = '{on_error}'\notherwise = 'allow'\n\
             [[rules]]\nwhen = 'known_match'\nthen = 'block'\n\
             [[rules]]\nname = 'likely'\nlabel = 'PCSAM'\nat_least = 0.8\nthen = 'review'\n\
             [[rules]]\nwhen = 'undecodable'\nthen = 'block'\n"
        );
        text.parse().expect("valid")
    }

    fn answered(weights: &[(&str, f32)]) -> Record {
        let mut record = Record::with_key("a");
        record.answered(&Verdict::new("a", weights.iter().copied()));
        record
    }

    const NO_MATCH: (&str, f32) = ("KnownCSAM-MD5", 0.0);

    #[test]
    fn the_first_rule_that_fires_decides_and_is_named() {
        let policy = policy("hold");
        type Weights = &'static [(&'static str, f32)];
        let table: &[(Weights, Decision, &str)] = &[
            (
                &[("UnknownCSAM-PCSAM", 0.79), NO_MATCH],
                Decision::Allow,
                "otherwise",
            ),
            (
                &[("UnknownCSAM-PCSAM", 0.8), NO_MATCH],
                Decision::Review,
                "likely",
            ),
            (
                &[("UnknownCSAM-PCSAM", 0.9), ("KnownCSAM-SHA1", 1.0)],
                Decision::Block,
                "known_match",
            ),
            (&[("KnownCSAM-SHA1", 1.0)], Decision::Block, "known_match"),
            (
                &[("UnknownCSAM-PCSAM", f32::NAN), NO_MATCH],
                Decision::Review,
                "likely",
            ),
            (
                &[NO_MATCH],
                Decision::Review,
                "on_error: the answer lacks PCSAM",
            ),
            (
                &[("UnknownCSAM-PCSAM", 0.1)],
                Decision::Review,
                "on_error: no hash was looked up",
            ),
        ];
        for (weights, decision, why) in table {
            let record = answered(weights);
            assert_eq!(
                policy.decide(&record),
                (*decision, Cow::Borrowed(*why)),
                "{weights:?}"
            );
        }
    }

    #[test]
    fn what_could_not_be_classified_is_decided_by_its_kind_or_by_on_error() {
        let failed = |kind: &'static str| {
            let mut record = Record::with_key("a");
            record.fail(kind, "x");
            record
        };
        let decide = |policy: &Policy, record: &Record| policy.decide(record).0;
        for (on_error, decision) in [
            ("open", Decision::Allow),
            ("closed", Decision::Block),
            ("hold", Decision::Review),
        ] {
            let policy = policy(on_error);
            assert_eq!(decide(&policy, &failed("timeout")), decision);
            assert_eq!(decide(&policy, &Record::with_key("forgotten")), decision);
            assert_eq!(decide(&policy, &failed("truncated")), Decision::Block);
            let mut not_looked_up = failed("truncated");
            not_looked_up.hash_lookup = Some(HashLookup::Failed);
            assert_eq!(decide(&policy, &not_looked_up), decision);
        }
        let mut known = failed("truncated");
        known.answered(&Verdict::new("a", [("KnownCSAM-MD5", 1.0)]));
        assert_eq!(policy("open").decide(&known).1, "known_match");
    }

    #[test]
    fn a_rule_for_a_kind_of_failure_fires_for_that_kind_alone() {
        let rules = ["undecodable", "unsupported", "too_large", "error"];
        let kinds = [
            ("corrupt", "undecodable"),
            ("unknown_format", "unsupported"),
            ("unsupported", "unsupported"),
            ("too_large", "too_large"),
            ("timeout", "error"),
        ];
        for rule in rules {
            let text = format!(
                "on_error = 'hold'\notherwise = 'allow'\n\
                 [[rules]]\nwhen = 'known_match'\nthen = 'block'\n\
                 [[rules]]\nwhen = '{rule}'\nthen = 'block'\n"
            );
            let policy: Policy = text.parse().expect("valid");
            for (kind, fires) in kinds {
                let mut record = Record::with_key("a");
                record.fail(kind, "x");
                let decision = policy.decide(&record).0;
                assert_eq!(decision == Decision::Block, rule == fires, "{rule}: {kind}");
                let word = if rule == fires { "block" } else { "review" };
                assert_eq!(decision.to_string(), word);
            }
        }
    }

    #[test]
    fn hashes_alone_are_an_answer_only_where_the_policy_says_so() {
        let text = "on_error = 'closed'\notherwise = 'block'\n\
                    [[rules]]\nwhen = 'known_match'\nthen = 'block'\n\
                    [[rules]]\nwhen = 'hash_only'\nthen = 'allow'\n";
        let policy: Policy = text.parse().expect("valid");
        assert_eq!(policy.decide(&answered(&[NO_MATCH])).0, Decision::Allow);
        let scored = answered(&[("UnknownCSAM-PCSAM", 0.0), NO_MATCH]);
        assert_eq!(policy.decide(&scored).1, "otherwise");
    }

    proptest! {
        /// Whatever a record says: without a verdict it is never allowed unless somebody wrote `open`.
        #[test]
        fn nothing_unclassified_is_allowed_by_accident(
            kind in proptest::option::of("[a-z_]{1,12}"),
            pcsam in proptest::option::of(proptest::num::f32::ANY),
            lookup in 0..4_usize,
            classified in any::<bool>(),
        ) {
            let mut record = Record::with_key("a");
            if let Some(weight) = pcsam {
                record.scores.weights.insert("UnknownCSAM-PCSAM".into(), weight);
            }
            record.hash_lookup = [None, Some(HashLookup::Match), Some(HashLookup::NoMatch), Some(HashLookup::Failed)][lookup];
            record.scores.known_match = [None, Some(true), Some(false), None][lookup];
            if classified {
                record.status = Status::Classified;
            }
            if let Some(kind) = kind {
                record.fail(kind, "x");
            }
            let whole = record.status == Status::Classified && lookup == 2
                && pcsam.is_some_and(|weight| weight < 0.8);
            for on_error in ["hold", "closed"] {
                let policy = policy(on_error);
                let (decision, why) = policy.decide(&record);
                prop_assert_eq!(decision == Decision::Allow, whole, "{}", why);
            }
        }
    }
}
