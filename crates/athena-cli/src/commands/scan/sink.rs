//! Where a scan's lines go: a file with a journal, or a stream that nobody can resume.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::ScanArgs;
use super::action::intents::{Intent, Intents};
use super::journal::{Earlier, Journal, Line, Span, Wanted};
use super::settings::Settings;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::output::terminal::{NOTICE, say};

/// Where lines go.
pub(super) enum Sink {
    /// A file with a journal: a scan that can be resumed.
    Kept(Box<Journal>, Intents),
    /// A pipe, a terminal or the like.
    Stream(Box<dyn Write + Send>),
}

/// A sink, and what earlier runs have left in it.
pub(super) struct Opened {
    pub(super) sink: Sink,
    pub(super) earlier: Earlier,
    /// Actions that an earlier run died in.
    pub(super) intents: Vec<Intent>,
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

impl Sink {
    pub(super) fn open(args: &ScanArgs, output: &Path, settings: &Settings) -> Outcome<Opened> {
        if is_stream(output) {
            let stream = stream(output)?;
            say(format_args!(
                "{NOTICE}the results go to a stream{NOTICE:#}: this scan cannot be resumed"
            ));
            return Ok(Opened {
                sink: Self::Stream(stream),
                earlier: Earlier::default(),
                intents: Vec::new(),
            });
        }
        let mut intents = Intents::of(output);
        let unreadable = |error: io::Error| Failure::output(&error);
        if !args.resume {
            let journal = Journal::create(output, settings, args.force)?;
            // Those of a scan that is no more.
            intents.clear().map_err(unreadable)?;
            return Ok(Opened {
                sink: Self::Kept(Box::new(journal), intents),
                earlier: Earlier::default(),
                intents: Vec::new(),
            });
        }
        let wanted = Wanted {
            thresholds: &args.fail_over,
            retry: args.retry_failed.as_ref(),
            actions: args.on_match.is_some(),
            contents: args.dedupe,
            keys: args.keys(),
        };
        let (journal, earlier) = Journal::resume(output, settings, wanted)?;
        for note in &earlier.notes {
            say(format_args!(
                "{NOTICE}{}{NOTICE:#}: {note}",
                output.display()
            ));
        }
        let left = intents.left().map_err(unreadable)?;
        Ok(Opened {
            sink: Self::Kept(Box::new(journal), intents),
            earlier,
            intents: left,
        })
    }

    /// Where the lines stand; nothing when they cannot be read again.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<Vec<Span>> {
        match self {
            Self::Kept(journal, _) => journal.append(lines),
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
            Self::Kept(journal, _) => journal.read(span),
            Self::Stream(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn supersede(&mut self, span: Span) {
        if let Self::Kept(journal, _) = self {
            journal.supersede(span);
        }
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
