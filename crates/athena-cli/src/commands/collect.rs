//! `athena collect`: the results that wait in a deployment, as JSON lines.

use std::io::{self, Write};
use std::time::Duration;

use athena_client::Unclaimed;
use athena_outcome::Record;
use clap::Args;
use futures_util::StreamExt;

use crate::config::{ConnectArgs, duration};
use crate::connect::{Connection, block_on, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::terminal::{DIM, count, say};
use crate::output::write_json;

const EXAMPLES: &str = "\
Examples:
  athena deployments                            Where does something wait?
  athena collect worker-7 > late-results.jsonl";

/// Collect the results that wait in a deployment, such as one of a process that died
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CollectArgs {
    /// Id of the deployment
    deployment: String,
    /// End when nothing has come for so long
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    quiet: Duration,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// One result. Whoever sent the image knows it by its correlation id.
fn record(deployment: &str, unclaimed: &Unclaimed) -> Record {
    let mut record = Record::with_correlation_id(&unclaimed.correlation_id);
    record.deployment = Some(deployment.to_owned());
    match &unclaimed.result {
        Ok(verdict) => record.answered(verdict),
        Err(error) => record.unanswered(error),
    }
    record
}

pub(crate) fn run(args: &CollectArgs) -> Outcome {
    block_on(async {
        let connection = Connection::open(&args.connect).await?;
        let failed = |error| service_failure(&error, &connection.target);
        let results = connection
            .client
            .collect(&args.deployment, args.quiet)
            .map_err(failed)?;
        let mut results = std::pin::pin!(results);
        let mut collected = 0;
        while let Some(result) = results.next().await {
            // Received is gone from the service: each line is written before the next is asked for.
            let record = record(&args.deployment, &result.map_err(failed)?);
            print(&record).map_err(|error| Failure::output(&error))?;
            collected += 1;
        }
        say(format_args!("{DIM}{} results{DIM:#}", count(collected)));
        Ok(Exit::Done)
    })
}

fn print(record: &Record) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write_json(record, &mut out)?;
    out.flush()
}
