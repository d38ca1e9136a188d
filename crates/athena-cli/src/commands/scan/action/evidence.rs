//! Whether a file is still the one that was judged, and the record of what was done with it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use athena_outcome::{ActionKind, PathText, Record};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Acted, Job};
use crate::failure::{Failure, Outcome, reason};

/// The judged file, open: whatever happens to its name, this is it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    pub(super) sha256: String,
}

impl Judged {
    /// Opens the file and holds it against what was judged: size and digest, by its handle.
    pub(super) fn open(path: &Path, record: &Record) -> Result<Self, String> {
        let (Some(judged), Some(bytes)) = (&record.sha256, record.bytes) else {
            return Err("its content was not read".to_owned());
        };
        let (mut file, metadata) = crate::input::open(path).map_err(|error| reason(&error))?;
        let changed = || "it is no longer the file that was judged".to_owned();
        if metadata.len() != bytes {
            return Err(changed());
        }
        let sha256 = digest(&mut file).map_err(|error| reason(&error))?;
        let now = file.metadata().map_err(|error| reason(&error))?;
        if sha256 != *judged || !unchanged(&metadata, &now) {
            return Err(changed());
        }
        Ok(Self {
            file,
            metadata,
            sha256,
        })
    }

    /// Whether the path, itself and not what it may link to, is this file and as it was.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|there| {
            same_file(&self.metadata, &there) && unchanged(&self.metadata, &there)
        })
    }
}

fn unchanged(then: &Metadata, now: &Metadata) -> bool {
    then.len() == now.len() && then.modified().ok() == now.modified().ok()
}

#[cfg(unix)]
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// SHA-256 of the whole file, in hexadecimal.
pub(super) fn digest(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&sha256.finalize()));
        }
        sha256.update(&buffer[..read]);
    }
}

/// `--action-log`: one JSON line for each action.
#[derive(Debug)]
pub(in crate::commands::scan) struct ActionLog(File);

#[derive(Serialize)]
struct Entry<'a> {
    time: String,
    kind: ActionKind,
    /// Of a file.
    #[serde(flatten)]
    path: Option<PathText>,
    /// Of an object, with what tells its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<PathText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Of the file as it was judged.
    judged_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256_before: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256_after: Option<&'a str>,
    bytes: Option<u64>,
    pcsam: Option<f32>,
    known_match: Option<bool>,
    correlation_id: Option<&'a str>,
}

impl ActionLog {
    /// Appends to what is there.
    pub(in crate::commands::scan) fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(Self).map_err(|error| {
            let cause = format!("cannot write {}: {}", path.display(), reason(&error));
            Failure::local(cause)
        })
    }

    pub(in crate::commands::scan) fn write(
        &mut self,
        acted: &Acted,
        kind: ActionKind,
    ) -> io::Result<()> {
        let Acted {
            job: Job { file, record, .. },
            taken,
        } = acted;
        let done = taken.as_ref().ok();
        let entry = Entry {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            kind,
            path: (record.url.is_none()).then(|| PathText::from(file.as_path())),
            url: record.url.as_deref(),
            etag: record.etag.as_deref(),
            object_version: record.object_version.as_deref(),
            to: done
                .and_then(|taken| taken.to.as_deref())
                .map(PathText::from),
            error: taken.as_ref().err().map(String::as_str),
            judged_sha256: record.sha256.as_deref(),
            sha256_before: done.map(|taken| taken.before.as_str()),
            sha256_after: done.and_then(|taken| taken.after.as_deref()),
            bytes: record.bytes,
            pcsam: record.scores.pcsam,
            known_match: record.scores.known_match,
            correlation_id: record.correlation_id.as_deref(),
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }

    /// Puts it on disk: before the lines of the output that say the same.
    pub(in crate::commands::scan) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
