//! `athena collect`: the results that wait in a deployment, as JSON lines.

use std::io::{self, Write};
use std::time::Duration;

use athena_client::Unclaimed;
use clap::Args;
use futures_util::StreamExt;
use serde::Serialize;

use crate::config::{ConnectArgs, duration};
use crate::connect::{Connection, block_on, error_text, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::terminal::{DIM, count, say};
use crate::output::{RecordError, Scores, Status, write_json};

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
#[derive(Serialize)]
struct Line {
    correlation_id: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RecordError>,
    #[serde(flatten)]
    scores: Scores,
}

impl From<Unclaimed> for Line {
    fn from(unclaimed: Unclaimed) -> Self {
        let (scores, error) = match &unclaimed.result {
            Ok(verdict) => (Scores::from(verdict), None),
            Err(error) => {
                let error = RecordError {
                    kind: error.kind().as_str().into(),
                    message: error_text(error),
                };
                (Scores::default(), Some(error))
            }
        };
        Self {
            correlation_id: unclaimed.correlation_id,
            status: match error {
                None => Status::Classified,
                Some(_) => Status::Failed,
            },
            error,
            scores,
        }
    }
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
            print(&Line::from(result.map_err(failed)?)).map_err(|error| Failure::output(&error))?;
            collected += 1;
        }
        say(format_args!("{DIM}{} results{DIM:#}", count(collected)));
        Ok(Exit::Done)
    })
}

fn print(line: &Line) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write_json(line, &mut out)?;
    out.flush()
}
