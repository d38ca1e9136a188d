//! `--summary`: how a run went, as one JSON object for schedulers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::SystemTime;

use athena_outcome::PathText;
use serde::Serialize;

use super::settings::Settings;
use super::summary::Summary;
use super::tally::Tally;
use crate::failure::{Failure, Outcome, reason};

/// Fields are only ever added within a version.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Run<'a> {
    schema: u32,
    version: &'static str,
    exit_code: u8,
    /// Why it stopped before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    started: String,
    ended: String,
    seconds: f64,
    output: PathText,
    settings: &'a Settings,
    fail_over: Vec<String>,
    /// What this run has added to the output.
    run: Counts<'a>,
    /// The output with what earlier runs have written.
    whole: Counts<'a>,
    unfinished: u64,
    /// Finished by an earlier run, or named twice.
    finished_earlier: u64,
    /// Files that are not images.
    skipped: u64,
    /// Left out for their size or age.
    filtered: u64,
    /// Looked like images, and are none that are read: links, FIFOs, sockets and devices.
    left_out: u64,
    images_per_second: f64,
    bytes_per_second: f64,
}

#[derive(Serialize)]
struct Counts<'a> {
    images: u64,
    classified: u64,
    failed: u64,
    known: u64,
    matched: u64,
    duplicates: u64,
    bytes: u64,
    errors: &'a BTreeMap<String, u64>,
    formats: &'a BTreeMap<String, u64>,
    decisions: &'a BTreeMap<String, u64>,
    actions_taken: u64,
    actions_failed: u64,
}

impl<'a> From<&'a Tally> for Counts<'a> {
    fn from(tally: &'a Tally) -> Self {
        Self {
            images: tally.images(),
            classified: tally.classified,
            failed: tally.failed,
            known: tally.known,
            matched: tally.matched,
            duplicates: tally.duplicates,
            bytes: tally.bytes,
            errors: &tally.errors,
            formats: &tally.formats,
            decisions: &tally.decisions,
            actions_taken: tally.acted,
            actions_failed: tally.failed_actions,
        }
    }
}

/// What the file says besides the figures.
pub(super) struct About<'a> {
    pub(super) output: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) fail_over: Vec<String>,
    pub(super) started: SystemTime,
}

/// Writes the file in one step: whoever reads it finds all of it.
pub(super) fn write(
    path: &Path,
    about: About<'_>,
    summary: &Summary<'_>,
    outcome: &Outcome,
) -> Outcome<()> {
    let time = |time| humantime::format_rfc3339_millis(time).to_string();
    let exit = match outcome {
        Ok(exit) => *exit,
        Err(failure) => failure.exit(),
    };
    let (run, seconds) = (&summary.written.run, summary.seconds.max(0.001));
    let run = Run {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        exit_code: exit as u8,
        error: outcome.as_ref().err().map(ToString::to_string),
        started: time(about.started),
        ended: time(SystemTime::now()),
        seconds: summary.seconds,
        output: PathText::from(about.output),
        settings: about.settings,
        fail_over: about.fail_over,
        run: run.into(),
        whole: (&summary.written.whole).into(),
        unfinished: summary.unfinished(),
        finished_earlier: summary.earlier(),
        skipped: summary.skipped,
        filtered: summary.filtered,
        left_out: summary.gaps.iter().map(|(number, _)| number).sum(),
        images_per_second: run.images() as f64 / seconds,
        bytes_per_second: run.bytes as f64 / seconds,
    };
    let mut new = OsString::from(path);
    new.push(".new");
    let written = serde_json::to_vec_pretty(&run)
        .map_err(Into::into)
        .and_then(|text| std::fs::write(&new, [&text[..], b"\n"].concat()))
        .and_then(|()| std::fs::rename(&new, path));
    written.map_err(|error| {
        Failure::local(format!(
            "cannot write the summary {}: {}",
            path.display(),
            reason(&error)
        ))
    })
}
