//! An output in a store: numbered parts of JSON lines, each written once and never changed.
//!
//! There is no journal: a part is there as a whole or not at all, and the store answers for the rest. What was
//! finished since the last part is done again after a crash.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::{Duration, Instant};

use athena_outcome::Record;
use athena_sources::{Location, Put, SourceErrorKind};
use bytes::Bytes;

use super::frontier::Frontier;
use super::journal::{Earlier, Line, Wanted};
use super::settings::Settings;
use super::threshold::matches;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::input::{Remote, hopeless};

/// A part is written when it has so many bytes,
const PART_BYTES: usize = 8 << 20;
/// or when its first line is so old: the most that a crash can cost.
const PART_AGE: Duration = Duration::from_secs(60);
/// The largest part that is read back.
const MOST_BYTES: u64 = 256 << 20;
/// The object that stands beside the parts where the keys of the input do not come in order.
const UNORDERED: &str = "unordered";

/// The parts of a run, under one prefix.
#[derive(Debug)]
pub(super) struct Parts {
    remote: Arc<Remote>,
    run: Location,
    /// The number of the next part.
    number: u64,
    lines: Vec<u8>,
    /// When the first of these lines came.
    since: Instant,
    /// Of a scan of listings.
    frontier: Option<Frontier>,
    /// The run says that the input has no order.
    unordered: bool,
}

impl Parts {
    /// Begins a run, or goes on with it where that is asked for.
    pub(super) fn open(
        remote: Arc<Remote>,
        run: Location,
        settings: &Settings,
        wanted: Option<Wanted<'_>>,
        frontier: Option<Frontier>,
    ) -> Outcome<(Self, Earlier)> {
        let failed = |error: athena_sources::Error| {
            hopeless(&error).unwrap_or_else(|| Failure::local(chain(&error)))
        };
        let mut parts = Self {
            remote,
            run,
            number: 1,
            lines: Vec::new(),
            since: Instant::now(),
            frontier,
            unordered: false,
        };
        let file = parts.at("settings.json");
        let text = Bytes::from(settings.encode());
        let put = parts.remote.put_now(&file, text).map_err(failed)?;
        let mut earlier = Earlier::default();
        match (put, wanted) {
            (Put::Stored, _) => return Ok((parts, earlier)),
            (Put::AlreadyThere, None) => {
                let cause = format!("there is a run at {} already", parts.run);
                return Err(Failure::new(Exit::Usage, cause).remedy(
                    "--resume continues it; or choose another prefix: nothing is deleted",
                ));
            }
            (Put::AlreadyThere, Some(wanted)) => {
                let then = parts
                    .remote
                    .fetch_now(&file, Default::default(), MOST_BYTES);
                let then = String::from_utf8_lossy(&then.map_err(failed)?.bytes).into_owned();
                let then = Settings::decode(&then)
                    .ok_or_else(|| Failure::local(format!("{file} cannot be read")))?;
                if let Some(difference) = then.difference(settings) {
                    let cause =
                        format!("{} was begun with other settings: {difference}", parts.run);
                    return Err(Failure::new(Exit::Usage, cause).remedy(
                        "resume with the options of the first run, or choose another prefix",
                    ));
                }
                parts.unordered = match parts.remote.head_now(&parts.at(UNORDERED)) {
                    Ok(_) => true,
                    Err(error) if error.kind() == SourceErrorKind::NotFound => false,
                    Err(error) => return Err(failed(error)),
                };
                let listed = parts.remote.list(&parts.at("part-"), None);
                for part in listed {
                    let part = part.map_err(failed)?;
                    let bytes =
                        (parts.remote).fetch_now(&part.location, part.condition(), MOST_BYTES);
                    parts.number += 1;
                    read(&bytes.map_err(failed)?.bytes, wanted, &mut earlier)
                        .map_err(|error| Failure::local(format!("{}: {error}", part.location)))?;
                }
            }
        }
        Ok((parts, earlier))
    }

    /// Whether this run or an earlier one found that the keys of the input do not come in order.
    pub(super) fn is_unordered(&self) -> bool {
        self.unordered
    }

    /// Says so for later runs.
    fn note_order(&mut self) -> io::Result<()> {
        let unordered = |frontier: &Frontier| frontier.is_unordered();
        if !self.unordered && self.frontier.as_ref().is_some_and(unordered) {
            let put = self.remote.put_now(&self.at(UNORDERED), Bytes::new());
            put.map_err(io::Error::other)?;
            self.unordered = true;
        }
        Ok(())
    }

    fn at(&self, name: &str) -> Location {
        self.run.with_key(format!("{}{name}", self.run.key()))
    }

    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        if self.lines.is_empty() {
            self.since = Instant::now();
        }
        for line in lines {
            self.lines.extend_from_slice(&line.text);
        }
        match self.lines.len() >= PART_BYTES {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Writes what is old enough.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        match self.since.elapsed() >= PART_AGE {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Writes what there is as the next part.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.note_order()?;
        if self.lines.is_empty() {
            return Ok(());
        }
        let at = self.at(&format!("part-{:08}.jsonl", self.number));
        let bytes = Bytes::from(std::mem::take(&mut self.lines));
        let put = match self.remote.put_now(&at, bytes.clone()) {
            // It may have been written; the next request tells.
            Err(error) if error.is_transient() => self.remote.put_now(&at, bytes.clone()),
            put => put,
        };
        let ours = match put.map_err(io::Error::other)? {
            Put::Stored => true,
            Put::AlreadyThere => {
                let there = self.remote.fetch_now(&at, Default::default(), MOST_BYTES);
                there.map_err(io::Error::other)?.bytes == bytes
            }
        };
        if !ours {
            let text = format!("{at} is not ours: another scan writes to this run");
            return Err(io::Error::other(text));
        }
        self.number += 1;
        Ok(())
    }
}

/// Takes over the lines of a part.
fn read(bytes: &[u8], wanted: Wanted<'_>, earlier: &mut Earlier) -> io::Result<()> {
    for line in bytes.lines() {
        let record: Record = serde_json::from_str(&line?)?;
        if let Some(key) = wanted.keys.of_record(&record)
            && earlier.paths.insert(key)
        {
            let matched = matches(wanted.thresholds, &record);
            earlier.tally.add(&record, matched);
        }
    }
    Ok(())
}
