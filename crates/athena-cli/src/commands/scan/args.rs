//! What `athena scan` is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::action::Action;
use super::breaker::MaxFailures;
use super::progress::When;
use super::retry::Retry;
use super::shard::Shard;
use super::threshold::Threshold;
use crate::commands::policy::PolicyArg;
use crate::config::{ConnectArgs, duration};
use crate::input::InputArgs;
use crate::pixels::PixelArgs;

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
    pub(super) input: InputArgs,
    /// File for the results: one JSON object a line. `s3://BUCKET/RUN/` (gs://…, az://…) takes them as numbered parts.
    /// `-` is standard output; such a scan cannot be resumed
    #[arg(
        long,
        short,
        value_name = "FILE|URL",
        required_unless_present = "dry_run",
        help_heading = "Output"
    )]
    pub(super) output: Option<PathBuf>,
    /// Continue the scan that wrote the output: what is finished stays, the rest is done
    #[arg(long, help_heading = "Output")]
    pub(super) resume: bool,
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
    pub(super) retry_failed: Option<Retry>,
    /// Overwrite an existing output
    #[arg(long, conflicts_with = "resume", help_heading = "Output")]
    pub(super) force: bool,
    /// Write an HTML report about the whole output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) report: Option<PathBuf>,
    /// Write counts, rates, settings and the exit code of the run as one JSON object
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) summary: Option<PathBuf>,
    /// How to show progress
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t,
        help_heading = "Output"
    )]
    pub(super) progress: When,
    /// Take a file once, however its path is written: `a.jpg`, `./a.jpg`, `/photos/a.jpg`
    #[arg(long, help_heading = "Work")]
    pub(super) canonical: bool,
    /// Send each content once: other files with the same bytes get its verdict
    #[arg(long, help_heading = "Work")]
    pub(super) dedupe: bool,
    /// At most this many images a second; 0.5 is one in two seconds
    #[arg(long, value_name = "NUMBER", value_parser = rate, help_heading = "Work")]
    pub(super) rate: Option<f64>,
    /// Only one part of the input, for this of several machines: 2/8 is the second of eight
    #[arg(long, value_name = "N/M", help_heading = "Work")]
    pub(super) shards: Option<Shard>,
    /// Images under way at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Work")]
    pub(super) in_flight: u32,
    /// Stop when more images of this run than that fail: a number, or a share such as 5%
    #[arg(long, value_name = "N|P%", help_heading = "Work")]
    pub(super) max_failures: Option<MaxFailures>,
    /// Send hashes only: known content is found, nothing else is classified
    #[arg(long, help_heading = "Work")]
    pub(super) hash_only: bool,
    /// Judge up to N frames of an animation, evenly spread, and take the worst: each is sent, and may be billed, on its own
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=64),
        help_heading = "Pixels"
    )]
    pub(super) frames: u32,
    /// Say what would be sent, and send nothing
    #[arg(long, conflicts_with_all = ["resume", "report", "summary", "on_match"], help_heading = "Work")]
    pub(super) dry_run: bool,
    /// Exit with code 10 when an image reaches a weight. May be repeated; known content always does
    #[arg(long, value_name = "LABEL=WEIGHT", help_heading = "Matches")]
    pub(super) fail_over: Vec<Threshold>,
    /// What to do with files and objects that reach a --fail-over weight: `move:FOLDER`, `copy:FOLDER`,
    /// `copy:s3://BUCKET/PREFIX/` (gs://, az://), `tag:KEY=VALUE` (objects of s3:// and az://), or `exec:PROGRAM`, which
    /// gets the path or URL as its last argument and the result on its standard input
    #[arg(
        long,
        value_name = "ACTION",
        requires = "fail_over",
        help_heading = "Matches"
    )]
    pub(super) on_match: Option<Action>,
    /// Actions to take at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..), help_heading = "Matches")]
    pub(super) action_jobs: u8,
    /// How long a program of `exec:` may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, help_heading = "Matches")]
    pub(super) action_timeout: Duration,
    /// Add a JSON line for each action to a file, with digests before and after
    #[arg(
        long,
        value_name = "FILE",
        requires = "on_match",
        help_heading = "Matches"
    )]
    pub(super) action_log: Option<PathBuf>,
    /// Deployment to use, instead of one for this process
    #[arg(long, value_name = "ID", help_heading = "Connection")]
    pub(super) deployment: Option<String>,
    #[command(flatten)]
    pub(super) policy: PolicyArg,
    #[command(flatten)]
    pub(super) pixels: PixelArgs,
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

/// A number of images a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("expected a number from 0.001 on, such as 50 or 0.5".to_owned()),
    }
}
