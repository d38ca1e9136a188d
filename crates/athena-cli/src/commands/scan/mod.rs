//! `athena scan`: archives of any size, resumable.

mod action;
mod args;
mod breaker;
mod dedupe;
mod dry_run;
mod feed;
mod frontier;
mod journal;
mod pace;
mod parts;
mod pipeline;
mod position;
mod progress;
mod report;
mod retry;
mod room;
mod settings;
mod shard;
mod sink;
mod step;
mod summary;
mod summary_file;
mod tally;
mod threshold;
mod unfinished;
mod writer;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime};

use athena_outcome::short_label;

use self::action::evidence::ActionLog;
pub(crate) use self::args::ScanArgs;
use self::dedupe::Dedupe;
use self::feed::{Listed, Walk};
use self::frontier::Frontier;
use self::journal::Keys;
use self::pipeline::{Ended, Means, Pipeline};
use self::progress::{Counters, Progress};
use self::settings::Settings;
use self::sink::{Opened, Sink};
use self::summary::Summary;
use self::summary_file::About;
use self::tally::Tally;
use self::threshold::Threshold;
use self::writer::{Acting, Remains, Rules, Writer};
use crate::config::ConnectArgs;
use crate::connect::{Connection, block_on};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, reason};
use crate::input::{Order, Rest, Selection, Sight, location_of};
use crate::interrupt::on_interrupt_then;
use crate::output::terminal::{BAD, NOTICE, say};
use crate::prepare::Preparer;

/// Reasons that are said why something could not be listed.
const LISTED: usize = 10;

pub(crate) fn run(args: &ScanArgs) -> Outcome {
    let preparer = Preparer::new(&args.pixels, args.hash_only, args.frames)?;
    let selection = args.input.select(Order::AsListed)?;
    selection.check_stores()?;
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
        _ => dry_run::run(&preparer, &selection, args.shards),
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
    // Whoever writes the list may never begin. Until here a signal ends the process, since nothing is under way.
    let interrupted = on_interrupt_then(action::exec::end_all);
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
        unordered,
    } = tokio::task::block_in_place(|| Sink::open(args, &output, &settings, listings, selection))?;
    // What has no order is taken as other input is: from its beginning, with all that is finished in memory.
    let (prefixes, frontier, others) = match unordered {
        true => (
            None,
            None,
            Some(tokio::task::block_in_place(|| selection.inputs())?),
        ),
        false => (prefixes, frontier, others),
    };
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
        listed: (frontier.clone())
            .map(|frontier| Listed::new(frontier, &rests, entries, earlier.furthest)),
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
    let mut unlisted = BTreeSet::new();
    let ended = pipeline
        .run(found, &writer, &interrupted, &mut unlisted)
        .await;
    pipeline.close().await;
    drop(progress);
    drop(connection);
    // What has been finished is written whatever came after.
    let written = writer.finish()?;
    let complete = matches!(ended, Ok(Ended::Finished)) && counters.unfinished.load(Relaxed) == 0;
    let unordered = (frontier.as_ref()).is_some_and(|frontier| frontier.is_unordered());
    // That a store has no order is worth knowing for the next run, too.
    if complete && frontier.is_some() && !unordered && location_of(&output).is_none() {
        position::forget(&output).map_err(|error| Failure::output(&error))?;
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
    // The one that the scan ends with is said as its error.
    let last = ended.as_ref().err().map(Failure::cause);
    let others = unlisted.iter().filter(|why| Some(why.as_str()) != last);
    for why in others.take(LISTED) {
        say(format_args!("{BAD}not listed{BAD:#}: {}", one_line(why)));
    }
    if unordered && !complete {
        let remedy = match sink::is_stream(&output) {
            true => "give a file as --output, and then --resume",
            false => "--resume lists all again, page by page",
        };
        say(format_args!(
            "{NOTICE}the store does not list keys in the order of their bytes{NOTICE:#}: {remedy}"
        ));
    }
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
        // When an earlier run was stopped after all was listed, the output has what there was.
        Ended::Finished if summary.images() + summary.written.whole.images() == 0 => {
            Err(selection.nothing())
        }
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
