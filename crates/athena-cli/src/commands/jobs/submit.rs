//! `athena jobs submit`.

use athena_worker::Lane;
use athena_worker::jetstream::{Queue, Submitted};
use clap::Args;
use futures_util::{Stream, StreamExt};

use crate::commands::worker::LaneArg;
use crate::connect::block_on;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::input::InputArgs;
use crate::output::terminal::{BAD, DIM, count, say};
use crate::queue::{Listed, NatsArgs, listing, queue_failure};

const EXAMPLES: &str = "\
Examples:
  athena jobs submit photos/                       Images of a folder, in the jobs themselves
  athena jobs submit s3://uploads/2026/            Every object below, by its URL
  athena jobs submit --from list.txt --lane live   Paths and URLs, one a line
  printf '%s\\n' '{\"key\": \"upload-7\", \"url\": \"https://img.example/7.jpg\"}' | athena jobs submit --from -

A job's key is the path or URL, or what a line of JSON says. What is queued already is not queued twice, and
what has an outcome keeps it. Jobs are part of the trace that TRACEPARENT in the environment names.";

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
        let listing = listing(&args.input)?;
        let queue = args.nats.open().await?;
        let defaults = Defaults {
            affiliate: args.affiliate.clone(),
            trace: std::env::var("TRACEPARENT")
                .ok()
                .filter(|text| is_trace(text)),
        };
        let tally = submit_all(&queue, args.lane.into(), &defaults, listing).await?;
        say(format_args!(
            "{DIM}{} queued, {} were queued already, {} failed{DIM:#}",
            count(tally.queued),
            count(tally.there),
            count(tally.failed)
        ));
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

/// What jobs get that say nothing of it themselves.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) affiliate: Option<String>,
    /// A `traceparent` of W3C: this command is part of that trace, as its environment says.
    pub(crate) trace: Option<String>,
}

/// Whether it can be a header's value: what it says is for those who read it.
fn is_trace(text: &str) -> bool {
    text.len() == 55
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Submits everything of a listing. What is not a job is said and counted; a queue that fails ends it.
pub(crate) async fn submit_all(
    queue: &Queue,
    lane: Lane,
    defaults: &Defaults,
    listing: impl Stream<Item = Outcome<Result<Listed, (String, String)>>>,
) -> Outcome<Tally> {
    let largest = queue.largest_image();
    let submitted = listing.map(|listed| async move {
        let listed = match listed? {
            Err(none) => return Ok(Err(none)),
            Ok(listed) => listed,
        };
        let key = listed.key.clone();
        let mut job = match tokio::task::block_in_place(|| listed.job(largest)) {
            Ok(job) => job,
            Err(why) => return Ok(Err((key, why))),
        };
        job.affiliate = job.affiliate.or_else(|| defaults.affiliate.clone());
        job.trace.clone_from(&defaults.trace);
        let submitted = queue.submit(lane, &job).await;
        submitted.map(Ok).map_err(|error| queue_failure(&error))
    });
    let mut submitted = std::pin::pin!(submitted.buffer_unordered(UNDER_WAY));
    let mut tally = Tally::default();
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
    Ok(tally)
}
