//! `athena jobs submit`.

use athena_gateway::TraceContext;
use athena_worker::jetstream::{Queue, Submitted};
use athena_worker::{Job, JobLimits, Lane, QueueError};
use clap::Args;
use futures_util::StreamExt;

use crate::commands::worker::LaneArg;
use crate::connect::block_on;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::input::InputArgs;
use crate::output::terminal::{BAD, DIM, count, say};
use crate::queue::{Entry, Listing, NatsArgs, listing, queue_failure};

const EXAMPLES: &str = "\
Examples:
  athena jobs submit photos/                       Images of a folder, in the jobs themselves
  athena jobs submit s3://uploads/2026/            Every object below, by its URL
  athena jobs submit --from list.txt --lane live   Paths and URLs, one a line
  printf '%s\\n' '{\"key\": \"upload-7\", \"url\": \"https://img.example/7.jpg\"}' | athena jobs submit --from -

A job's key is the path or URL, or what a line of JSON says. What is queued already is not queued twice, and
what has an outcome keeps it. Jobs are part of the trace that TRACEPARENT (and TRACESTATE) in the environment names.";

/// Confirmations that are waited for at the same time.
const UNDER_WAY: usize = 256;

/// Queue images: files, folders, URLs, prefixes of object stores, lists
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    input: InputArgs,
    /// By which lane: live jobs go first
    #[arg(
        long,
        value_name = "LANE",
        default_value = "backfill",
        help_heading = "Jobs"
    )]
    lane: LaneArg,
    /// On whose behalf, where a line does not say
    #[arg(long, value_name = "ID", help_heading = "Jobs")]
    affiliate: Option<String>,
    #[command(flatten)]
    nats: NatsArgs,
}

/// What came of submitting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) queued: u64,
    pub(crate) there: u64,
    pub(crate) failed: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.queued += other.queued;
        self.there += other.there;
        self.failed += other.failed;
    }
}

pub(super) fn run(args: &SubmitArgs) -> Outcome {
    block_on(async {
        let mut listing = listing(&args.input)?;
        let queue = args.nats.open().await?;
        let terms = Terms {
            lane: args.lane.into(),
            affiliate: args.affiliate.clone(),
            trace: trace(),
            // Whoever names the live lane wants it done sooner.
            once_in_any_lane: false,
        };
        let mut tally = Tally::default();
        let submitted = submit_all(&queue, &terms, &mut listing, &mut tally).await;
        say(format_args!(
            "{DIM}{} queued, {} were queued already, {} failed{DIM:#}",
            count(tally.queued),
            count(tally.there),
            count(tally.failed)
        ));
        submitted?;
        match tally {
            Tally { failed: 1.., .. } => Ok(Exit::SomeFailed),
            Tally {
                queued: 0,
                there: 0,
                ..
            } => Err(Failure::new(Exit::NoInput, "there was nothing to submit")),
            _ => Ok(Exit::Done),
        }
    })
}

/// How jobs are submitted.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) lane: Lane,
    /// On whose behalf, where a job does not say.
    pub(crate) affiliate: Option<String>,
    /// This command is part of that trace.
    pub(crate) trace: Option<TraceContext>,
    /// What waits in another lane is left there.
    pub(crate) once_in_any_lane: bool,
}

/// The trace that the environment names.
fn trace() -> Option<TraceContext> {
    let text = |name| std::env::var(name).ok();
    TraceContext::new(&text("TRACEPARENT")?, text("TRACESTATE").as_deref())
}

/// Submits everything of a listing, and counts each job once. What is not a job is said and counted; a queue that fails
/// ends it, and what a store has not listed when all else is submitted.
pub(crate) async fn submit_all(
    queue: &Queue,
    terms: &Terms,
    listing: &mut Listing<'_>,
    tally: &mut Tally,
) -> Outcome<()> {
    let mut pass = Tally::default();
    let mut outcome = submit_pass(queue, terms, listing, &mut pass).await;
    if matches!(outcome, Ok(Pass::Again)) {
        // What that has queued is queued already when it comes once more.
        let queued = std::mem::take(&mut pass).queued;
        outcome = submit_pass(queue, terms, listing, &mut pass).await;
        pass.queued += queued;
        pass.there = pass.there.saturating_sub(queued);
    }
    *tally += pass;
    outcome.map(drop)
}

/// How far a listing was read.
enum Pass {
    Ended,
    /// Everything comes once more.
    Again,
}

async fn submit_pass(
    queue: &Queue,
    terms: &Terms,
    listing: &mut Listing<'_>,
    tally: &mut Tally,
) -> Outcome<Pass> {
    let largest = queue.largest_image();
    let mut ended = Ok(Pass::Ended);
    let jobs = listing.scan(&mut ended, |ended, entry| {
        let job = match entry {
            Ok(Entry::Job(listed)) => Some(Ok(listed)),
            Ok(Entry::None(name, why)) => Some(Err((name, why))),
            Ok(Entry::Again) => {
                **ended = Ok(Pass::Again);
                None
            }
            Err(failure) => {
                **ended = Err(failure);
                None
            }
        };
        // What is under way is waited for.
        std::future::ready(job)
    });
    let submitted = jobs.map(|listed| async move {
        let listed = match listed {
            Err(none) => return Ok(Err(none)),
            Ok(listed) => listed,
        };
        let key = listed.key.clone();
        let mut job = match tokio::task::block_in_place(|| listed.job(largest)) {
            Ok(job) => job,
            Err(why) => return Ok(Err((key, why))),
        };
        job.affiliate = job.affiliate.or_else(|| terms.affiliate.clone());
        if let Err(error) = job.check(&JobLimits::default()) {
            return Ok(Err((key, error.to_string())));
        }
        let submitted = terms.submit(queue, job).await;
        submitted.map(Ok).map_err(|error| queue_failure(&error))
    });
    let mut submitted = Box::pin(submitted.buffer_unordered(UNDER_WAY));
    while let Some(submitted) = submitted.next().await {
        match submitted? {
            Ok(Submitted::Queued) => tally.queued += 1,
            Ok(Submitted::AlreadyQueued) => tally.there += 1,
            Err((key, why)) => {
                tally.failed += 1;
                say(format_args!(
                    "{BAD}failed{BAD:#} {}: {}",
                    one_line(&key),
                    one_line(&why)
                ));
            }
        }
    }
    drop(submitted);
    ended
}

impl Terms {
    async fn submit(&self, queue: &Queue, mut job: Job) -> Result<Submitted, QueueError> {
        job.trace = self.trace.clone().or(job.trace);
        match self.once_in_any_lane {
            true => queue.submit_once(self.lane, &job).await,
            false => queue.submit(self.lane, &job).await,
        }
    }
}
