//! `athena jobs status`.

use std::io::{self, Write};
use std::time::Duration;

use athena_worker::jetstream::{LaneStatus, QueueStatus};
use clap::Args;

use crate::config::duration;
use crate::connect::block_on;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::terminal::{BAD, BOLD, DIM, count};
use crate::output::write_json;
use crate::queue::{NatsArgs, queue_failure};

/// How the queue stands: lag, age, in flight, redelivered, dead, stuck, outcomes and their rate
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// How long to count outcomes for the rate; 0s not to
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    over: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nats: NatsArgs,
}

pub(super) fn run(args: &StatusArgs) -> Outcome {
    block_on(async {
        let queue = args.nats.open().await?;
        let status = match args.over.is_zero() {
            true => queue.status().await,
            false => queue.status_over(args.over).await,
        };
        let status = status.map_err(|error| queue_failure(&error))?;
        let mut out = anstream::stdout().lock();
        let printed = match args.json {
            true => write_json(&status, &mut out),
            false => print(&status, &mut out),
        };
        printed.map_err(|error| Failure::output(&error))?;
        Ok(Exit::Done)
    })
}

fn print(status: &QueueStatus, out: &mut dyn Write) -> io::Result<()> {
    let age = |seconds: f64| humantime::format_duration(Duration::from_secs(seconds as u64));
    write!(out, "{BOLD}lag{BOLD:#}          {}", count(status.lag))?;
    match status.oldest_seconds {
        Some(seconds) => writeln!(out, "  {DIM}the oldest is {} old{DIM:#}", age(seconds))?,
        None => writeln!(out)?,
    }
    let mut lane = |name: &str, lane: &LaneStatus| {
        writeln!(
            out,
            "  {name:<10} {} waiting, {} in flight, {} redelivered  {DIM}{} workers ask{DIM:#}",
            count(lane.waiting),
            count(lane.in_flight),
            count(lane.redelivered),
            lane.asking
        )
    };
    lane("live", &status.live)?;
    lane("backfill", &status.backfill)?;
    writeln!(out, "{BOLD}outcomes{BOLD:#}     {}", count(status.outcomes))?;
    if let Some(rate) = status.rate {
        writeln!(out, "{BOLD}rate{BOLD:#}         {rate:.1} a second")?;
    }
    writeln!(out, "{BOLD}dead{BOLD:#}         {}", count(status.dead))?;
    if status.stuck > 0 {
        return writeln!(
            out,
            "{BAD}stuck{BAD:#}        {}  {DIM}no consumer delivers them any more: `athena jobs retry --stuck`{DIM:#}",
            count(status.stuck)
        );
    }
    writeln!(out, "{BOLD}stuck{BOLD:#}        0")
}
