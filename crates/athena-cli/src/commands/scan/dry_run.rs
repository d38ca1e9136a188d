//! `--dry-run`: what a scan would send, without a network.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::input::Selection;
use crate::output::terminal::{BAD, BOLD, DIM, NOTICE, bytes, count};
use crate::parallel::in_order;
use crate::prepare::{Preparer, Ready};

#[derive(Default)]
struct Sum {
    files: u64,
    read: u64,
    sent: u64,
    failed: u64,
    formats: BTreeMap<String, u64>,
}

pub(super) fn run(preparer: &Preparer, selection: &Selection) -> Outcome {
    let mut sum = Sum::default();
    let mut out = anstream::stdout().lock();
    in_order(
        selection.inputs()?,
        |found| preparer.prepare(preparer.load(found)),
        |ready| sum.add(&ready, &mut out),
    )
    .and_then(|()| sum.print(selection, &mut out))
    .map_err(|error| Failure::output(&error))?;
    match sum {
        Sum { files: 0, .. } => Err(selection.nothing()),
        Sum { failed: 0, .. } => Ok(Exit::Done),
        _ => Ok(Exit::SomeFailed),
    }
}

impl Sum {
    fn add(&mut self, ready: &Ready, out: &mut dyn Write) -> io::Result<()> {
        let record = &ready.record;
        self.files += 1;
        self.read += record.bytes.unwrap_or(0);
        self.sent += (ready.prepared.as_ref()).map_or(0, |p| p.payload().data().len() as u64);
        if let Some(format) = &record.format {
            *self.formats.entry(format.clone()).or_default() += 1;
        }
        let Some(error) = &record.error else {
            return Ok(());
        };
        self.failed += 1;
        let path = one_line(record.name());
        writeln!(out, "{path}: {BAD}{}{BAD:#}", one_line(&error.message))
    }

    fn print(&self, selection: &Selection, out: &mut dyn Write) -> io::Result<()> {
        if self.files == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "{BOLD}{} images{BOLD:#}, {} to read, {} to send",
            count(self.files),
            bytes(self.read),
            bytes(self.sent)
        )?;
        let mut note = |number: u64, style: Style, text: &str| match number {
            0 => Ok(()),
            _ => writeln!(out, "  {style}{:>8}{style:#}  {text}", count(number)),
        };
        for (format, number) in &self.formats {
            note(*number, Style::new(), format)?;
        }
        note(
            self.failed,
            BAD,
            "cannot be decoded, would be looked up by hash only",
        )?;
        note(selection.skipped(), DIM, "other files skipped")?;
        note(selection.filtered(), DIM, "left out for their size or age")?;
        for (number, words) in selection.gaps() {
            note(number, NOTICE, &words)?;
        }
        Ok(())
    }
}
