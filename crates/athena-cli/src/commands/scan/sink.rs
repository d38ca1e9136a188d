//! Where a scan's lines go: a file with a journal, or a stream that nobody can resume.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use athena_sources::{Location, LocationError};

use super::ScanArgs;
use super::action::intents::{Intent, Intents};
use super::frontier::Frontier;
use super::journal::{Earlier, Journal, Line, Span, Wanted};
use super::parts::Parts;
use super::position::{Position, PositionFile};
use super::settings::Settings;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::input::{Rest, Selection, location_of};
use crate::left_out::check_store;
use crate::output::terminal::{NOTICE, say};

/// Where lines go.
pub(super) enum Sink {
    /// A file with a journal: a scan that can be resumed.
    Kept(Box<Kept>),
    /// Objects of a store: a scan that can be resumed without a disk.
    Parts(Box<Parts>),
    /// A pipe, a terminal or the like.
    Stream(Box<dyn Write + Send>),
}

/// A file of lines, and what is kept beside it.
pub(super) struct Kept {
    pub(super) journal: Journal,
    pub(super) intents: Intents,
    /// Where the input is listings alone.
    pub(super) position: Option<PositionFile>,
}

/// A sink, and what earlier runs have left in it.
pub(super) struct Opened {
    pub(super) sink: Sink,
    pub(super) earlier: Earlier,
    /// Actions that an earlier run died in.
    pub(super) intents: Vec<Intent>,
    /// Where an earlier run has come to in the listings.
    pub(super) position: Option<Position>,
    /// An earlier run found that keys do not come in order.
    pub(super) unordered: bool,
}

/// Whether lines that go there cannot be read again: standard output, a FIFO, a device.
pub(super) fn is_stream(output: &Path) -> bool {
    output.as_os_str() == "-"
        || output.starts_with("/dev")
        || output.starts_with("/proc")
        || std::fs::metadata(output).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// What cannot be done with a stream is said before any work.
pub(super) fn check(args: &ScanArgs, output: &Path) -> Outcome<()> {
    if let Some(run) = location_of(output) {
        return check_run(args, output, run);
    }
    if !is_stream(output) {
        return Ok(());
    }
    let flag = match (args.resume, args.dedupe) {
        (true, _) => "--resume",
        (_, true) => "--dedupe",
        _ => return Ok(()),
    };
    let cause = format!(
        "{flag} needs an output that can be read again, and {} is a stream",
        output.display()
    );
    Err(Failure::new(Exit::Usage, cause).remedy("give a file as --output"))
}

/// What cannot be done with an output in a store.
fn check_run(args: &ScanArgs, output: &Path, run: Result<Location, LocationError>) -> Outcome<()> {
    let usage = |cause: String| Failure::new(Exit::Usage, cause);
    let run = run.map_err(|error| usage(format!("--output: {error}")))?;
    check_store(&run)?;
    if !run.is_prefix() {
        let cause = format!("--output {}: parts go below a prefix", output.display());
        return Err(usage(cause).remedy("end it with `/`: s3://BUCKET/RUN/"));
    }
    let flags = [
        (args.dedupe, "--dedupe"),
        (args.on_match.is_some(), "--on-match"),
        (args.report.is_some(), "--report"),
        (args.force, "--force"),
        (args.retry_failed.is_some(), "--retry-failed"),
    ];
    match flags.into_iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, flag)) => Err(usage(format!(
            "{flag} needs an output that is a file, since parts in a store are never changed"
        ))),
    }
}

impl Sink {
    /// Whether lines are told by a journal, so that a position can be kept beside it.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    pub(super) fn open(
        args: &ScanArgs,
        output: &Path,
        settings: &Settings,
        listings: Option<(&[Location], Frontier)>,
        selection: &Selection,
    ) -> Outcome<Opened> {
        if let Some(Ok(run)) = location_of(output) {
            let wanted = Wanted {
                thresholds: &args.fail_over,
                keys: args.keys(),
                ..Wanted::default()
            };
            let wanted = args.resume.then_some(wanted);
            let frontier = listings.map(|(_, frontier)| frontier);
            let (parts, earlier) =
                Parts::open(selection.remote()?, run, settings, wanted, frontier)?;
            return Ok(Opened {
                unordered: parts.is_unordered(),
                sink: Self::Parts(Box::new(parts)),
                earlier,
                intents: Vec::new(),
                position: None,
            });
        }
        if is_stream(output) {
            let stream = stream(output)?;
            say(format_args!(
                "{NOTICE}the results go to a stream{NOTICE:#}: this scan cannot be resumed"
            ));
            return Ok(Opened {
                sink: Self::Stream(stream),
                earlier: Earlier::default(),
                intents: Vec::new(),
                position: None,
                unordered: false,
            });
        }
        let prefixes = listings.as_ref().map_or(&[][..], |(prefixes, _)| prefixes);
        let mut position = listings.as_ref().map(|(prefixes, frontier)| {
            let rules = args.input.listing_rules();
            PositionFile::of(output, prefixes, &rules, frontier.clone())
        });
        let mut intents = Intents::of(output);
        let unreadable = |error: io::Error| Failure::output(&error);
        if !args.resume {
            let journal = Journal::create(output, settings, args.force)?;
            // Those of a scan that is no more.
            intents.clear().map_err(unreadable)?;
            if let Some(position) = &mut position {
                position.remove().map_err(unreadable)?;
            }
            return Ok(Opened {
                sink: Self::Kept(Box::new(Kept {
                    journal,
                    intents,
                    position,
                })),
                earlier: Earlier::default(),
                intents: Vec::new(),
                position: None,
                unordered: false,
            });
        }
        let unordered = position.as_ref().is_some_and(PositionFile::is_unordered);
        let mut position = position.filter(|_| !unordered);
        // Images to do again may be anywhere: then all is listed.
        let saved = (position.as_ref())
            .filter(|_| args.retry_failed.is_none())
            .and_then(PositionFile::load);
        let all = Rest::all(prefixes.len());
        let wanted = Wanted {
            thresholds: &args.fail_over,
            retry: args.retry_failed.as_ref(),
            actions: args.on_match.is_some(),
            contents: args.dedupe,
            keys: args.keys(),
            covered: saved.as_ref().map_or(0, |saved| saved.entries),
            prefixes,
            rests: saved.as_ref().map_or(&all, |saved| &saved.rests),
        };
        let (journal, earlier) = Journal::resume(output, settings, wanted)?;
        for note in &earlier.notes {
            say(format_args!(
                "{NOTICE}{}{NOTICE:#}: {note}",
                output.display()
            ));
        }
        if let Some(position) = &position {
            position.written(journal.entries(), std::iter::empty());
        }
        let left = intents.left().map_err(unreadable)?;
        // A scan without lines begins now: what was said of another's lines goes, and it has a position of its own.
        let begins = journal.entries() == 0;
        match &mut position {
            Some(position) if begins => position.remove().map_err(unreadable)?,
            Some(position) if !earlier.intact => position.void().map_err(unreadable)?,
            _ => {}
        }
        let saved = saved.filter(|_| earlier.intact && !begins);
        Ok(Opened {
            sink: Self::Kept(Box::new(Kept {
                journal,
                intents,
                position,
            })),
            earlier,
            intents: left,
            position: saved,
            unordered,
        })
    }

    /// Where the lines stand; nothing when they cannot be read again.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<Vec<Span>> {
        match self {
            Self::Kept(kept) => {
                let spans = kept.journal.append(lines)?;
                if let Some(position) = &kept.position {
                    let keys = lines.iter().map(|line| line.path);
                    position.written(kept.journal.entries(), keys);
                }
                Ok(spans)
            }
            Self::Parts(parts) => {
                parts.append(lines)?;
                Ok(Vec::new())
            }
            Self::Stream(stream) => {
                for line in lines {
                    stream.write_all(&line.text)?;
                }
                stream.flush()?;
                Ok(Vec::new())
            }
        }
    }

    pub(super) fn read(&self, span: Span) -> io::Result<Vec<u8>> {
        match self {
            Self::Kept(kept) => kept.journal.read(span),
            Self::Parts(_) | Self::Stream(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn supersede(&mut self, span: Span) -> io::Result<()> {
        if let Self::Kept(kept) = self {
            if let Some(position) = &mut kept.position {
                position.void()?;
            }
            kept.journal.supersede(span);
        }
        Ok(())
    }
}

impl Kept {
    /// Puts everything on disk, and then says how far that is.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        self.journal.mark()?;
        match &mut self.position {
            Some(position) => {
                position.written(self.journal.entries(), std::iter::empty());
                position.save()
            }
            None => Ok(()),
        }
    }

    /// The end of a run.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.mark()?;
        self.journal.finish()
    }
}

fn stream(output: &Path) -> Outcome<Box<dyn Write + Send>> {
    if output.as_os_str() == "-" {
        return Ok(Box::new(io::stdout()));
    }
    match OpenOptions::new().append(true).open(output) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Failure::local(format!(
            "cannot write {}: {}",
            output.display(),
            reason(&error)
        ))),
    }
}
