//! `athena scan`: archives of any size, resumable.

mod action;
mod breaker;
mod dedupe;
mod dry_run;
mod feed;
mod frontier;
mod journal;
mod parts;
mod pipeline;
mod progress;
mod report;
mod retry;
mod seen;
mod settings;
mod shard;
mod sink;
mod summary;
mod summary_file;
mod tally;
mod threshold;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use athena_outcome::short_label;
use clap::Args;

use self::action::Action;
use self::action::evidence::ActionLog;
use self::breaker::MaxFailures;
use self::dedupe::Dedupe;
use self::feed::{Listed, Walk};
use self::frontier::Frontier;
use self::journal::Keys;
use self::pipeline::{Ended, Means, Pipeline};
use self::progress::{Counters, Progress, When};
use self::retry::Retry;
use self::settings::Settings;
use self::shard::Shard;
use self::sink::{Opened, Sink};
use self::summary::Summary;
use self::summary_file::About;
use self::tally::Tally;
use self::threshold::Threshold;
use self::writer::{Acting, Remains, Rules, Writer};
use super::policy::PolicyArg;
use crate::config::{ConnectArgs, duration};
use crate::connect::{Connection, block_on};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::input::{InputArgs, Order, Rest, Selection, Sight, location_of};
use crate::interrupt::on_interrupt_then;
use crate::output::terminal::{NOTICE, say};
use crate::pixels::PixelArgs;
use crate::prepare::Preparer;

const EXAMPLES: &str = "\
Examples:
  athena scan archive/ --output results.jsonl
  athena scan archive/ --output results.jsonl --resume        After Ctrl-C, a crash or a reboot
  athena scan archive/ --dry-run                              What would be sent; no network
  athena scan --from list.txt --output results.jsonl --dedupe --rate 50
  athena scan inbox/ --output r.jsonl --fail-over PCSAM=0.8 --on-match move:quarantine/
  athena scan archive/ --output results.jsonl --report report.html
  athena scan s3://uploads/2026/ --output results.jsonl       A bucket, with the credentials that AWS's tools use
  athena scan s3://uploads/ --output r.jsonl --fail-over PCSAM=0.8 --on-match copy:s3://quarantine/
  athena scan s3://uploads/ --output part-2.jsonl --shards 2/8

Ctrl-C once finishes what is under way, twice stops at once; --resume continues in either case.";

/// Classify an archive into a file of JSON lines; resumable
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    input: InputArgs,
    /// File for the results: one JSON object a line. `s3://BUCKET/RUN/` (gs://…, az://…) takes them as numbered parts.
    /// `-` is standard output; such a scan cannot be resumed
    #[arg(
        long,
        short,
        value_name = "FILE|URL",
        required_unless_present = "dry_run",
        help_heading = "Output"
    )]
    output: Option<PathBuf>,
    /// Continue the scan that wrote the output: what is finished stays, the rest is done
    #[arg(long, help_heading = "Output")]
    resume: bool,
    /// With --resume, also do failed images again: all, or those of some error kinds
    #[arg(
        long,
        value_name = "KIND,…",
        requires = "resume",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        help_heading = "Output"
    )]
    retry_failed: Option<Retry>,
    /// Overwrite an existing output
    #[arg(long, conflicts_with = "resume", help_heading = "Output")]
    force: bool,
    /// Write an HTML report about the whole output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,
    /// Write counts, rates, settings and the exit code of the run as one JSON object
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    summary: Option<PathBuf>,
    /// How to show progress
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t,
        help_heading = "Output"
    )]
    progress: When,
    /// Take a file once, however its path is written: `a.jpg`, `./a.jpg`, `/photos/a.jpg`
    #[arg(long, help_heading = "Work")]
    canonical: bool,
    /// Send each content once: other files with the same bytes get its verdict
    #[arg(long, help_heading = "Work")]
    dedupe: bool,
    /// At most this many images a second; 0.5 is one in two seconds
    #[arg(long, value_name = "NUMBER", value_parser = rate, help_heading = "Work")]
    rate: Option<f64>,
    /// Only one part of the input, for this of several machines: 2/8 is the second of eight
    #[arg(long, value_name = "N/M", help_heading = "Work")]
    shards: Option<Shard>,
    /// Images under way at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Work")]
    in_flight: u32,
    /// Stop when more images of this run than that fail: a number, or a share such as 5%
    #[arg(long, value_name = "N|P%", help_heading = "Work")]
    max_failures: Option<MaxFailures>,
    /// Send hashes only: known content is found, nothing else is classified
    #[arg(long, help_heading = "Work")]
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
    /// Say what would be sent, and send nothing
    #[arg(long, conflicts_with_all = ["resume", "report", "summary", "on_match"], help_heading = "Work")]
    dry_run: bool,
    /// Exit with code 10 when an image reaches a weight. May be repeated; known content always does
    #[arg(long, value_name = "LABEL=WEIGHT", help_heading = "Matches")]
    fail_over: Vec<Threshold>,
    /// What to do with files and objects that reach a --fail-over weight: `move:FOLDER`, `copy:FOLDER`,
    /// `copy:s3://BUCKET/PREFIX/` (gs://, az://), `tag:KEY=VALUE` (objects of s3:// and az://), or `exec:PROGRAM`, which
    /// gets the path or URL as its last argument and the result on its standard input
    #[arg(
        long,
        value_name = "ACTION",
        requires = "fail_over",
        help_heading = "Matches"
    )]
    on_match: Option<Action>,
    /// Actions to take at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..), help_heading = "Matches")]
    action_jobs: u8,
    /// How long a program of `exec:` may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, help_heading = "Matches")]
    action_timeout: Duration,
    /// Add a JSON line for each action to a file, with digests before and after
    #[arg(
        long,
        value_name = "FILE",
        requires = "on_match",
        help_heading = "Matches"
    )]
    action_log: Option<PathBuf>,
    /// Deployment to use, instead of one for this process
    #[arg(long, value_name = "ID", help_heading = "Connection")]
    deployment: Option<String>,
    #[command(flatten)]
    policy: PolicyArg,
    #[command(flatten)]
    pixels: PixelArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) fn run(args: &ScanArgs) -> Outcome {
    let preparer = Preparer::new(&args.pixels, args.hash_only, args.frames)?;
    let selection = args.input.select(Order::AsListed)?;
    let connect = args.connect.working_on(&args.input)?;
    if let Some(output) = args.output.as_deref().filter(|_| !args.dry_run) {
        sink::check(args, output)?;
    }
    if let Some(action) = &args.on_match {
        action::check(action, &args.input)?;
    }
    match &args.output {
        Some(output) if !args.dry_run => {
            block_on(scan(args, &connect, output.clone(), preparer, &selection))
        }
        _ => dry_run::run(&preparer, &args.input, &selection, args.shards),
    }
}

async fn scan(
    args: &ScanArgs,
    connect: &ConnectArgs,
    output: PathBuf,
    preparer: Preparer,
    selection: &Selection,
) -> Outcome {
    let (started, since) = (Instant::now(), SystemTime::now());
    let interrupted = on_interrupt_then(action::exec::end_all);
    if let Some(stale) = &args.summary {
        // Nobody must take the summary of an earlier run for that of this one.
        let _ = std::fs::remove_file(stale);
    }
    // Credentials and input first: a mistake in them must not touch an existing output.
    let prefixes = args.input.listings();
    let others = match &prefixes {
        Some(_) => {
            // Its settings are looked at now.
            selection.remote()?;
            None
        }
        // A list may lie in a store, and its first lines are read now.
        None => Some(tokio::task::block_in_place(|| selection.inputs())?),
    };
    let connection = Connection::open(connect).await?;
    connection.check().await?;
    let policy = args.policy.load()?;
    let settings = Settings::of(args, &connection, policy.as_ref());
    let frontier = prefixes.is_some().then(Frontier::new);
    let listings = prefixes.as_deref().zip(frontier.clone());
    let Opened {
        sink,
        mut earlier,
        intents,
        position,
    } = tokio::task::block_in_place(|| Sink::open(args, &output, &settings, listings, selection))?;
    if let Some(frontier) = frontier.as_ref().filter(|_| !sink.is_kept()) {
        // Nobody would tell it of lines.
        frontier.stop();
    }
    let dedupe = Arc::new(if args.dedupe {
        Dedupe::on(&output, std::mem::take(&mut earlier.contents)).map_err(|error| {
            Failure::local(format!(
                "cannot read {}: {}",
                output.display(),
                reason(&error)
            ))
        })?
    } else {
        Dedupe::off()
    });
    let rules = Rules {
        keys: args.keys(),
        policy,
        thresholds: args.fail_over.clone(),
        action: args.acting(selection)?,
    };
    let counters = Arc::new(Counters::default());
    counters.failed.store(earlier.tally.failed, Relaxed);
    counters.matched.store(earlier.tally.matched, Relaxed);
    counters.matching.store(!args.fail_over.is_empty(), Relaxed);
    let means = Means {
        preparer,
        dedupe: Arc::clone(&dedupe),
        counters: Arc::clone(&counters),
        roots: selection.roots(),
        frontier: frontier.clone(),
        categories: earlier.tally.categories().map(str::to_owned).collect(),
    };
    let remains = Remains::of(&mut earlier, intents, args.keys());
    let writer = Writer::start(sink, remains, rules, dedupe, Arc::clone(&counters));
    let (rests, entries) = match position {
        Some(position) => (position.rests, position.entries),
        None => (Rest::all(prefixes.as_ref().map_or(0, Vec::len)), 0),
    };
    let walk = Walk {
        keys: args.keys(),
        shard: args.shards,
        seen: earlier.paths,
        listed: frontier.map(|frontier| Listed::new(frontier, &rests, entries, earlier.furthest)),
        counters: Arc::clone(&counters),
    };
    let listed = match prefixes {
        Some(prefixes) => Some(selection.listed(&prefixes, &rests)?),
        None => None,
    };
    let others = others.into_iter().flatten();
    let others = others.map(|found| Sight::Found(None, found));
    let found = feed::start(listed.into_iter().flatten().chain(others), walk);
    // What a store lists costs time and money: it is listed once.
    if !args.input.takes_standard_input() && !args.input.names_urls() {
        let selection = args.input.select(Order::AsListed)?;
        feed::count(&selection, args.shards, Arc::clone(&counters))?;
    }
    let progress = Progress::start(args.progress, Arc::clone(&counters));
    let mut pipeline = Pipeline::new(args, &connection, means)?;
    let ended = pipeline.run(found, &writer, &interrupted).await;
    pipeline.close().await;
    drop(progress);
    drop(connection);
    // What has been finished is written whatever came after.
    let written = writer.finish()?;
    let complete = matches!(ended, Ok(Ended::Finished)) && counters.unfinished.load(Relaxed) == 0;
    if complete && location_of(&output).is_none() {
        frontier::forget(&output).map_err(|error| Failure::output(&error))?;
    }
    let summary = Summary {
        written: &written,
        counters: &counters,
        skipped: selection.skipped(),
        filtered: selection.filtered(),
        gaps: selection.gaps(),
        seconds: started.elapsed().as_secs_f64(),
    };
    summary.print();
    if let Some(report) = &args.report {
        report::write(&output, &written.whole, report)?;
    }
    let outcome = conclude(args, ended, &summary, selection);
    if let Some(file) = &args.summary {
        let about = About {
            output: &output,
            settings: &settings,
            fail_over: args.fail_over.iter().map(Threshold::text).collect(),
            started: since,
        };
        summary_file::write(file, about, &summary, &outcome)?;
    }
    outcome
}

fn conclude(
    args: &ScanArgs,
    ended: Outcome<Ended>,
    summary: &Summary<'_>,
    selection: &Selection,
) -> Outcome {
    match ended? {
        Ended::Interrupted => {
            let resume = match args.output.as_deref().is_some_and(sink::is_stream) {
                true => "",
                false => ": the same command with --resume continues",
            };
            say(format_args!("{NOTICE}stopped{NOTICE:#}{resume}"));
            Ok(Exit::Interrupted)
        }
        Ended::Finished if summary.images() == 0 => Err(selection.nothing()),
        Ended::Finished => match args.threshold_without_label(&summary.written.whole) {
            Some(failure) if summary.exit() != Exit::Threshold => Err(failure),
            Some(failure) => {
                say(format_args!("{NOTICE}warning:{NOTICE:#} {failure}"));
                Ok(summary.exit())
            }
            None => Ok(summary.exit()),
        },
    }
}

/// A number of images a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("expected a number from 0.001 on, such as 50 or 0.5".to_owned()),
    }
}

impl ScanArgs {
    fn keys(&self) -> Keys {
        match self.canonical {
            false => Keys::AsGiven,
            true => Keys::Canonical,
        }
    }

    fn acting(&self, selection: &Selection) -> Outcome<Option<Acting>> {
        let Some(action) = &self.on_match else {
            return Ok(None);
        };
        Ok(Some(Acting {
            action: action.clone(),
            remote: match action.needs_stores() {
                true => Some(selection.remote()?),
                false => None,
            },
            jobs: usize::from(self.action_jobs),
            timeout: self.action_timeout,
            log: self
                .action_log
                .as_deref()
                .map(ActionLog::open)
                .transpose()?,
        }))
    }

    /// A label that no answer had can never have been reached: most likely it is misspelt.
    fn threshold_without_label(&self, whole: &Tally) -> Option<Failure> {
        // Hashes alone are answered with the known-content labels only.
        if self.hash_only || whole.labels.is_empty() {
            return None;
        }
        let known =
            |threshold: &&Threshold| whole.labels.iter().any(|label| threshold.names(label));
        let unknown = self.fail_over.iter().find(|threshold| !known(threshold))?;
        let labels: Vec<&str> = whole
            .labels
            .iter()
            .map(|label| short_label(label))
            .collect();
        let cause = format!(
            "--fail-over: no answer had the label {}; there were {}",
            unknown.label(),
            labels.join(", ")
        );
        Some(Failure::configuration(cause).remedy(
            "correct the label and run the same command with --resume, which checks all lines again",
        ))
    }
}
