//! `athena policy check`: what a policy says, and what it makes of results.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use athena_outcome::{Decision, OnError, Policy, Record, Test};
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, reason};
use crate::output::terminal::{BAD, BOLD, DIM, NOTICE, count};
use crate::output::write_json;

const EXAMPLES: &str = "\
Examples:
  athena policy check policy.toml                     Is it valid, and what does it say?
  athena policy check policy.toml results.jsonl       What would it have made of these images?
  athena policy check policy.toml results.jsonl --json | jq 'select(.decision == \"block\")'";

/// The longest policy file.
const MOST_BYTES: u64 = 1 << 20;
/// The longest line of results: what a record has besides its labels is short.
const MOST_LINE_BYTES: u64 = 4 << 20;

/// The policy by which images are decided.
#[derive(Args, Clone, Debug)]
pub(crate) struct PolicyArg {
    /// Policy that decides about each image: allow, review or block (see `athena policy check`)
    #[arg(long, value_name = "FILE", help_heading = "Decisions")]
    pub(crate) policy: Option<PathBuf>,
}

impl PolicyArg {
    pub(crate) fn load(&self) -> Outcome<Option<Policy>> {
        self.policy.as_deref().map(read).transpose()
    }
}

/// Explain a policy, and try it on results
#[derive(Args, Debug)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Check(CheckArgs),
}

/// Check a policy: explain it, and run it over results that were written before
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct CheckArgs {
    /// The policy: a TOML file
    policy: PathBuf,
    /// Results: JSON lines of scan, classify or serve; `-` for standard input
    results: Vec<PathBuf>,
    /// Print every record with its decision, one JSON object a line
    #[arg(long, requires = "results")]
    json: bool,
}

pub(crate) fn run(args: &PolicyArgs) -> Outcome {
    let Action::Check(args) = &args.action;
    let policy = read(&args.policy)?;
    let mut out = anstream::stdout().lock();
    if !args.json {
        explain(&args.policy, &policy, &mut out).map_err(|error| Failure::output(&error))?;
    }
    let mut tally = Tally::default();
    for path in &args.results {
        each_record(path, |mut record| {
            record.decide(&policy);
            if args.json {
                write_json(&record, &mut out)?;
            }
            tally.add(&record);
            Ok(())
        })?;
    }
    if !args.json && !args.results.is_empty() {
        (tally.print(&mut out)).map_err(|error| Failure::output(&error))?;
    }
    Ok(Exit::Done)
}

/// Reads a policy's file.
pub(crate) fn read(path: &Path) -> Outcome<Policy> {
    let name = path.display();
    let unreadable = |error: io::Error| {
        Failure::configuration(format!("cannot read {name}: {}", reason(&error)))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::configuration(format!(
            "{name} has more than {MOST_BYTES} bytes"
        )));
    }
    text.parse().map_err(|error: athena_outcome::PolicyError| {
        Failure::configuration(format!("{name}: {}", in_words(&error.to_string())))
            .remedy("docs/outcome.md describes the file")
    })
}

/// TOML's errors draw the place: its lines become one.
fn in_words(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| {
        !line.is_empty() && !line.starts_with('|') && !line.chars().all(|c| "|^ ".contains(c))
    });
    lines.collect::<Vec<_>>().join(": ")
}

fn each_record(path: &Path, mut act: impl FnMut(Record) -> io::Result<()>) -> Outcome<()> {
    let name = path.display();
    let unreadable =
        |error: &io::Error| Failure::local(format!("cannot read {name}: {}", reason(error)));
    let mut lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        Box::new(BufReader::new(file))
    };
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let taken = (&mut lines)
            .take(MOST_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|error| unreadable(&error))?;
        if taken == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = serde_json::from_slice(&line).map_err(|error| {
            Failure::local(format!("{name}, line {number}: no outcome record: {error}"))
        })?;
        act(record).map_err(|error| Failure::output(&error))?;
    }
    Ok(())
}

fn explain(path: &Path, policy: &Policy, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{BOLD}{}{BOLD:#} is valid: version {}, SHA-256 {}",
        one_line(&path.to_string_lossy()),
        one_line(policy.version()),
        policy.digest()
    )?;
    for (number, rule) in (1..).zip(policy.rules()) {
        let when = match rule.test() {
            Test::KnownMatch => "its hash is on the list of known content".to_owned(),
            Test::HashOnly => "only its hashes were looked up, and none is known".to_owned(),
            Test::Undecodable => "it is a broken image".to_owned(),
            Test::Unsupported => {
                "it is not an image, or of a format that is not decoded".to_owned()
            }
            Test::TooLarge => "it is over a limit".to_owned(),
            Test::Error => "there is no verdict for another reason".to_owned(),
            Test::Weight { label, at_least } => {
                format!("the weight of {} is {at_least} or more", one_line(label))
            }
        };
        writeln!(
            out,
            "{number:>4}  {}  when {when}  {DIM}({}){DIM:#}",
            word(rule.then()),
            one_line(rule.name())
        )?;
    }
    let on_error = match policy.on_error() {
        OnError::Open => "open: images that could not be classified pass unchecked",
        OnError::Closed => "closed",
        OnError::Hold => "hold",
    };
    writeln!(
        out,
        "      {}  without a verdict, or with one that lacks what a rule asks for  {DIM}(on_error: {on_error}){DIM:#}",
        word(policy.on_error().decision())
    )?;
    writeln!(out, "      {}  otherwise", word(policy.otherwise()))?;
    for decision in [Decision::Allow, Decision::Review, Decision::Block] {
        if let Some(code) = policy.status_codes().of(decision) {
            writeln!(out, "      {}  is answered with {code}", word(decision))?;
        }
    }
    Ok(())
}

/// A decision in its colour, as wide as the longest.
fn word(decision: Decision) -> String {
    match decision {
        Decision::Allow => "allow ".to_owned(),
        Decision::Review => format!("{NOTICE}review{NOTICE:#}"),
        Decision::Block => format!("{BAD}block{BAD:#} "),
    }
}

#[derive(Default)]
struct Tally {
    images: u64,
    by_reason: BTreeMap<(Decision, String), u64>,
}

impl Tally {
    /// Reasons with figures of their own in them, such as a server's messages, must not grow without end.
    const MOST_REASONS: usize = 1000;

    fn add(&mut self, record: &Record) {
        self.images += 1;
        let Some(decision) = record.decision else {
            return;
        };
        let mut reason = record.why.clone().unwrap_or_default();
        if self.by_reason.len() >= Self::MOST_REASONS {
            reason = "other reasons".to_owned();
        }
        *self.by_reason.entry((decision, reason)).or_default() += 1;
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{BOLD}{} images{BOLD:#}", count(self.images))?;
        for ((decision, why), number) in &self.by_reason {
            writeln!(
                out,
                "{:>10}  {}  {}",
                count(*number),
                word(*decision),
                one_line(why)
            )?;
        }
        Ok(())
    }
}
