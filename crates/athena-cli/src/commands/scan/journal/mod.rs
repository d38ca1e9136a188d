//! The scan's output and the journal beside it: what is finished stays finished, line by line.
//!
//! A result is a line in the output and then an entry in the journal, in that order. Whatever
//! stops the process between two writes, the journal never names a line that is not there in full;
//! lines beyond the last entry are cut off on resume and their images classified again.
//!
//! The journal is a header and entries of 48 bytes. An entry with all keys zero is a mark: when it
//! was written, everything before it was on disk and every action had been taken. Lines after the
//! last mark are checked against their checksums on resume, since a power failure may have kept the
//! entry and lost the line.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use self::format::{ENTRY_BYTES, Entry, HEADER_BYTES, MAGIC, header};
use self::lock::Locked;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};

mod format;
mod lock;

/// A path or a file's content: 128 bits of SHA-256. Zero stands for none.
pub(super) type Key = u128;

/// The key of a path, by its bytes as given.
pub(super) fn path_key(path: &Path) -> Key {
    digest_key(&Sha256::digest(path.as_os_str().as_encoded_bytes()).into())
}

/// The key of a file's content, from its SHA-256.
pub(super) fn digest_key(sha256: &[u8; 32]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&sha256[..16]);
    Key::from_le_bytes(key)
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
    output: File,
    journal: Locked,
    end: u64,
    dirty: bool,
}

/// What an earlier run has left.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Paths that are finished.
    pub(super) paths: HashSet<Key>,
    /// The line of each content.
    pub(super) contents: HashMap<Key, Span>,
    /// Lines since the last mark: their actions may not have been taken.
    pub(super) unmarked: Vec<Vec<u8>>,
}

impl Journal {
    /// Starts anew; existing files are overwritten only when `force` is set.
    pub(super) fn create(path: &Path, settings: &str, force: bool) -> Outcome<Self> {
        if !force && path.exists() {
            return Err(
                Failure::new(Exit::Usage, format!("{} exists already", path.display()))
                    .remedy("--resume continues that scan, --force starts again"),
            );
        }
        let journal_path = journal_path(path);
        let mut journal = Locked::new(open(&journal_path)?, path)?;
        let output = open(path)?;
        let write = |journal: &mut File| {
            journal.set_len(0)?;
            output.set_len(0)?;
            journal.write_all(&header(settings))
        };
        write(&mut journal.0).map_err(|error| Failure::output(&error))?;
        Ok(Self {
            output,
            journal,
            end: 0,
            dirty: true,
        })
    }

    /// Continues an earlier scan: forgets what was written half and returns what is finished.
    pub(super) fn resume(path: &Path, settings: &str) -> Outcome<(Self, Earlier)> {
        let journal_path = journal_path(path);
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
        let mut first = [0; HEADER_BYTES];
        let complete = journal.0.read_exact(&mut first).is_ok();
        if complete && first[..16] != MAGIC[..] {
            return Err(Failure::local(format!(
                "{} is no scan journal",
                journal_path.display()
            )));
        }
        if !complete {
            // Stopped before the first line: nothing was finished.
            drop(journal);
            return Ok((Self::create(path, settings, true)?, Earlier::default()));
        }
        if first != header(settings) {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} was written with other settings", path.display()),
            )
            .remedy("resume with the options of the first run, or choose another --output"));
        }
        let (entries, end, earlier) = load(&journal.0, &mut output).map_err(failed)?;
        let mut resumed = Self {
            output,
            journal,
            end,
            dirty: true,
        };
        resumed.cut(entries).map_err(failed)?;
        Ok((resumed, earlier))
    }

    fn cut(&mut self, entries: u64) -> io::Result<()> {
        let journal_end = HEADER_BYTES as u64 + entries * ENTRY_BYTES as u64;
        self.output.set_len(self.end)?;
        self.output.seek(SeekFrom::Start(self.end))?;
        self.journal.0.set_len(journal_end)?;
        self.journal.0.seek(SeekFrom::Start(journal_end))?;
        Ok(())
    }

    /// Appends lines and then their entries. Returns where each line stands.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<Vec<Span>> {
        let mut text = Vec::new();
        let mut entries = Vec::with_capacity(lines.len() * ENTRY_BYTES);
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
            let entry = Entry {
                path: line.path,
                content: line.content,
                end,
                line_crc: crc32fast::hash(&line.text),
            };
            entries.extend_from_slice(&entry.to_bytes());
        }
        self.output.write_all(&text)?;
        self.journal.0.write_all(&entries)?;
        self.end = end;
        self.dirty = true;
        Ok(spans)
    }

    /// Puts everything on disk and marks it as done. Call it once the actions of all lines are taken.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        let mark = Entry {
            path: 0,
            content: 0,
            end: self.end,
            line_crc: 0,
        };
        self.output.sync_data()?;
        self.journal.0.write_all(&mark.to_bytes())?;
        self.journal.0.sync_data()
    }
}

/// Reads the entries up to the first that is damaged or whose line is: their number, the end of the
/// last line, and what they say.
fn load(journal: &File, output: &mut File) -> io::Result<(u64, u64, Earlier)> {
    let length = output.metadata()?.len();
    let mut reader = BufReader::new(journal);
    let mut entries = Vec::new();
    let mut marked = 0;
    let mut bytes = [0; ENTRY_BYTES];
    while reader.read_exact(&mut bytes).is_ok() {
        let Some(entry) = Entry::from_bytes(&bytes).filter(|entry| entry.end <= length) else {
            break;
        };
        entries.push(entry);
        if entry.is_mark() {
            marked = entries.len();
        }
    }
    let mut earlier = Earlier::default();
    let mut end = 0;
    let mut count = 0;
    for (index, entry) in entries.into_iter().enumerate() {
        if !entry.is_mark() {
            if index >= marked {
                let text = read_line(output, end, entry.end)?;
                if crc32fast::hash(&text) != entry.line_crc {
                    break;
                }
                earlier.unmarked.push(text);
            }
            earlier.paths.insert(entry.path);
            if entry.content != 0 {
                let span = Span {
                    start: end,
                    end: entry.end - 1,
                };
                earlier.contents.entry(entry.content).or_insert(span);
            }
        }
        end = entry.end;
        count += 1;
    }
    Ok((count, end, earlier))
}

fn read_line(output: &mut File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    output.seek(SeekFrom::Start(start))?;
    output
        .take(end.saturating_sub(start))
        .read_to_end(&mut text)?;
    Ok(text)
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
mod tests {
    use super::*;

    fn line(n: u32) -> Line {
        Line {
            path: Key::from(n) + 1,
            content: Key::from(n % 3) + 1,
            text: format!("{{\"n\":{n}}}\n").into_bytes(),
        }
    }

    fn scan(path: &Path, lines: std::ops::Range<u32>) -> Journal {
        let mut journal = Journal::create(path, "s", true).expect("create");
        for n in lines {
            journal.append(&[line(n)]).expect("append");
        }
        journal
    }

    fn numbers(path: &Path) -> Vec<u32> {
        let text = std::fs::read_to_string(path).expect("read");
        let digits = |line: &str| {
            line.trim_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .ok()
        };
        text.lines().filter_map(digits).collect()
    }

    #[test]
    fn cut_anywhere_it_resumes_with_every_whole_line_and_no_other() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.jsonl");
        drop(scan(&path, 0..20));
        let output = std::fs::read(&path).expect("read");
        let journal = std::fs::read(journal_path(&path)).expect("read");
        for cut in 0..=journal.len() {
            std::fs::write(&path, &output).expect("write");
            std::fs::write(journal_path(&path), &journal[..cut]).expect("write");
            let whole = cut.saturating_sub(HEADER_BYTES) / ENTRY_BYTES;
            let (mut resumed, earlier) = Journal::resume(&path, "s").expect("resume");
            assert_eq!(earlier.paths.len(), whole, "journal cut at {cut}");
            let rest: Vec<Line> = (0..20)
                .map(line)
                .filter(|line| !earlier.paths.contains(&line.path))
                .collect();
            resumed.append(&rest).expect("append");
            assert_eq!(numbers(&path), (0..20).collect::<Vec<_>>());
        }
        for cut in 0..=output.len() {
            std::fs::write(&path, &output[..cut]).expect("write");
            std::fs::write(journal_path(&path), &journal).expect("write");
            let (_, earlier) = Journal::resume(&path, "s").expect("resume");
            let whole = output[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(earlier.paths.len(), whole, "output cut at {cut}");
        }
    }

    #[test]
    fn a_line_lost_by_a_power_failure_is_done_again() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.jsonl");
        let mut journal = scan(&path, 0..5);
        journal.mark().expect("mark");
        journal.append(&[line(5), line(6)]).expect("append");
        drop(journal);
        let mut output = std::fs::read(&path).expect("read");
        let last = output.len() - 3;
        output[last] = 0;
        std::fs::write(&path, &output).expect("write");
        let (_, earlier) = Journal::resume(&path, "s").expect("resume");
        assert_eq!(earlier.paths.len(), 6);
        assert_eq!(earlier.unmarked, [line(5).text]);
        assert_eq!(numbers(&path), (0..6).collect::<Vec<_>>());
    }

    #[test]
    fn the_line_of_a_content_can_be_read_back() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.jsonl");
        drop(scan(&path, 0..6));
        let (_, earlier) = Journal::resume(&path, "s").expect("resume");
        let span = earlier.contents[&2];
        let text = std::fs::read(&path).expect("read");
        let line = &text[span.start as usize..span.end as usize];
        assert_eq!(line, b"{\"n\":1}");
    }

    #[test]
    fn a_scan_is_not_overwritten_doubled_or_resumed_with_other_settings() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("out.jsonl");
        let first = scan(&path, 0..2);
        let second = Journal::resume(&path, "s").expect_err("locked");
        assert!(second.to_string().contains("another scan"), "{second}");
        drop(first);
        assert!(Journal::create(&path, "s", false).is_err());
        assert!(Journal::resume(&path, "other").is_err());
        assert_eq!(numbers(&path), [0, 1]);
    }
}
