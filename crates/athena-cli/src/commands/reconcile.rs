//! `athena reconcile`: what has no outcome, though it should have one.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use athena_outcome::Record;
use athena_worker::Lane;
use athena_worker::jetstream::{Queue, token};
use clap::Args;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use super::jobs::{Tally, Terms, submit_all};
use super::seen::{Seen, digest_key};
use super::worker::LaneArg;
use crate::connect::block_on;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, reason};
use crate::input::InputArgs;
use crate::output::terminal::{BAD, DIM, NOTICE, count, say};
use crate::output::write_json;
use crate::queue::{Entry, Listed, NatsArgs, listing, of_stream, queue_failure};

const EXAMPLES: &str = "\
Examples:
  athena reconcile photos/                                 Files without an outcome in the stream
  athena reconcile s3://uploads/2026/ --submit             And they are queued again
  athena reconcile --from list.txt --in outcomes.jsonl     A list against files of outcomes
  athena reconcile nats:ATHENA_JOBS --submit               What lies in the queue; what no worker would get is queued anew
  athena reconcile nats:JOBS_COPY --submit                 A copy of the jobs that the broker keeps elsewhere

It prints a JSON line for each, as --from takes it. Exit code 1: something has no outcome, and was not submitted.";

/// The longest line of outcomes.
const MOST_LINE_BYTES: u64 = 4 << 20;

/// Compare what should have an outcome with what has one
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReconcileArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Look for outcomes in this file of JSON lines instead of in the stream. May be repeated
    #[arg(long = "in", value_name = "FILE", help_heading = "Outcomes")]
    files: Vec<PathBuf>,
    /// Queue again what has no outcome; what is still queued is not queued twice
    #[arg(long, help_heading = "Outcomes")]
    submit: bool,
    /// By which lane; jobs of a stream keep theirs
    #[arg(
        long,
        value_name = "LANE",
        default_value = "backfill",
        help_heading = "Outcomes"
    )]
    lane: LaneArg,
    #[command(flatten)]
    nats: NatsArgs,
}

/// Digests of the names that have an outcome, or were said to have none.
#[derive(Debug, Default)]
struct Known(Seen);

impl Known {
    /// Whether it was not known before.
    fn add(&mut self, token: &str) -> bool {
        self.0.insert(digest_key(&Sha256::digest(token).into()))
    }
}

pub(crate) fn run(args: &ReconcileArgs) -> Outcome {
    block_on(async {
        let stream = args.input.stream();
        let needs_queue = args.files.is_empty() || args.submit || stream.is_some();
        let queue = match needs_queue {
            true => Some(args.nats.open().await?),
            false => None,
        };
        // Before the outcomes: what is submitted meanwhile is not taken for lost.
        let mut wanted = match (&queue, &stream) {
            (Some(queue), Some(stream)) => {
                let jobs = queue.jobs_of(stream).await;
                of_stream(jobs.map_err(|error| queue_failure(&error))?)
            }
            _ => listing(&args.input)?,
        };
        let mut known = Known::default();
        for path in &args.files {
            read(path, &mut known)?;
        }
        if let (Some(queue), true) = (&queue, args.files.is_empty()) {
            let failed = |error| queue_failure(&error);
            let mut reader = queue.outcomes().tokens().await.map_err(failed)?;
            while let Some(stored) = reader.next().await.map_err(failed)? {
                known.add(&stored.token);
            }
        }
        let (mut seen, mut missing, mut unnamed) = (0u64, 0u64, 0u64);
        let mut out = anstream::stdout().lock();
        let mut lost: Vec<Listed> = Vec::new();
        let mut queued = Tally::default();
        let mut unlisted = None;
        loop {
            // What cannot be listed, or read, is the end: what is known by then is said and done first.
            let next = wanted.next().await.transpose();
            let next = next.unwrap_or_else(|failure| {
                unlisted = Some(failure);
                None
            });
            let ended = next.is_none();
            match next {
                None => {}
                Some(Entry::Again) => seen = 0,
                Some(Entry::None(name, why)) => {
                    unnamed += 1;
                    say(format_args!(
                        "{BAD}failed{BAD:#} {}: {}",
                        one_line(&name),
                        one_line(&why)
                    ));
                }
                Some(Entry::Job(listed)) => {
                    seen += 1;
                    // Once, however often it comes.
                    if known.add(&token(&listed.key)) {
                        missing += 1;
                        write_json(&listed.to_json(), &mut out)
                            .map_err(|error| Failure::output(&error))?;
                        if args.submit {
                            lost.push(listed);
                        }
                    }
                }
            }
            if let Some(queue) = &queue
                && (lost.len() >= 1000 || (ended && !lost.is_empty()))
            {
                queued += submit_lost(queue, args.lane.into(), std::mem::take(&mut lost)).await?;
            }
            if ended {
                break;
            }
        }
        drop(out);
        say(format_args!(
            "{DIM}{} looked for, {} without an outcome{DIM:#}",
            count(seen),
            count(missing)
        ));
        // What a stream still has may be what no consumer delivers any more.
        if let (Some(queue), true, Some(_), None) = (&queue, args.submit, &stream, &unlisted) {
            let released = queue.release().await;
            let released = released.map_err(|error| queue_failure(&error))?;
            queued.queued += released.queued;
            queued.there = queued.there.saturating_sub(released.queued);
        }
        if args.submit {
            say(format_args!(
                "{DIM}{} queued again, {} were queued still, {} failed{DIM:#}",
                count(queued.queued),
                count(queued.there),
                count(queued.failed)
            ));
        }
        if let Some(failure) = unlisted {
            return Err(failure);
        }
        // A queue with nothing in it is as it should be.
        if seen == 0 && unnamed == 0 && stream.is_none() {
            say(format_args!(
                "{NOTICE}note:{NOTICE:#} there was nothing to look for"
            ));
            return Ok(Exit::NoInput);
        }
        let left = (missing > 0 && !args.submit) || queued.failed > 0 || unnamed > 0;
        Ok(match left {
            true => Exit::SomeFailed,
            false => Exit::Done,
        })
    })
}

/// Queues what has no outcome, by the lane that it had, unless it waits in any.
async fn submit_lost(queue: &Queue, other: Lane, lost: Vec<Listed>) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let mut lost: Vec<_> = (lost.into_iter().map(Some)).collect();
    for lane in Lane::ALL {
        let of_lane = |listed: &mut Option<Listed>| {
            listed.take_if(|listed| listed.lane.unwrap_or(other) == lane)
        };
        let batch: Vec<_> = lost.iter_mut().filter_map(of_lane).collect();
        let batch = batch.into_iter().map(|listed| Ok(Entry::Job(listed)));
        let terms = Terms {
            lane,
            affiliate: None,
            trace: None,
            once_in_any_lane: true,
        };
        submit_all(queue, &terms, &mut stream::iter(batch).boxed(), &mut tally).await?;
    }
    Ok(tally)
}

/// The keys of a file of outcomes.
fn read(path: &Path, known: &mut Known) -> Outcome<()> {
    let unreadable = |why: &str| Failure::local(format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| unreadable(&reason(&error)))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut number = 0u64;
    loop {
        line.clear();
        number += 1;
        let read = (&mut reader)
            .take(MOST_LINE_BYTES)
            .read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(&reason(&error)))? == 0 {
            return Ok(());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Ok(record) = serde_json::from_slice::<Record>(&line) else {
            // Perhaps cut off in the middle: then it is not an outcome that anybody can rely on.
            say(format_args!(
                "{NOTICE}note:{NOTICE:#} line {number} of {} is not an outcome",
                path.display()
            ));
            continue;
        };
        // A worker's outcome has the job's key; a scan's has the path or URL, which jobs of it are called by.
        let key = record.key.as_deref().unwrap_or_else(|| record.name());
        known.add(&token(key));
    }
}
