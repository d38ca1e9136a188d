//! `--fail-over LABEL=WEIGHT`: which images count as matches.

use std::str::FromStr;

use athena_outcome::{Record, most_weight, short_label};

/// A label and the weight from which on it matches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Threshold {
    label: String,
    weight: f32,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (label, weight) = text
            .split_once('=')
            .ok_or("expected LABEL=WEIGHT, as in PCSAM=0.8")?;
        let label = label.trim();
        let weight = match weight.trim().parse() {
            Ok(number) if f32::is_finite(number) && !label.is_empty() => number,
            _ => {
                return Err(format!(
                    "`{weight}` is not a weight: use a number such as 0.8"
                ));
            }
        };
        let most = most_weight(label);
        if !(0.0..=most).contains(&weight) {
            return Err(format!(
                "no image has {label}={weight}: weights are 0 to {most}"
            ));
        }
        Ok(Self {
            label: label.to_owned(),
            weight,
        })
    }
}

impl Threshold {
    /// As it was given.
    pub(super) fn text(&self) -> String {
        format!("{}={}", self.label, self.weight)
    }

    /// The label as it was given.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Whether a label of the service is the one meant.
    pub(super) fn names(&self, label: &str) -> bool {
        label.eq_ignore_ascii_case(&self.label)
            || short_label(label).eq_ignore_ascii_case(&self.label)
    }
}

/// Whether the image reaches one of the thresholds. Known content reaches them all: its other
/// labels may be missing.
pub(super) fn matches(thresholds: &[Threshold], record: &Record) -> bool {
    if thresholds.is_empty() {
        return false;
    }
    record.scores.known_match == Some(true)
        || thresholds.iter().any(|threshold| {
            let weight = record.weight(threshold.label());
            weight.is_some_and(|weight| weight >= threshold.weight)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn labels_match_from_their_weight_on() {
        let thresholds = ["pcsam=0.8".parse().expect("valid")];
        let mut record = Record::of_path(Path::new("a.jpg"));
        assert!(!matches(&thresholds, &record));
        record
            .scores
            .weights
            .insert("UnknownCSAM-PCSAM".into(), 0.79);
        assert!(!matches(&thresholds, &record));
        record
            .scores
            .weights
            .insert("UnknownCSAM-PCSAM".into(), 0.8);
        assert!(matches(&thresholds, &record));
        assert!(!matches(&[], &record));
    }

    #[test]
    fn known_content_reaches_every_threshold() {
        let mut record = Record::of_path(Path::new("a.jpg"));
        record.scores.known_match = Some(true);
        assert!(matches(&["classA=0.9".parse().expect("valid")], &record));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "PCSAM",
            "PCSAM=",
            "PCSAM=high",
            "=0.5",
            "PCSAM=nan",
            "PCSAM=1.01",
            "PCSAM=-0.1",
            "PCSAM=inf",
            "Entropy=11",
        ] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
        for text in ["PCSAM=0", "PCSAM=1", "UnknownCSAM-Entropy=1.7"] {
            assert!(text.parse::<Threshold>().is_ok(), "{text}");
        }
    }
}
