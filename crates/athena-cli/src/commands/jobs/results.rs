//! `athena jobs results`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use athena_outcome::Record;
use clap::Args;

use crate::connect::block_on;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::interrupt::on_interrupt;
use crate::output::terminal::{DIM, NOTICE, count, say};
use crate::queue::{NatsArgs, queue_failure};

const EXAMPLES: &str = "\
Examples:
  athena jobs results > outcomes.jsonl                 All there are now
  athena jobs results --follow | your-program          And those to come
  athena jobs results --from 120001 --output part-2.jsonl

The last line on standard error says where to go on: --from NUMBER.";

/// Print the outcomes, one JSON object a line
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResultsArgs {
    /// Go on when the last one is printed
    #[arg(long, short)]
    follow: bool,
    /// Begin with the outcome of this number in the stream
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Write them into a new file instead
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    nats: NatsArgs,
}

pub(super) fn run(args: &ResultsArgs) -> Outcome {
    block_on(async {
        let queue = args.nats.open().await?;
        let mut out = writer(args)?;
        let failed = |error| queue_failure(&error);
        let mut reader = queue
            .outcomes()
            .read(args.from, args.follow)
            .await
            .map_err(failed)?;
        let interrupted = on_interrupt();
        let (mut printed, mut strange, mut next) = (0, 0, args.from);
        let mut stopped = false;
        loop {
            let stored = tokio::select! {
                stored = reader.next() => stored.map_err(failed)?,
                () = interrupted.cancelled() => {
                    stopped = !args.follow;
                    None
                }
            };
            let Some(stored) = stored else {
                break;
            };
            next = stored.sequence + 1;
            // It is one line only if it is JSON, and ours.
            let Ok(record) = serde_json::from_slice::<Record>(&stored.body) else {
                strange += 1;
                continue;
            };
            let mut written = crate::output::write_json(&record, &mut out);
            if args.follow {
                written = written.and_then(|()| out.flush());
            }
            written.map_err(|error| Failure::output(&error))?;
            printed += 1;
        }
        out.flush().map_err(|error| Failure::output(&error))?;
        if strange > 0 {
            say(format_args!(
                "{NOTICE}note:{NOTICE:#} {} messages in the stream are not outcomes",
                count(strange)
            ));
        }
        say(format_args!(
            "{DIM}{} outcomes; go on with --from {next}{DIM:#}",
            count(printed)
        ));
        Ok(match stopped {
            true => Exit::Interrupted,
            false => Exit::Done,
        })
    })
}

fn writer(args: &ResultsArgs) -> Outcome<Box<dyn Write + Send>> {
    let Some(path) = &args.output else {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    };
    let file = File::create_new(path).map_err(|error| {
        Failure::local(format!(
            "cannot write {}: {}",
            path.display(),
            reason(&error)
        ))
    })?;
    Ok(Box::new(BufWriter::new(file)))
}
