//! `athena hash`: the digests that are sent for known-content matching.

use std::io::Write;

use athena_imaging::{Hashes, Limits, sha256_hex};
use athena_outcome::PathText;
use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, reason};
use crate::input::{Found, InputArgs, Order};
use crate::output::terminal::say;
use crate::output::write_json;
use crate::parallel::in_order;

const EXAMPLES: &str = "\
Examples:
  athena hash upload.jpg
  athena hash --json photos/ > hashes.jsonl";

/// Print MD5, SHA-1 and SHA-256 of image files as they are
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HashArgs {
    #[command(flatten)]
    input: InputArgs,
    /// One JSON object a line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    path: PathText,
    #[serde(flatten)]
    digests: Option<Digests>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Digests {
    bytes: u64,
    md5: String,
    sha1: String,
    sha256: String,
}

pub(crate) fn run(args: &HashArgs) -> Outcome {
    let selection = args.input.select(Order::Sorted)?;
    let found = selection.collect()?;
    let mut out = anstream::stdout().lock();
    let mut exit = Exit::Done;
    in_order(found.into_iter(), hash, |line| {
        if let Some(error) = &line.error {
            exit = Exit::SomeFailed;
            if !args.json {
                let path = one_line(&line.path.path);
                say(format_args!("{path}: {}", one_line(error)));
                return Ok(());
            }
        }
        match (&line.digests, args.json) {
            (Some(digests), false) => {
                let path = one_line(&line.path.path);
                let Digests {
                    md5, sha1, sha256, ..
                } = digests;
                writeln!(
                    out,
                    "{path}\n  md5     {md5}\n  sha1    {sha1}\n  sha256  {sha256}"
                )
            }
            _ => write_json(&line, &mut out),
        }
    })
    .map_err(|error| Failure::output(&error))?;
    Ok(exit)
}

fn hash(found: Found) -> Line {
    let (path, content) = match found {
        Ok(input) => {
            let content = input.read(Limits::default().max_file_bytes);
            let content = content.map_err(|error| reason(&error)).and_then(|bytes| {
                if bytes.len() as u64 > Limits::default().max_file_bytes {
                    Err("the file is too large to be an image".to_owned())
                } else {
                    Ok(bytes)
                }
            });
            (PathText::from(&*input.path()), content)
        }
        Err(unreadable) => (
            PathText::from(unreadable.path.as_path()),
            Err(unreadable.reason),
        ),
    };
    let (digests, error) = match content {
        Ok(bytes) => {
            let hashes = Hashes::of(&bytes);
            let digests = Digests {
                bytes: bytes.len() as u64,
                md5: hashes.md5_hex(),
                sha1: hashes.sha1_hex(),
                sha256: sha256_hex(&bytes),
            };
            (Some(digests), None)
        }
        Err(error) => (None, Some(error)),
    };
    Line {
        path,
        digests,
        error,
    }
}
