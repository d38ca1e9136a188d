//! `athena classify`: images now, results on standard output in the order of the input.

use std::time::Instant;

use athena_outcome::{Policy, Record, Status};
use clap::{Args, ValueEnum};
use futures_util::StreamExt;

use super::policy::PolicyArg;
use crate::config::ConnectArgs;
use crate::connect::{Connection, block_on, concerns_all, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::input::{Found, Input, InputArgs, Order, Selection, hopeless as hopeless_store};
use crate::interrupt::on_interrupt;
use crate::judge::{Judged, Route};
use crate::output::terminal::{BAD, DIM, columns, count, say};
use crate::output::{FormatArgs, Printer};
use crate::pixels::PixelArgs;
use crate::prepare::Preparer;

/// From this many images on a stream is worth its set-up.
const STREAM_FROM: usize = 32;
/// Images under way at the same time.
const UNARY_IN_FLIGHT: usize = 8;
const STREAM_IN_FLIGHT: usize = 128;

const EXAMPLES: &str = "\
Examples:
  athena classify --emulator photos/                    Try it: no account, no network
  athena classify upload.jpg avatar.png
  athena classify --json photos/ | jq 'select(.pcsam > 0.8) | .path'
  curl -s https://example.com/a.jpg | athena classify -
  find . -name '*.jpg' -print0 | athena classify --from - -0";

/// Classify images and print the results
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ClassifyArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    pixels: PixelArgs,
    /// Send hashes only: known content is found, nothing else is classified
    #[arg(long, help_heading = "Pixels")]
    hash_only: bool,
    /// Judge up to N frames of an animation, evenly spread, and take the worst: each is sent, and may be billed, on its own
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=64),
        help_heading = "Pixels"
    )]
    frames: u32,
    /// One call for each image, or a stream for all
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t,
        help_heading = "Connection"
    )]
    via: Via,
    #[command(flatten)]
    policy: PolicyArg,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// How images travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Via {
    /// Calls for few images, a stream for many
    #[default]
    Auto,
    /// A call for each image
    Unary,
    /// A stream
    Stream,
}

pub(crate) fn run(args: &ClassifyArgs) -> Outcome {
    let connect = args.connect.working_on(&args.input)?;
    let preparer = Preparer::new(&args.pixels, args.hash_only, args.frames)?;
    let policy = args.policy.load()?;
    let selection = args.input.select(Order::Sorted)?;
    let found = selection.collect()?;
    block_on(async {
        let connection = Connection::open(&connect).await?;
        let work = (preparer, policy);
        classify(args, &connection, work, found, &selection).await
    })
}

async fn classify(
    args: &ClassifyArgs,
    connection: &Connection,
    (preparer, policy): (Preparer, Option<Policy>),
    found: Vec<Found>,
    selection: &Selection,
) -> Outcome {
    let started = Instant::now();
    let streams = match args.via {
        Via::Auto => found.len() >= STREAM_FROM,
        Via::Unary => false,
        Via::Stream => true,
    };
    let (route, in_flight) = if streams {
        connection.check().await?;
        let session = (connection.client.session())
            .max_in_flight(STREAM_IN_FLIGHT)
            .image_timeout(args.connect.timeout)
            .open()
            .map_err(|error| service_failure(&error, &connection.target))?;
        (Route::Stream(session), STREAM_IN_FLIGHT)
    } else {
        (Route::Unary(connection.client.clone()), UNARY_IN_FLIGHT)
    };
    let mut printer = Printer::new(args.output.format(), longest_path(&found));
    let interrupted = on_interrupt();
    let judged = futures_util::stream::iter(found)
        .take_until(interrupted.cancelled())
        .map(|found| judge(&route, &preparer, found))
        .buffered(in_flight);
    let mut judged = Box::pin(judged);
    let mut tally = Tally::default();
    let mut unanswered = None;
    while let Some(judged) = judged.next().await {
        let Judged { mut record, error } = judged?;
        if let Some(error) = error.filter(|error| !error.is_of_image()) {
            if tally.answered == 0 && hopeless(&error) {
                return Err(service_failure(&error, &connection.target));
            }
            unanswered = Some(error);
        }
        if let Some(policy) = &policy {
            record.decide(policy);
        }
        let mut out = anstream::stdout().lock();
        (printer.print(&record, &mut out)).map_err(|error| Failure::output(&error))?;
        tally.add(&record);
    }
    drop(judged);
    if let Route::Stream(session) = route {
        // Every image has its answer: there is nothing left to lose.
        let _ = session.close().await;
    }
    tally.print(selection, started);
    match unanswered {
        _ if interrupted.is_cancelled() => Ok(Exit::Interrupted),
        // Not one image got through: that is not an image's fault.
        Some(error) if tally.answered == 0 => Err(service_failure(&error, &connection.target)),
        _ => Ok(tally.exit()),
    }
}

async fn judge(route: &Route, preparer: &Preparer, found: Found) -> Outcome<Judged> {
    let fetched = preparer.fetch(&found).await;
    if let Some(Err(error)) = &fetched
        && let Some(failure) = hopeless_store(error)
    {
        return Err(failure);
    }
    let (ready, place) = preparer
        .run(|preparer| {
            let loaded = match (&found, fetched) {
                (Ok(Input::Object(object)), Some(fetched)) => preparer.loaded(object, fetched),
                _ => preparer.load(found),
            };
            preparer.prepare(loaded)
        })
        .await?;
    Ok(route.judge(ready, place).await)
}

fn longest_path(found: &[Found]) -> usize {
    let paths = found.iter().map(|found| match found {
        Ok(input) => input.path(),
        Err(unreadable) => unreadable.path.as_path().into(),
    });
    let widths = paths.map(|path| columns(&one_line(&path.to_string_lossy())));
    widths.max().unwrap_or(0)
}

/// What the last line on standard error says.
#[derive(Default)]
struct Tally {
    classified: u64,
    failed: u64,
    known: u64,
    answered: u64,
}

impl Tally {
    fn add(&mut self, record: &Record) {
        match record.status {
            Status::Classified => self.classified += 1,
            Status::Failed => self.failed += 1,
        }
        self.known += u64::from(record.scores.known_match == Some(true));
        self.answered += u64::from(!record.scores.weights.is_empty());
    }

    fn exit(&self) -> Exit {
        if self.failed == 0 {
            Exit::Done
        } else {
            Exit::SomeFailed
        }
    }

    fn print(&self, selection: &Selection, started: Instant) {
        let mut parts = vec![format!("{} classified", count(self.classified))];
        if self.failed > 0 {
            parts.push(format!("{BAD}{} failed{BAD:#}{DIM}", count(self.failed)));
        }
        if self.known > 0 {
            parts.push(format!("{BAD}{} known{BAD:#}{DIM}", count(self.known)));
        }
        if selection.skipped() > 0 {
            parts.push(format!(
                "{} other files skipped",
                count(selection.skipped())
            ));
        }
        for (number, words) in selection.gaps() {
            parts.push(format!("{} {words}", count(number)));
        }
        let seconds = started.elapsed().as_secs_f64();
        say(format_args!(
            "{DIM}{} in {seconds:.2} s{DIM:#}",
            parts.join(", ")
        ));
    }
}

/// An error after which nothing is to be expected, if it is the first that is heard of the service.
fn hopeless(error: &athena_client::Error) -> bool {
    concerns_all(error) || error.kind() == athena_client::ErrorKind::Unavailable
}
