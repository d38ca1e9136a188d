//! The first step of an image: what happens on the pool, before anybody is asked.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use athena_outcome::Record;
use tokio::sync::oneshot;

use super::dedupe::{Dedupe, Turn, duplicate};
use super::journal::{Key, digest_key};
use super::writer::Finished;
use crate::failure::reason;
use crate::input::Roots;
use crate::prepare::{Loaded, Preparer, Ready};

/// What the first, blocking step makes of a file. All of it happens in one turn on the pool, so that
/// no more files are held in memory than there are threads.
#[derive(Debug)]
pub(super) enum Step {
    Ready(Box<Ready>),
    /// The content has been judged under another path.
    Duplicate(Box<Finished>),
    /// It cannot be read, by no fault of the file.
    Lost(PathBuf, String),
    /// The content is being judged under another path.
    Wait(oneshot::Receiver<Option<Record>>, Box<Duplicate>),
}

/// A file whose content is that of another one.
#[derive(Debug)]
pub(super) struct Duplicate {
    key: Key,
    file: PathBuf,
    content: Key,
    record: Record,
}

impl Duplicate {
    pub(super) fn with_record_of(self, first: Record) -> Finished {
        let record = duplicate(first, self.record);
        finished(self.key, self.file, self.content, record)
    }
}

/// Reads a file, where nobody has, and prepares what it holds, unless its content has been judged or is being judged.
pub(super) fn prepare(
    preparer: &Preparer,
    dedupe: &Dedupe,
    roots: &Roots,
    key: Key,
    loaded: Loaded,
) -> io::Result<Step> {
    if let Some(trouble) = &loaded.trouble
        && roots.lost(trouble, &loaded.file)
    {
        let why = reason(trouble);
        return Ok(Step::Lost(loaded.file, why));
    }
    let sha256 = dedupe.is_on().then(|| loaded.sha256()).flatten();
    let content = content_key(sha256.as_ref());
    let turn = dedupe.turn(content)?;
    let own = |loaded: Loaded| Duplicate {
        key,
        content,
        file: loaded.file,
        record: loaded.record,
    };
    Ok(match turn {
        Turn::First => Step::Ready(Box::new(preparer.prepare(loaded))),
        Turn::Known(first) => Step::Duplicate(Box::new(own(loaded).with_record_of(*first))),
        Turn::Wait(first) => Step::Wait(first, Box::new(own(loaded))),
    })
}

/// The key of a content; zero when there is none.
pub(super) fn content_key(sha256: Option<&[u8; 32]>) -> Key {
    sha256.map_or(0, digest_key)
}

/// An image that is to get its line.
pub(super) fn finished(key: Key, file: PathBuf, content: Key, mut record: Record) -> Finished {
    record.time = Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string());
    Finished {
        key,
        file,
        content,
        record,
    }
}
