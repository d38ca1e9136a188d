//! Figures about a scan, gathered line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use athena_outcome::{ActionKind, Record, Status, short_label};

/// Files listed in the report: the slowest, and the first that failed.
const LISTED_SLOW: usize = 20;
const LISTED_FAILED: usize = 200;
/// Files that are listed first: the known, and those with the highest PCSAM.
const LISTED_FOREMOST: usize = 500;
/// Labels that are remembered: the service has about ten.
const MOST_LABELS: usize = 1000;

/// Counts of values between 0 and `most`, in equal steps; what lies beyond counts in the last.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) most: f32,
    pub(super) counts: Vec<u64>,
}

impl Histogram {
    fn new(most: f32, steps: usize) -> Self {
        Self {
            most,
            counts: vec![0; steps],
        }
    }

    fn add(&mut self, value: f32) {
        let last = self.counts.len() - 1;
        let step = (value / self.most * self.counts.len() as f32).max(0.0) as usize;
        self.counts[step.min(last)] += 1;
    }
}

/// A file to look at.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) known: bool,
    pub(super) matched: bool,
    pub(super) pcsam: Option<f32>,
    /// The category with the highest weight.
    pub(super) category: Option<(String, f32)>,
    /// What was done with it, in words.
    pub(super) action: Option<String>,
}

impl Listed {
    fn of(record: &Record, matched: bool) -> Self {
        let categories = record
            .scores
            .weights
            .iter()
            .filter(|(label, _)| is_category(label));
        let category = categories.max_by(|a, b| a.1.total_cmp(b.1));
        let action = record
            .action
            .as_ref()
            .map(|action| match (&action.to, &action.error) {
                (_, Some(why)) => format!("failed: {why}"),
                (Some(to), None) if action.kind == ActionKind::Move => format!("moved to {to}"),
                (Some(to), None) => format!("copied to {to}"),
                (None, None) => "program run".to_owned(),
            });
        Self {
            path: record.name().to_owned(),
            known: record.scores.known_match == Some(true),
            matched,
            pcsam: record.scores.pcsam,
            category: category.map(|(label, weight)| (short_label(label).to_owned(), *weight)),
            action,
        }
    }

    /// Known content before all else, then by PCSAM.
    fn before(&self, other: &Self) -> bool {
        let rank = |listed: &Self| (listed.known, listed.pcsam.unwrap_or(-1.0));
        rank(self) >= rank(other)
    }
}

/// What a scan has found.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) classified: u64,
    pub(super) failed: u64,
    pub(super) known: u64,
    /// Images that reached a threshold.
    pub(super) matched: u64,
    pub(super) duplicates: u64,
    /// Actions that were taken, and those that failed.
    pub(super) acted: u64,
    pub(super) failed_actions: u64,
    pub(super) bytes: u64,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) formats: BTreeMap<String, u64>,
    /// Labels that answers had.
    pub(super) labels: BTreeSet<String>,
    pub(super) pcsam: Histogram,
    pub(super) entropy: Histogram,
    /// Images finished in each second since the epoch.
    pub(super) seconds: BTreeMap<u64, u64>,
    /// Milliseconds and path, the slowest first.
    pub(super) slowest: Vec<(f64, String)>,
    /// Path and why its action failed.
    pub(super) unacted: Vec<(String, String)>,
    /// What to look at first.
    pub(super) foremost: Vec<Listed>,
    /// Images by a policy's decision.
    pub(super) decisions: BTreeMap<String, u64>,
    /// Path, kind and message.
    pub(super) failures: Vec<(String, String, String)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            classified: 0,
            failed: 0,
            known: 0,
            matched: 0,
            duplicates: 0,
            acted: 0,
            failed_actions: 0,
            unacted: Vec::new(),
            bytes: 0,
            errors: BTreeMap::new(),
            formats: BTreeMap::new(),
            labels: BTreeSet::new(),
            pcsam: Histogram::new(1.0, 50),
            entropy: Histogram::new(2.0, 50),
            seconds: BTreeMap::new(),
            slowest: Vec::new(),
            foremost: Vec::new(),
            decisions: BTreeMap::new(),
            failures: Vec::new(),
        }
    }
}

impl Tally {
    pub(super) fn images(&self) -> u64 {
        self.classified + self.failed
    }

    /// The categories that answers had: not the specials, and not the known-content labels.
    pub(super) fn categories(&self) -> impl Iterator<Item = &str> {
        self.labels
            .iter()
            .map(String::as_str)
            .filter(|label| is_category(label))
    }

    pub(super) fn add(&mut self, record: &Record, matched: bool) {
        self.matched += u64::from(matched);
        self.add_action(record);
        for label in record.scores.weights.keys() {
            if !self.labels.contains(label) && self.labels.len() < MOST_LABELS {
                self.labels.insert(label.clone());
            }
        }
        match record.status {
            Status::Classified => self.classified += 1,
            Status::Failed => self.failed += 1,
        }
        self.known += u64::from(record.scores.known_match == Some(true));
        self.duplicates += u64::from(record.duplicate_of.is_some());
        self.bytes += record.bytes.unwrap_or(0);
        if let Some(error) = &record.error {
            *self.errors.entry(error.kind.to_string()).or_default() += 1;
            if self.failures.len() < LISTED_FAILED {
                self.failures.push((
                    record.name().to_owned(),
                    error.kind.to_string(),
                    error.message.clone(),
                ));
            }
        }
        if let Some(decision) = &record.decision {
            *self.decisions.entry(decision.to_string()).or_default() += 1;
        }
        self.add_foremost(record, matched);
        if let Some(format) = &record.format {
            *self.formats.entry(format.clone()).or_default() += 1;
        }
        if let Some(pcsam) = record.scores.pcsam {
            self.pcsam.add(pcsam);
        }
        if let Some(entropy) = record.scores.entropy {
            self.entropy.add(entropy);
        }
        if let Some(second) = record.time.as_deref().and_then(second) {
            *self.seconds.entry(second).or_default() += 1;
        }
        if let Some(elapsed) = record.elapsed_ms {
            self.add_slow(elapsed, record.name());
        }
    }

    fn add_foremost(&mut self, record: &Record, matched: bool) {
        let (known, pcsam) = (record.scores.known_match == Some(true), record.scores.pcsam);
        if !known && pcsam.is_none() {
            return;
        }
        // Most images are not among the first: they cost no more than this.
        if let Some(last) = self.foremost.get(LISTED_FOREMOST - 1)
            && (last.known, last.pcsam) >= (known, pcsam)
        {
            return;
        }
        let listed = Listed::of(record, matched);
        let at = self.foremost.partition_point(|other| other.before(&listed));
        self.foremost.insert(at, listed);
        self.foremost.truncate(LISTED_FOREMOST);
    }

    /// Counts the action alone: that of an image which has been counted already.
    pub(super) fn add_action(&mut self, record: &Record) {
        if record.action.is_some() {
            let name = record.name();
            let listed = self.foremost.iter_mut().find(|listed| listed.path == name);
            if let Some(listed) = listed {
                listed.action = Listed::of(record, listed.matched).action;
            }
        }
        match record.action.as_ref().map(|action| &action.error) {
            None => {}
            Some(None) => self.acted += 1,
            Some(Some(why)) => {
                self.failed_actions += 1;
                if self.unacted.len() < LISTED_FAILED {
                    self.unacted.push((record.name().to_owned(), why.clone()));
                }
            }
        }
    }

    fn add_slow(&mut self, elapsed: f64, path: &str) {
        let at = self.slowest.partition_point(|(other, _)| *other >= elapsed);
        if at < LISTED_SLOW {
            self.slowest.insert(at, (elapsed, path.to_owned()));
            self.slowest.truncate(LISTED_SLOW);
        }
    }

    /// Images finished in each of at most `most` equal stretches of time, and a stretch's length.
    pub(super) fn throughput(&self, most: u64) -> (Duration, Vec<u64>) {
        let (Some((first, _)), Some((last, _))) = (
            self.seconds.first_key_value(),
            self.seconds.last_key_value(),
        ) else {
            return (Duration::from_secs(1), Vec::new());
        };
        let span = last - first + 1;
        let stretch = span.div_ceil(most).max(1);
        let mut counts = vec![0; span.div_ceil(stretch) as usize];
        for (second, count) in &self.seconds {
            counts[((second - first) / stretch) as usize] += count;
        }
        (Duration::from_secs(stretch), counts)
    }
}

/// Whether a label is one of the classifier's categories.
pub(super) fn is_category(label: &str) -> bool {
    label.starts_with("UnknownCSAM-") && !matches!(short_label(label), "PCSAM" | "Entropy")
}

fn second(time: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn values_fall_into_their_steps() {
        let mut histogram = Histogram::new(1.0, 10);
        for value in [0.0, 0.05, 0.95, 1.0, 7.0, -1.0] {
            histogram.add(value);
        }
        assert_eq!(histogram.counts[0], 3);
        assert_eq!(histogram.counts[9], 3);
    }

    #[test]
    fn the_known_come_first_and_then_the_highest() {
        let mut tally = Tally::default();
        for n in 0..2_000 {
            let mut record = Record::of_path(Path::new(&format!("{n}.jpg")));
            record.scores.pcsam = Some(((n * 37) % 2_000) as f32 / 2_000.0);
            record.scores.known_match = Some(n % 1_000 == 1);
            tally.add(&record, false);
        }
        assert_eq!(tally.foremost.len(), LISTED_FOREMOST);
        let known: Vec<bool> = tally.foremost.iter().map(|listed| listed.known).collect();
        assert!(known[..2].iter().all(|known| *known) && !known[2..].contains(&true));
        assert!(tally.foremost[2..].is_sorted_by(|a, b| a.pcsam >= b.pcsam));
        assert_eq!(tally.foremost[2].pcsam, Some(1_999.0 / 2_000.0));
    }

    #[test]
    fn the_slowest_are_kept_in_order() {
        let mut tally = Tally::default();
        for n in 0..100 {
            let mut record = Record::of_path(Path::new(&format!("{n}.jpg")));
            record.elapsed_ms = Some(f64::from((n * 37) % 100));
            tally.add(&record, false);
        }
        let slow: Vec<f64> = tally.slowest.iter().map(|(elapsed, _)| *elapsed).collect();
        let expected: Vec<f64> = (80..100).rev().map(f64::from).collect();
        assert_eq!(slow, expected);
    }

    #[test]
    fn throughput_covers_the_whole_time() {
        let mut tally = Tally::default();
        for second in [0, 1, 1, 599] {
            let mut record = Record::of_path(Path::new("a.jpg"));
            let time = UNIX_EPOCH + Duration::from_secs(1_000_000 + second);
            record.time = Some(humantime::format_rfc3339_millis(time).to_string());
            tally.add(&record, false);
        }
        let (stretch, counts) = tally.throughput(60);
        assert_eq!(stretch, Duration::from_secs(10));
        assert_eq!(counts.len(), 60);
        assert_eq!((counts[0], counts[59]), (3, 1));
    }
}
