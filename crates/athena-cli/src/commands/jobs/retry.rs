//! `athena jobs retry`.

use athena_worker::jetstream::token;
use clap::Args;

use crate::connect::block_on;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::terminal::{DIM, count, say};
use crate::queue::{NatsArgs, queue_failure};

const EXAMPLES: &str = "\
Examples:
  athena jobs retry --all
  athena jobs retry --reason unreadable      Those whose store was away
  athena jobs retry upload-7 upload-9
  athena jobs retry --stuck                  What `athena jobs status` says is stuck";

/// Give dead jobs another life: their outcomes are taken back and they are queued again
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RetryArgs {
    /// Keys of jobs
    #[arg(value_name = "KEY", required_unless_present_any = ["all", "reason", "stuck"])]
    keys: Vec<String>,
    /// All dead jobs
    #[arg(long, conflicts_with_all = ["keys", "reason"])]
    all: bool,
    /// Those that were given up for this reason: the kind of the error in their outcomes
    #[arg(long, value_name = "KIND")]
    reason: Option<String>,
    /// Jobs that no consumer delivers any more, instead of dead ones: those without an outcome are queued again
    #[arg(long, conflicts_with_all = ["keys", "all", "reason"])]
    stuck: bool,
    #[command(flatten)]
    nats: NatsArgs,
}

pub(super) fn run(args: &RetryArgs) -> Outcome {
    block_on(async {
        let queue = args.nats.open().await?;
        let failed = |error| queue_failure(&error);
        if args.stuck {
            let released = queue.release().await.map_err(failed)?;
            say(format_args!(
                "{DIM}{} jobs are queued again, {} had an outcome and are gone{DIM:#}",
                count(released.queued),
                count(released.done)
            ));
            return Ok(Exit::Done);
        }
        let tokens: Vec<String> = args.keys.iter().map(|key| token(key)).collect();
        let mut letters = queue.dead_letters().await.map_err(failed)?;
        let mut revived = 0;
        while let Some(letter) = letters.next().await.map_err(failed)? {
            let named = tokens.is_empty() || tokens.iter().any(|token| token == letter.token());
            let meant = args
                .reason
                .as_deref()
                .is_none_or(|reason| reason == letter.reason());
            if named && meant {
                queue.revive(&letter).await.map_err(failed)?;
                revived += 1;
            }
        }
        if revived == 0 {
            return Err(Failure::new(Exit::NoInput, "no dead job is meant")
                .remedy("`athena jobs status` counts them"));
        }
        say(format_args!(
            "{DIM}{} jobs are queued again{DIM:#}",
            count(revived)
        ));
        Ok(Exit::Done)
    })
}
