//! `--dedupe`: one verdict for all files with the same content.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::journal::{Key, Span};
use athena_outcome::Record;

/// What is known of each content. A finished one is a place in the output, not a verdict in memory.
#[derive(Debug)]
pub(super) struct Dedupe {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    contents: HashMap<Key, Content>,
    output: Option<File>,
}

#[derive(Debug)]
enum Content {
    /// Being classified: these wait for it.
    UnderWay(Vec<oneshot::Sender<Option<Record>>>),
    /// Finished, but not yet in the output.
    Judged(Box<Record>),
    Written(Span),
}

/// What to do with an image.
#[derive(Debug)]
pub(super) enum Turn {
    /// Classify it and tell [`Dedupe::finished`].
    First,
    /// The same content is under way: its record comes, or nothing when it did not finish.
    Wait(oneshot::Receiver<Option<Record>>),
    /// The record of the same content.
    Known(Box<Record>),
}

impl Dedupe {
    /// Off: every image has its own turn.
    pub(super) fn off() -> Self {
        Self {
            state: Mutex::new(State {
                contents: HashMap::new(),
                output: None,
            }),
        }
    }

    /// On, with what earlier runs have written.
    pub(super) fn on(output: &Path, earlier: HashMap<Key, Span>) -> io::Result<Self> {
        let contents = (earlier.into_iter())
            .map(|(key, span)| (key, Content::Written(span)))
            .collect();
        Ok(Self {
            state: Mutex::new(State {
                contents,
                output: Some(File::open(output)?),
            }),
        })
    }

    pub(super) fn is_on(&self) -> bool {
        self.lock().output.is_some()
    }

    /// Whose turn it is to classify this content. What has none (zero) is always first.
    pub(super) fn turn(&self, content: Key) -> io::Result<Turn> {
        let mut state = self.lock();
        let State { contents, output } = &mut *state;
        let Some(output) = output.as_mut().filter(|_| content != 0) else {
            return Ok(Turn::First);
        };
        match contents.get_mut(&content) {
            None => {
                contents.insert(content, Content::UnderWay(Vec::new()));
                Ok(Turn::First)
            }
            Some(Content::UnderWay(waiting)) => {
                let (sender, receiver) = oneshot::channel();
                waiting.push(sender);
                Ok(Turn::Wait(receiver))
            }
            Some(Content::Judged(record)) => Ok(Turn::Known(record.clone())),
            Some(Content::Written(span)) => Ok(Turn::Known(Box::new(read(output, *span)?))),
        }
    }

    /// The first image of a content has its final record, or none: then the next one has its turn.
    pub(super) fn finished(&self, content: Key, record: Option<&Record>) {
        let mut state = self.lock();
        let Some(Content::UnderWay(waiting)) = state.contents.remove(&content) else {
            return;
        };
        for sender in waiting {
            // One that has stopped waiting needs nothing.
            let _ = sender.send(record.cloned());
        }
        if let Some(record) = record {
            let judged = Content::Judged(Box::new(record.clone()));
            state.contents.insert(content, judged);
        }
    }

    /// The record stands in the output now.
    pub(super) fn written(&self, content: Key, span: Span) {
        let mut state = self.lock();
        if let Some(known) = state.contents.get_mut(&content)
            && matches!(known, Content::Judged(_))
        {
            *known = Content::Written(span);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(output: &mut File, span: Span) -> io::Result<Record> {
    let mut text = Vec::new();
    output.seek(SeekFrom::Start(span.start))?;
    output
        .take(span.end.saturating_sub(span.start))
        .read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The record of a file whose content has been judged under another path.
pub(super) fn duplicate(of: Record, own: Record) -> Record {
    let first = of.name().to_owned();
    let mut record = of;
    record.path = own.path;
    record.url = own.url;
    record.etag = own.etag;
    record.object_version = own.object_version;
    record.duplicate_of.get_or_insert(first);
    record.correlation_id = None;
    record.elapsed_ms = None;
    record.time = None;
    record.sends = Some(0);
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn one_is_classified_and_the_others_share_its_record() {
        let mut output = tempfile::NamedTempFile::new().expect("file");
        let dedupe = Dedupe::on(output.path(), HashMap::new()).expect("open");
        assert!(matches!(dedupe.turn(7), Ok(Turn::First)));
        let Ok(Turn::Wait(waiting)) = dedupe.turn(7) else {
            panic!("expected to wait");
        };
        let record = Record::of_path(Path::new("first.jpg"));
        dedupe.finished(7, Some(&record));
        let shared = waiting.await.expect("sent").expect("record");
        assert_eq!(shared.name(), "first.jpg");
        assert!(matches!(dedupe.turn(7), Ok(Turn::Known(_))));

        let line = serde_json::to_vec(&record).expect("serialise");
        output.write_all(&line).expect("write");
        let end = line.len() as u64;
        dedupe.written(7, Span { start: 0, end });
        let Ok(Turn::Known(known)) = dedupe.turn(7) else {
            panic!("expected the record");
        };
        let own = Record::of_path(Path::new("second.jpg"));
        let copy = duplicate(*known, own);
        assert_eq!(copy.name(), "second.jpg");
        assert_eq!(copy.duplicate_of.as_deref(), Some("first.jpg"));
    }

    #[tokio::test]
    async fn when_the_first_does_not_finish_the_next_has_its_turn() {
        let output = tempfile::NamedTempFile::new().expect("file");
        let dedupe = Dedupe::on(output.path(), HashMap::new()).expect("open");
        assert!(matches!(dedupe.turn(7), Ok(Turn::First)));
        let Ok(Turn::Wait(waiting)) = dedupe.turn(7) else {
            panic!("expected to wait");
        };
        dedupe.finished(7, None);
        assert!(waiting.await.expect("sent").is_none());
        assert!(matches!(dedupe.turn(7), Ok(Turn::First)));
    }
}
