//! Reading what an earlier run has left: every line of the output is held against the journal.
//!
//! As long as both agree they are read side by side. From the first line on that the journal does not
//! know as it is (removed, edited or added by hand, or lost by a power failure) lines are told by the
//! path that they name. Nothing that somebody may have written by hand is ever removed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use athena_outcome::Record;
use athena_sources::Location;

use super::format::{Entries, Entry};
use super::{Key, Keys, Span, content_of};
use crate::commands::scan::retry::Retry;
use crate::commands::scan::tally::Tally;
use crate::commands::scan::threshold::{Threshold, matches};
use crate::commands::seen::Seen;
use crate::input::{Place, Rest};
use crate::output::terminal::count;

/// Longer lines are none of ours.
const LONGEST_LINE: u64 = 1 << 20;

/// What a run wants to know of earlier ones.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands::scan) struct Wanted<'a> {
    pub(in crate::commands::scan) thresholds: &'a [Threshold],
    /// Failed images to do again.
    pub(in crate::commands::scan) retry: Option<&'a Retry>,
    /// Whether matches without an action are to be found.
    pub(in crate::commands::scan) actions: bool,
    /// Whether the lines of contents are to be found.
    pub(in crate::commands::scan) contents: bool,
    pub(in crate::commands::scan) keys: Keys,
    /// So many entries at the start of the journal are of objects that are not listed again.
    pub(in crate::commands::scan) covered: u64,
    /// The prefixes that are listed, in their order; empty where there is other input.
    pub(in crate::commands::scan) prefixes: &'a [Location],
    /// What is left to list of them.
    pub(in crate::commands::scan) rests: &'a [Rest],
}

/// What an earlier run has left.
#[derive(Debug, Default)]
pub(in crate::commands::scan) struct Earlier {
    /// Paths that are finished.
    pub(in crate::commands::scan) paths: Seen,
    /// The line of each content.
    pub(in crate::commands::scan) contents: HashMap<Key, Span>,
    /// Failed images to do again, and where their lines are.
    pub(in crate::commands::scan) retry: HashMap<Key, Span>,
    /// Matches whose action was not taken, or failed.
    pub(in crate::commands::scan) due: Vec<Span>,
    /// No line has gone or changed its place since it was written.
    pub(in crate::commands::scan) intact: bool,
    /// Of what is left to list, the last key of each range, by its number, that has a line.
    pub(in crate::commands::scan) furthest: HashMap<usize, String>,
    /// All lines but those in `retry`.
    pub(in crate::commands::scan) tally: Tally,
    /// What the user has to know, in sentences.
    pub(in crate::commands::scan) notes: Vec<String>,
}

/// What the survey found, and what the files need before they can grow again.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) earlier: Earlier,
    /// Entries at the start of the journal that agree with the output.
    pub(super) agreeing: u64,
    /// What the journal has to say after them.
    pub(super) entries: Vec<Entry>,
    /// Where the next line goes.
    pub(super) end: u64,
    /// The last line lacks its line break.
    pub(super) unended: bool,
    /// Lines that are to go: each has a successor, or holds nothing.
    pub(super) superseded: Vec<Span>,
    /// Lines that are no longer there.
    pub(super) gone: u64,
    /// Paths that have further entries.
    again: HashMap<Key, u32>,
    lines: u64,
    edited: u64,
    adopted: u64,
    strange: Vec<u64>,
}

/// Holds the output against the entries, which start at `first` in the journal.
pub(super) fn survey(
    journal: &mut File,
    first: u64,
    output: &File,
    wanted: Wanted<'_>,
) -> io::Result<Survey> {
    let mut survey = Survey::default();
    journal.seek(SeekFrom::Start(first))?;
    for (number, entry) in (0_u64..).zip(Entries(BufReader::new(journal))) {
        match entry {
            Entry::Line { .. } if number < wanted.covered => {}
            Entry::Line { path, .. } => {
                if !survey.earlier.paths.insert(path) {
                    *survey.again.entry(path).or_default() += 1;
                }
            }
            Entry::Mark { .. } | Entry::Foreign { .. } => {}
        }
    }
    journal.seek(SeekFrom::Start(first))?;
    let mut entries = Entries(BufReader::new(journal));
    let mut lines = BufReader::with_capacity(1 << 17, output);
    lines.seek(SeekFrom::Start(0))?;
    let mut left = HashMap::new();
    for entry in entries.by_ref() {
        if !survey.agrees(entry, &mut lines, wanted)? {
            left.extend(line_of(entry));
            break;
        }
        survey.agreeing += 1;
    }
    left.extend(entries.filter_map(line_of));
    lines.seek(SeekFrom::Start(survey.end))?;
    survey.line_by_line(&mut lines, &mut left, wanted)?;
    survey.conclude(&left);
    Ok(survey)
}

fn line_of(entry: Entry) -> Option<(Key, u32)> {
    match entry {
        Entry::Line { path, crc, .. } => Some((path, crc)),
        _ => None,
    }
}

impl Survey {
    /// Whether the output goes on as the entry says.
    fn agrees(
        &mut self,
        entry: Entry,
        lines: &mut BufReader<&File>,
        wanted: Wanted<'_>,
    ) -> io::Result<bool> {
        let Some(length) = entry.end().checked_sub(self.end) else {
            return Ok(false);
        };
        match entry {
            Entry::Mark { .. } => return Ok(length == 0),
            Entry::Foreign { .. } => {
                // It may have any length; that it ends a line is all that matters.
                let Some(before) = length.checked_sub(1) else {
                    return Ok(false);
                };
                let mut last = Vec::new();
                lines.seek_relative(i64::try_from(before).unwrap_or(i64::MAX))?;
                lines.take(1).read_to_end(&mut last)?;
                if last != b"\n" {
                    return Ok(false);
                }
            }
            Entry::Line {
                path, content, crc, ..
            } => {
                if length > LONGEST_LINE {
                    return Ok(false);
                }
                let mut text = Vec::new();
                lines.take(length).read_to_end(&mut text)?;
                if text.len() as u64 != length || crc32fast::hash(&text) != crc {
                    return Ok(false);
                }
                let span = Span {
                    start: self.end,
                    end: entry.end() - 1,
                };
                self.ours(path, content, span, &text, wanted);
            }
        }
        self.end = entry.end();
        self.lines += 1;
        Ok(true)
    }

    /// A line as it was written.
    fn ours(&mut self, path: Key, content: Key, span: Span, text: &[u8], wanted: Wanted<'_>) {
        if let Some(more) = self.again.get_mut(&path)
            && *more > 0
        {
            *more -= 1;
            self.superseded.push(span);
            return;
        }
        let Ok(mut record) = serde_json::from_slice::<Record>(text) else {
            self.strange.push(self.lines + 1);
            return;
        };
        // Of lines that were changed or added by hand nothing is moved.
        if self.agreeing >= wanted.covered {
            self.note_place(&record, wanted);
        }
        let acted = (record.action.as_ref()).is_some_and(|action| action.error.is_none());
        if wanted.actions && !acted && matches(wanted.thresholds, &record) {
            self.earlier.due.push(span);
            record.action = None;
        }
        self.counted(path, content, span, &record, wanted);
    }

    /// Notes how far the listings had come.
    fn note_place(&mut self, record: &Record, wanted: Wanted<'_>) {
        if let Some(Place { range, key }) = Place::of(record, wanted.prefixes, wanted.rests) {
            let furthest = self.earlier.furthest.entry(range).or_default();
            if key > *furthest {
                *furthest = key;
            }
        }
    }

    /// Counts a line, unless its image is to be done again.
    fn counted(
        &mut self,
        path: Key,
        content: Key,
        span: Span,
        record: &Record,
        wanted: Wanted<'_>,
    ) {
        if wanted.retry.is_some_and(|retry| retry.wants(record)) {
            self.earlier.retry.insert(path, span);
            self.earlier.due.pop_if(|due| *due == span);
            return;
        }
        if wanted.contents && content != 0 {
            self.earlier.contents.entry(content).or_insert(span);
        }
        let matched = matches(wanted.thresholds, record);
        self.earlier.tally.add(record, matched);
    }

    /// The rest of the output, told by the paths that its lines name.
    fn line_by_line(
        &mut self,
        lines: &mut BufReader<&File>,
        left: &mut HashMap<Key, u32>,
        wanted: Wanted<'_>,
    ) -> io::Result<()> {
        loop {
            let mut text = Vec::new();
            let mut length = lines.take(LONGEST_LINE).read_until(b'\n', &mut text)? as u64;
            if length == 0 {
                return Ok(());
            }
            let mut ended = text.ends_with(b"\n");
            if !ended && length == LONGEST_LINE {
                let (rest, newline) = skip_line(lines)?;
                length += rest;
                ended = newline;
            }
            let record = serde_json::from_slice::<Record>(&text).ok();
            if !ended {
                if record.is_none() && (text.starts_with(b"{\"") || text.contains(&0)) {
                    let note = "the last line was written half: it was cut off, and is done again";
                    self.earlier.notes.push(note.to_owned());
                    return Ok(());
                }
                text.push(b'\n');
                length += 1;
                self.unended = true;
            }
            let span = Span {
                start: self.end,
                end: self.end + length - 1,
            };
            self.end += length;
            self.lines += 1;
            let entry = self.by_path(span, &text, record, left, wanted);
            self.entries.push(entry);
        }
    }

    fn by_path(
        &mut self,
        span: Span,
        text: &[u8],
        record: Option<Record>,
        left: &mut HashMap<Key, u32>,
        wanted: Wanted<'_>,
    ) -> Entry {
        let end = span.end + 1;
        let foreign = Entry::Foreign { end };
        let Some(record) = record else {
            if text.contains(&0) {
                // What a power failure leaves of a line.
                self.superseded.push(span);
            } else if !text.trim_ascii().is_empty() {
                self.strange.push(self.lines);
            }
            return foreign;
        };
        let Some(path) = wanted.keys.of_record(&record) else {
            self.strange.push(self.lines);
            return foreign;
        };
        let crc = crc32fast::hash(text);
        if self.again.contains_key(&path) && left.get(&path).is_some_and(|last| *last != crc) {
            self.superseded.push(span);
            return foreign;
        }
        match left.remove(&path) {
            Some(written) => self.edited += u64::from(written != crc),
            None if self.earlier.paths.insert(path) => self.adopted += 1,
            None => {
                self.strange.push(self.lines);
                return foreign;
            }
        }
        let content = content_of(&record);
        self.note_place(&record, wanted);
        self.counted(path, content, span, &record, wanted);
        Entry::Line {
            path,
            content,
            end,
            crc,
        }
    }

    fn conclude(&mut self, left: &HashMap<Key, u32>) {
        for path in left.keys().chain(self.earlier.retry.keys()) {
            self.earlier.paths.remove(*path);
        }
        self.gone = left.len() as u64;
        let mut note = |number: u64, text: &str| {
            if number > 0 {
                let note = format!("{} {text}", count(number));
                self.earlier.notes.push(note);
            }
        };
        note(
            left.len() as u64,
            "lines are gone from the output: their images are done again",
        );
        note(self.edited, "lines were edited: they count as they are now");
        note(
            self.adopted,
            "lines that the journal did not know are results: they count",
        );
        if let Some(first) = self.strange.first() {
            let others = match self.strange.len() - 1 {
                0 => String::new(),
                more => format!(" (and {} more)", count(more as u64)),
            };
            let note = format!(
                "line {first}{others} is not a result, or the second one of its image: it stays, and does not count"
            );
            self.earlier.notes.push(note);
        }
    }
}

/// Goes on to the end of a line: how many bytes that were, and whether it has an end.
fn skip_line(lines: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let buffer = lines.fill_buf()?;
        if buffer.is_empty() {
            return Ok((skipped, false));
        }
        let newline = buffer.iter().position(|byte| *byte == b'\n');
        let used = newline.map_or(buffer.len(), |at| at + 1);
        lines.consume(used);
        skipped += used as u64;
        if newline.is_some() {
            return Ok((skipped, true));
        }
    }
}
