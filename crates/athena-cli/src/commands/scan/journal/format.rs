//! The journal's bytes: a header with the settings of the scan, then entries of 48 bytes.

use std::fs::File;
use std::io::{self, Read};

use super::Key;

const MAGIC: &[u8; 16] = b"athena-scan-2\r\n\0";
/// The format before this one, whose header held a digest that nobody could read.
const MAGIC_1: &[u8; 16] = b"athena-scan-1\r\n\0";
/// Magic, length and checksum of the settings.
const FIXED_BYTES: usize = 24;
/// The longest settings that are believed.
const MOST_SETTINGS: usize = 64 * 1024;
pub(super) const ENTRY_BYTES: usize = 48;

/// The first bytes of a journal: what it is, and the settings it was written with.
pub(super) fn header(settings: &str) -> Vec<u8> {
    let mut header = Vec::with_capacity(FIXED_BYTES + settings.len());
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&(settings.len() as u32).to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(settings.as_bytes()).to_le_bytes());
    header.extend_from_slice(settings.as_bytes());
    header
}

/// What stands at the head of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The settings of the scan.
    Settings(String),
    /// Stopped before it was written in full: nothing was finished.
    Incomplete,
    /// Of an earlier version of this program.
    Earlier,
    /// Something else.
    Foreign,
}

/// Reads the header; the reader stands at the first entry then.
pub(super) fn read_header(journal: &mut impl Read) -> io::Result<Header> {
    let mut fixed = Vec::new();
    journal.take(FIXED_BYTES as u64).read_to_end(&mut fixed)?;
    let magic = &fixed[..fixed.len().min(MAGIC.len())];
    if magic == MAGIC_1 {
        return Ok(Header::Earlier);
    }
    if !MAGIC.starts_with(magic) {
        return Ok(Header::Foreign);
    }
    let Some([l0, l1, l2, l3, c0, c1, c2, c3]) = fixed.get(16..FIXED_BYTES) else {
        return Ok(Header::Incomplete);
    };
    let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    let crc = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    if length > MOST_SETTINGS {
        return Ok(Header::Foreign);
    }
    let mut settings = Vec::new();
    journal.take(length as u64).read_to_end(&mut settings)?;
    if settings.len() < length {
        return Ok(Header::Incomplete);
    }
    if crc32fast::hash(&settings) != crc {
        return Ok(Header::Foreign);
    }
    Ok(String::from_utf8(settings).map_or(Header::Foreign, Header::Settings))
}

/// What the journal says of a stretch of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A finished image.
    Line {
        path: Key,
        /// Zero when it was not asked for.
        content: Key,
        /// Where the line ends in the output, its line break included.
        end: u64,
        crc: u32,
    },
    /// A line that is not a result of ours: a user's, and left alone.
    Foreign { end: u64 },
    /// When this was written everything before it was on disk.
    Mark { end: u64 },
}

/// What stands in the place of a content in entries without a path.
const MARK: Key = 0;
const FOREIGN: Key = 1;

impl Entry {
    pub(super) fn end(self) -> u64 {
        match self {
            Self::Line { end, .. } | Self::Foreign { end } | Self::Mark { end } => end,
        }
    }

    /// The entry once so many bytes before its line are gone.
    pub(super) fn moved_back(mut self, bytes: u64) -> Self {
        match &mut self {
            Self::Line { end, .. } | Self::Foreign { end } | Self::Mark { end } => *end -= bytes,
        }
        self
    }

    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let (path, content, end, line_crc) = match self {
            Self::Line {
                path,
                content,
                end,
                crc,
            } => (path, content, end, crc),
            Self::Foreign { end } => (0, FOREIGN, end, 0),
            Self::Mark { end } => (0, MARK, end, 0),
        };
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&path.to_le_bytes());
        bytes[16..32].copy_from_slice(&content.to_le_bytes());
        bytes[32..40].copy_from_slice(&end.to_le_bytes());
        bytes[40..44].copy_from_slice(&line_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..44]);
        bytes[44..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            let mut part = [0; N];
            part.copy_from_slice(&bytes[at..at + N]);
            part
        }
        if u32::from_le_bytes(part(bytes, 44)) != crc32fast::hash(&bytes[..44]) {
            return None;
        }
        let path = Key::from_le_bytes(part(bytes, 0));
        let content = Key::from_le_bytes(part(bytes, 16));
        let end = u64::from_le_bytes(part(bytes, 32));
        let crc = u32::from_le_bytes(part(bytes, 40));
        match (path, content) {
            (0, MARK) => Some(Self::Mark { end }),
            (0, FOREIGN) => Some(Self::Foreign { end }),
            (0, _) => None,
            _ => Some(Self::Line {
                path,
                content,
                end,
                crc,
            }),
        }
    }
}

/// Entries up to the first that is damaged or incomplete.
#[derive(Debug)]
pub(super) struct Entries<'a>(pub(super) io::BufReader<&'a File>);

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let mut bytes = [0; ENTRY_BYTES];
        self.0.read_exact(&mut bytes).ok()?;
        Entry::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_half_of_one_is_told_from_another_file() {
        let whole = header("{\"payload\":\"raw\"}");
        for cut in 0..whole.len() {
            let read = read_header(&mut &whole[..cut]).expect("read");
            assert_eq!(read, Header::Incomplete, "cut at {cut}");
        }
        let read = read_header(&mut whole.as_slice()).expect("read");
        assert_eq!(read, Header::Settings("{\"payload\":\"raw\"}".to_owned()));
        let mut damaged = whole.clone();
        *damaged.last_mut().expect("bytes") ^= 1;
        let read = read_header(&mut damaged.as_slice()).expect("read");
        assert_eq!(read, Header::Foreign);
        let read = read_header(&mut &b"path,status\n"[..]).expect("read");
        assert_eq!(read, Header::Foreign);
        let read = read_header(&mut &b"athena-scan-1\r\n\0rest"[..]).expect("read");
        assert_eq!(read, Header::Earlier);
    }

    #[test]
    fn entries_read_back() {
        for entry in [
            Entry::Line {
                path: 7,
                content: 0,
                end: 9,
                crc: 3,
            },
            Entry::Foreign { end: 4 },
            Entry::Mark { end: 12 },
        ] {
            assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
        }
    }
}
