use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use tokio::sync::watch;

use super::record::{self, Log, RecordedInput, Recording};
use super::stats::Stats;
use crate::rules::Selector;
use crate::sync::lock;

/// How many names of a kind are told apart: callers choose methods, numbers of formats and what they call themselves.
const MAX_NAMES: usize = 100;
/// Under which the others are counted.
const OTHERS: &str = "other";
/// The longest value of a header that is kept, in characters.
const MAX_HEADER: usize = 100;
/// The longest name, in bytes: three headers fit, and any method.
const MAX_NAME: usize = 1000;

/// Collects what happens.
pub(crate) struct Observer {
    stats: Mutex<Stats>,
    log: Mutex<Log>,
    recording: Option<Arc<Recording>>,
    /// Counts up with each change of the log.
    changes: watch::Sender<u64>,
}

impl Observer {
    pub(crate) fn new(recording: Option<Arc<Recording>>) -> Self {
        Self {
            stats: Mutex::default(),
            log: Mutex::default(),
            recording,
            changes: watch::channel(0).0,
        }
    }

    /// Whether inputs go to a file.
    pub(crate) fn records(&self) -> bool {
        self.recording.is_some()
    }

    pub(crate) fn stats(&self) -> Stats {
        lock(&self.stats).clone()
    }

    /// Counts from zero again; what is open stays so.
    pub(crate) fn reset_stats(&self) {
        let mut stats = lock(&self.stats);
        *stats = Stats {
            streams_open: stats.streams_open,
            ..Stats::default()
        };
    }

    /// The last inputs that fit.
    pub(crate) fn inputs(&self, selector: &Selector) -> Vec<RecordedInput> {
        let log = lock(&self.log);
        let fit = |input: &&RecordedInput| selector.fits(&input.circumstances(), &input.digests());
        log.last().filter(fit).cloned().collect()
    }

    pub(crate) fn clear_inputs(&self) {
        lock(&self.log).clear();
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Tells of changes of the log.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn call(&self, method: &str, headers: &HeaderMap) {
        let client = describe(headers);
        let mut stats = lock(&self.stats);
        count(&mut stats.calls, method);
        count(&mut stats.clients, &client);
    }

    pub(crate) fn unauthenticated(&self) {
        lock(&self.stats).calls_unauthenticated += 1;
    }

    pub(crate) fn stream_opened(&self) {
        let mut stats = lock(&self.stats);
        stats.streams_opened += 1;
        stats.streams_open += 1;
    }

    pub(crate) fn stream_closed(&self) {
        lock(&self.stats).streams_open -= 1;
    }

    pub(crate) fn message(&self, inputs: usize) {
        let mut stats = lock(&self.stats);
        match inputs {
            0 => stats.keepalives += 1,
            _ => stats.messages += 1,
        }
    }

    /// Counts and records inputs together with their answers.
    pub(crate) fn answered(&self, inputs: Vec<RecordedInput>) {
        {
            let mut stats = lock(&self.stats);
            for input in &inputs {
                stats.inputs += 1;
                stats.input_bytes += input.bytes as u64;
                count(&mut stats.encodings, &input.encoding);
                count(&mut stats.formats, &input.format);
                stats.inputs_without_hashes += u64::from(input.hashes.is_empty());
                for hash in &input.hashes {
                    count(
                        &mut stats.hashes,
                        hash.split(':').next().unwrap_or_default(),
                    );
                }
                match &input.error {
                    None => stats.classified += 1,
                    Some(error) => count(&mut stats.errors, &record::error_name(error.code)),
                }
            }
        }
        lock(&self.log).add(inputs, self.recording.as_deref());
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn ids_reused(&self, inputs: usize) {
        lock(&self.stats).correlation_ids_reused += inputs as u64;
    }

    pub(crate) fn results_sent(&self, results: usize) {
        lock(&self.stats).results_sent += results as u64;
    }

    pub(crate) fn results_dropped(&self, results: usize) {
        lock(&self.stats).results_dropped += results as u64;
    }

    pub(crate) fn results_expired(&self, results: usize) {
        lock(&self.stats).results_expired += results as u64;
    }

    pub(crate) fn result_swallowed(&self) {
        lock(&self.stats).results_swallowed += 1;
    }

    pub(crate) fn token_request(&self, granted: bool) {
        let mut stats = lock(&self.stats);
        match granted {
            true => stats.tokens_granted += 1,
            false => stats.tokens_refused += 1,
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
        return;
    }
    let is_kept = counts.len() < MAX_NAMES && name.len() <= MAX_NAME;
    let name = if is_kept { name } else { OTHERS };
    *counts.entry(name.to_owned()).or_default() += 1;
}

fn describe(headers: &HeaderMap) -> String {
    let parts = ["x-client-language", "x-client-version", "user-agent"]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok())
        .map(|value| value.chars().take(MAX_HEADER).collect::<String>());
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_callers_choose_take_a_bounded_room() {
        let observer = Observer::new(None);
        observer.call("Classify", &HeaderMap::new());
        for number in 0..10 * MAX_NAMES {
            let mut headers = HeaderMap::new();
            headers.insert("user-agent", number.into());
            observer.call(&format!("Method{number}"), &headers);
        }
        observer.call(&"m".repeat(MAX_NAME + 1), &HeaderMap::new());
        observer.call("Classify", &HeaderMap::new());
        let stats = observer.stats();
        for counts in [&stats.calls, &stats.clients] {
            assert!(counts.len() <= MAX_NAMES + 1, "{}", counts.len());
            assert_eq!(counts.values().sum::<u64>(), 10 * MAX_NAMES as u64 + 3);
            assert!(counts[OTHERS] >= 9 * MAX_NAMES as u64);
        }
        assert_eq!(stats.calls["Classify"], 2);
        assert!(stats.calls.keys().all(|name| name.len() <= MAX_NAME));
    }
}
