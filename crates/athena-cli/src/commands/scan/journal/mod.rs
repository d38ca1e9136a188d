//! The scan's output and the journal beside it: what is finished stays finished, line by line.
//!
//! A result is a line in the output and then an entry in the journal, in that order. Whatever
//! stops the process between two writes, the journal never names a line that is not there in full;
//! a whole line that it does not name yet is taken over on resume, half of one is cut off.
//!
//! The journal is a header with the scan's settings and entries of 48 bytes: lines, foreign text, and
//! marks. When a mark was written everything before it was on disk. On resume each line is held against its checksum, see [`survey`].
//!
//! Where an image is done again its new line is appended, and its old one goes when the scan ends.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use athena_outcome::Record;
use athena_sources::Location;
use sha2::{Digest, Sha256};

use self::format::{ENTRY_BYTES, Entries, Entry, Header, header, read_header};
use self::lock::Locked;
pub(super) use self::survey::{Earlier, Wanted};
use super::settings::Settings;
pub(super) use crate::commands::seen::{Key, digest_key};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::input::{Found, Input, real, shown_url};

mod format;
mod lock;
mod survey;

/// How images are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keys {
    /// By their paths' bytes as given.
    #[default]
    AsGiven,
    /// By what their paths lead to, however they are written.
    Canonical,
}

impl Keys {
    pub(super) fn of(self, found: &Found) -> Key {
        match found {
            Ok(Input::Object(object)) => {
                let version = object.version.as_deref().or(object.etag.as_deref());
                object_key(&object.location.to_string(), version)
            }
            Ok(input) => self.of_path(&input.path()),
            Err(unreadable) => match unreadable.path.to_str() {
                Some(url) if Location::is_meant_by(url) => object_key(&shown_url(url), None),
                _ => self.of_path(&unreadable.path),
            },
        }
    }

    fn of_path(self, path: &Path) -> Key {
        let real = match self {
            Self::AsGiven => None,
            Self::Canonical => real(path),
        };
        let path = real.as_deref().unwrap_or(path);
        digest_key(&Sha256::digest(path.as_os_str().as_encoded_bytes()).into())
    }

    /// The key of the image that a line is about.
    pub(super) fn of_record(self, record: &Record) -> Option<Key> {
        let Some(path) = &record.path else {
            let version = record.object_version.as_deref().or(record.etag.as_deref());
            return Some(object_key(record.url.as_deref()?, version));
        };
        Some(self.of_path(&path.to_path()?))
    }
}

/// The key of one version of an object: by what was known of it before its bytes were.
fn object_key(url: &str, version: Option<&str>) -> Key {
    let mut digest = Sha256::new();
    // Longer than any path could be taken for.
    digest.update(b"object\0");
    digest.update(url);
    digest.update([0]);
    digest.update(version.unwrap_or(""));
    digest_key(&digest.finalize().into())
}

/// The key of the content that a line is about; zero when it was not read.
pub(super) fn content_of(record: &Record) -> Key {
    record.sha256.as_deref().map_or(0, hex_key)
}

/// The same from hexadecimal digits; zero when they are none.
fn hex_key(sha256: &str) -> Key {
    let big_endian = sha256.get(..32).filter(|_| sha256.len() == 64);
    big_endian
        .and_then(|digits| Key::from_str_radix(digits, 16).ok())
        .map_or(0, Key::swap_bytes)
}

/// Where a line stands in the output, without its line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A finished image on its way into the files.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) path: Key,
    pub(super) content: Key,
    /// The text with its line break.
    pub(super) text: Vec<u8>,
}

/// The two files, open for appending. The journal is locked against a second scan.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    output: File,
    journal: Locked,
    /// Where the entries start.
    first: u64,
    end: u64,
    /// How many entries there are.
    entries: u64,
    dirty: bool,
    superseded: Vec<Span>,
}

impl Journal {
    /// Starts anew; existing files are overwritten only when `force` is set.
    pub(super) fn create(path: &Path, settings: &Settings, force: bool) -> Outcome<Self> {
        if !force && path.exists() {
            return Err(
                Failure::new(Exit::Usage, format!("{} exists already", path.display()))
                    .remedy("--resume continues that scan, --force starts again"),
            );
        }
        let journal = Locked::new(open(&journal_path(path))?, path)?;
        let output = open(path)?;
        Self::start(path, journal, output, settings).map_err(|error| Failure::output(&error))
    }

    fn start(
        path: &Path,
        mut journal: Locked,
        output: File,
        settings: &Settings,
    ) -> io::Result<Self> {
        let header = header(&settings.encode());
        journal.0.set_len(0)?;
        journal.0.seek(SeekFrom::Start(0))?;
        output.set_len(0)?;
        journal.0.write_all(&header)?;
        // Lines are worth nothing without the settings that they were made with.
        journal.0.sync_data()?;
        Ok(Self {
            path: path.to_owned(),
            output,
            journal,
            first: header.len() as u64,
            end: 0,
            entries: 0,
            dirty: true,
            superseded: Vec::new(),
        })
    }

    /// Continues an earlier scan: says what is finished, and puts the journal in order.
    pub(super) fn resume(
        path: &Path,
        settings: &Settings,
        wanted: Wanted<'_>,
    ) -> Outcome<(Self, Earlier)> {
        let journal_path = journal_path(path);
        let refuse = |what: &str, remedy: &str| {
            let cause = format!("{} {what}", journal_path.display());
            Failure::local(cause).remedy(remedy)
        };
        if !journal_path.exists() {
            if path.exists() {
                return Err(Failure::local(format!(
                    "{} has no journal ({})",
                    path.display(),
                    journal_path.display()
                ))
                .remedy("it was not written by a scan; choose another --output"));
            }
            return Ok((Self::create(path, settings, false)?, Earlier::default()));
        }
        let mut journal = Locked::new(open(&journal_path)?, path)?;
        let mut output = open(path)?;
        let failed = |error: io::Error| {
            Failure::local(format!(
                "cannot read {}: {}",
                journal_path.display(),
                reason(&error)
            ))
        };
        let another = "choose another --output";
        match read_header(&mut journal.0).map_err(failed)? {
            Header::Settings(text) => {
                let then = Settings::decode(&text)
                    .ok_or_else(|| refuse("has settings that cannot be read", another))?;
                if let Some(difference) = then.difference(settings) {
                    let cause = format!(
                        "{} was written with other settings: {difference}",
                        path.display()
                    );
                    return Err(Failure::new(Exit::Usage, cause).remedy(
                        "resume with the options of the first run, or choose another --output",
                    ));
                }
            }
            Header::Incomplete if output.metadata().map_err(failed)?.len() == 0 => {
                // Stopped before the first line: nothing was finished.
                let journal = Self::start(path, journal, output, settings);
                let journal = journal.map_err(|error| Failure::output(&error))?;
                return Ok((journal, Earlier::default()));
            }
            Header::Incomplete => {
                return Err(refuse("has lost its beginning", another));
            }
            Header::Earlier => {
                let remedy = "finish with that version, or choose another --output";
                return Err(refuse("is of an earlier version of athena", remedy));
            }
            Header::Foreign => return Err(refuse("is not a scan journal", another)),
        }
        let first = journal.0.stream_position().map_err(failed)?;
        let mut wanted = wanted;
        let mut survey = survey::survey(&mut journal.0, first, &output, wanted).map_err(failed)?;
        // Entries from the first difference on are written anew, without marks: they have other numbers then.
        let intact =
            survey.gone == 0 && survey.superseded.is_empty() && survey.agreeing >= wanted.covered;
        if !intact && wanted.covered > 0 {
            // What was said of the first lines counts no more.
            wanted.covered = 0;
            survey = survey::survey(&mut journal.0, first, &output, wanted).map_err(failed)?;
        }
        survey.earlier.intact = intact;
        let mut put_in_order = || -> io::Result<()> {
            if survey.unended {
                output.seek(SeekFrom::Start(survey.end - 1))?;
                output.write_all(b"\n")?;
            }
            output.set_len(survey.end)?;
            output.seek(SeekFrom::Start(survey.end))?;
            let end = first + survey.agreeing * ENTRY_BYTES as u64;
            journal.0.set_len(end)?;
            journal.0.seek(SeekFrom::Start(end))?;
            write_entries(&mut journal.0, &survey.entries)
        };
        put_in_order().map_err(failed)?;
        let resumed = Self {
            path: path.to_owned(),
            output,
            journal,
            first,
            end: survey.end,
            entries: survey.agreeing + survey.entries.len() as u64,
            dirty: true,
            superseded: survey.superseded,
        };
        Ok((resumed, survey.earlier))
    }

    /// How many entries the journal has.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Appends lines and then their entries. Returns where each line stands.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<Vec<Span>> {
        let mut text = Vec::new();
        let mut entries = Vec::with_capacity(lines.len());
        let mut spans = Vec::with_capacity(lines.len());
        let mut end = self.end;
        for line in lines {
            text.extend_from_slice(&line.text);
            let start = end;
            end += line.text.len() as u64;
            spans.push(Span {
                start,
                end: end - 1,
            });
            entries.push(Entry::Line {
                path: line.path,
                content: line.content,
                end,
                crc: crc32fast::hash(&line.text),
            });
        }
        self.output.write_all(&text)?;
        write_entries(&mut self.journal.0, &entries)?;
        self.entries += entries.len() as u64;
        self.end = end;
        self.dirty = true;
        Ok(spans)
    }

    /// A line's text, without its line break.
    pub(super) fn read(&self, span: Span) -> io::Result<Vec<u8>> {
        let mut output = File::open(&self.path)?;
        let mut text = Vec::new();
        output.seek(SeekFrom::Start(span.start))?;
        output
            .take(span.end.saturating_sub(span.start))
            .read_to_end(&mut text)?;
        Ok(text)
    }

    /// The line has a successor: it goes when the scan ends.
    pub(super) fn supersede(&mut self, span: Span) {
        self.superseded.push(span);
    }

    /// Puts everything on disk and marks it as done.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        self.output.sync_data()?;
        write_entries(&mut self.journal.0, &[Entry::Mark { end: self.end }])?;
        self.entries += 1;
        self.journal.0.sync_data()
    }

    /// The end of a scan: everything is on disk, and superseded lines are gone.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.superseded.is_empty() {
            return self.mark();
        }
        self.superseded.sort_by_key(|span| span.start);
        self.superseded.dedup();
        let entries = self.remaining_entries()?;
        // The new text takes the place of the old one in one step. The journal follows; should that
        // fail, the next resume finds every line by its path.
        self.replace_output()?;
        self.journal.0.set_len(self.first)?;
        self.journal.0.seek(SeekFrom::Start(self.first))?;
        write_entries(&mut self.journal.0, &entries)?;
        self.dirty = true;
        self.mark()
    }

    /// The entries as they are without the superseded lines.
    fn remaining_entries(&mut self) -> io::Result<Vec<Entry>> {
        self.journal.0.seek(SeekFrom::Start(self.first))?;
        let mut gone = self.superseded.iter().peekable();
        let (mut start, mut shift) = (0, 0);
        let mut remaining = Vec::new();
        for entry in Entries(BufReader::new(&self.journal.0)) {
            let length = entry.end() - start;
            let goes = length > 0 && gone.next_if(|span| span.start == start).is_some();
            start = entry.end();
            if goes {
                shift += length;
            } else if !matches!(entry, Entry::Mark { .. }) {
                remaining.push(entry.moved_back(shift));
            }
        }
        Ok(remaining)
    }

    fn replace_output(&mut self) -> io::Result<()> {
        // A link stays a link.
        let target = std::fs::canonicalize(&self.path)?;
        let mut name = OsString::from(&target);
        name.push(".new");
        let name = PathBuf::from(name);
        let mut new = File::create(&name)?;
        new.set_permissions(self.output.metadata()?.permissions())?;
        let nothing = Span {
            start: self.end,
            end: self.end,
        };
        let mut from = 0;
        for span in self.superseded.iter().chain([&nothing]) {
            self.output.seek(SeekFrom::Start(from))?;
            io::copy(&mut (&self.output).take(span.start - from), &mut new)?;
            from = span.end + 1;
        }
        new.sync_all()?;
        std::fs::rename(&name, &target)?;
        self.end = new.stream_position()?;
        self.output = new;
        self.superseded.clear();
        Ok(())
    }
}

fn write_entries(journal: &mut File, entries: &[Entry]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    for entry in entries {
        bytes.extend_from_slice(&entry.to_bytes());
    }
    journal.write_all(&bytes)
}

/// The journal's path: the output's with `.journal` added.
pub(super) fn journal_path(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".journal");
    PathBuf::from(name)
}

fn open(path: &Path) -> Outcome<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| {
            Failure::local(format!(
                "cannot write {}: {}",
                path.display(),
                reason(&error)
            ))
        })
}

#[cfg(test)]
mod tests;
