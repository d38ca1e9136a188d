//! `--dry-run`: what a scan would send, without a network.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;

use super::shard::Shard;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::input::{Input, Selection, Sighting};
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
    objects: Objects,
}

/// What would be asked of stores, as far as their listings tell.
#[derive(Default)]
struct Objects {
    number: u64,
    bytes: u64,
    /// Those of which nobody has said how large they are.
    unknown: u64,
    too_large: u64,
}

/// What is looked at: a file as it is, an object as its listing describes it.
enum Seen {
    Read(Box<Ready>),
    Object(Option<u64>),
    /// Everything comes once more.
    Again,
}

pub(super) fn run(preparer: &Preparer, selection: &Selection, shard: Option<Shard>) -> Outcome {
    let mut sum = Sum::default();
    let mut out = anstream::stdout().lock();
    let most = preparer.max_file_bytes();
    let mut hopeless = None;
    let inputs = selection.images()?;
    let inputs = inputs
        .filter(|sighting| match (sighting, shard) {
            (Sighting::Found(found), Some(shard)) => shard.takes(found),
            _ => true,
        })
        .take_while(|sighting| {
            if let Sighting::Found(Err(unreadable)) = sighting
                && let Some(exit) = unreadable.hopeless
            {
                hopeless = Some(Failure::new(exit, unreadable.reason.clone()));
            }
            hopeless.is_none()
        });
    let done = in_order(
        inputs,
        |sighting| match sighting {
            Sighting::Found(Ok(Input::Object(object))) => Seen::Object(object.size),
            Sighting::Found(found) => Seen::Read(Box::new(preparer.prepare(preparer.load(found)))),
            Sighting::Again => Seen::Again,
        },
        |seen| match seen {
            Seen::Read(ready) => sum.add(&ready, &mut out),
            Seen::Object(size) => {
                sum.objects.add(size, most);
                Ok(())
            }
            Seen::Again => {
                sum = Sum::default();
                Ok(())
            }
        },
    );
    done.and_then(|()| sum.print(selection, &mut out))
        .map_err(|error| Failure::output(&error))?;
    if let Some(failure) = hopeless {
        return Err(failure);
    }
    match sum {
        Sum {
            files: 0,
            objects: Objects { number: 0, .. },
            ..
        } => Err(selection.nothing()),
        Sum { failed: 0, .. } => Ok(Exit::Done),
        _ => Ok(Exit::SomeFailed),
    }
}

impl Objects {
    fn add(&mut self, size: Option<u64>, most: u64) {
        self.number += 1;
        match size {
            Some(size) if size > most => self.too_large += 1,
            Some(size) => self.bytes += size,
            None => self.unknown += 1,
        }
    }

    fn print(&self, selection: &Selection, out: &mut dyn Write) -> io::Result<()> {
        if self.number == 0 {
            return Ok(());
        }
        let lists = selection.requests();
        writeln!(
            out,
            "{BOLD}{} objects{BOLD:#}, {} to get with {} requests; {} requests to list them",
            count(self.number),
            bytes(self.bytes),
            count(self.number - self.too_large),
            count(lists.list + lists.head),
        )?;
        let mut note = |number: u64, text: &str| match number {
            0 => Ok(()),
            _ => writeln!(out, "  {DIM}{:>8}{DIM:#}  {text}", count(number)),
        };
        note(
            self.too_large,
            "too large to be classified: would not be asked for",
        )?;
        note(self.unknown, "of unknown size")?;
        note(selection.skipped(), "left out by --glob")?;
        note(selection.filtered(), "left out for their size or age")
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
        self.objects.print(selection, out)?;
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
