//! `copy:` into a store, and `tag:`. What arrives is what was judged, nothing is overwritten, and nothing is deleted.

use std::io::Read;
use std::path::{Component, Path};
use std::sync::Arc;

use athena_outcome::Record;
use athena_sources::{Condition, Error, Location, Put, SourceErrorKind, Store, Tag};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::Taken;
use crate::failure::{chain, reason};
use crate::input::Remote;

/// What files under way may take of memory, in KiB.
const MOST_KIB: u32 = 256 << 10;
/// Names that are tried for one file.
const MOST_NAMES: u32 = 1000;

/// The stores, and the room for what is carried there.
#[derive(Clone, Debug)]
pub(super) struct Carrier {
    remote: Arc<Remote>,
    room: Arc<Semaphore>,
}

/// What was judged: size and digest.
struct Judged<'a> {
    sha256: &'a str,
    bytes: u64,
}

impl Carrier {
    pub(super) fn new(remote: Arc<Remote>) -> Self {
        Self {
            remote,
            room: Arc::new(Semaphore::new(MOST_KIB as usize)),
        }
    }

    /// Copies the file or object below a prefix, under the path or key that it has.
    pub(super) async fn copy(
        &self,
        path: &Path,
        record: &Record,
        prefix: &Location,
    ) -> Result<Taken, String> {
        let judged = judged(record)?;
        let from = location(record)?;
        let wanted = format!("{}{}", prefix.key(), key(path, from.as_ref()));
        // It is held twice: when it is sent, and when it is read back.
        let kib = u32::try_from(judged.bytes / 512 + 1).unwrap_or(MOST_KIB);
        let room = self.room.acquire_many(kib.min(MOST_KIB)).await;
        let _room = room.map_err(|_| "it was stopped".to_owned())?;
        let bytes = match &from {
            Some(from) => self.fetch(from, &condition(record), &judged).await?,
            None => read(path, &judged).await?,
        };
        for number in 0..MOST_NAMES {
            let to = match number {
                0 => prefix.with_key(&wanted),
                _ => prefix.with_key(format!("{wanted}.{number}")),
            };
            if from.as_ref() == Some(&to) {
                return Err(format!("{to} is the object itself: choose another prefix"));
            }
            if let Some(after) = self.arrive(&to, &bytes, &judged).await? {
                return Ok(Taken {
                    to: Some(to.to_string().into()),
                    before: judged.sha256.to_owned(),
                    after,
                });
            }
        }
        Err("there is no free name".to_owned())
    }

    /// Puts it there, or finds it there: then with its digest, where it may be read. Nothing when the name is another's.
    async fn arrive(
        &self,
        to: &Location,
        bytes: &Bytes,
        judged: &Judged<'_>,
    ) -> Result<Option<Option<String>>, String> {
        match self.remote.head(to).await {
            Ok(there) if there.size != judged.bytes => return Ok(None),
            // Perhaps an earlier run has put it there.
            Ok(_) => {
                let there = self.digest(to, judged.bytes).await?;
                let there = there.map_err(|error| chain(&error))?;
                return Ok((there == judged.sha256).then_some(Some(there)));
            }
            // Refused is what one hears who may write there and do nothing else.
            Err(error)
                if matches!(
                    error.kind(),
                    SourceErrorKind::NotFound | SourceErrorKind::Refused
                ) => {}
            Err(error) => return Err(chain(&error)),
        }
        let put = self.remote.put_new(to, bytes.clone()).await;
        let put = put.map_err(|error| chain(&error))?;
        match (put, self.digest(to, judged.bytes).await?) {
            (_, Ok(after)) if after == judged.sha256 => Ok(Some(Some(after))),
            (Put::Stored, Ok(_)) => Err(format!("what arrived as {to} is not what was sent")),
            (Put::Stored, Err(error)) if error.kind() == SourceErrorKind::Refused => Ok(Some(None)),
            (Put::AlreadyThere, Err(error)) if error.kind() == SourceErrorKind::TooLarge => {
                Ok(None)
            }
            (Put::AlreadyThere, Ok(_)) => Ok(None),
            (_, Err(error)) => Err(chain(&error)),
        }
    }

    /// Puts a tag on the object that was judged.
    pub(super) async fn tag(&self, record: &Record, tag: &Tag) -> Result<Taken, String> {
        let judged = judged(record)?;
        let at = location(record)?;
        let at = match at.as_ref().map(|at| (at, tag_cause(Some(at.store())))) {
            Some((at, None)) => at,
            Some((_, Some(cause))) => return Err(cause.to_owned()),
            None => return Err(tag_cause(None).unwrap_or_default().to_owned()),
        };
        let mut condition = condition(record);
        if condition == Condition::default() {
            // A list has named it without a version: its bytes tell which one is there.
            let fetched = self.remote.fetch(at, condition, judged.bytes).await;
            let fetched = fetched.map_err(|error| changed_if_larger(&error))?;
            if sha256(fetched.bytes).await? != judged.sha256 {
                return Err(CHANGED.to_owned());
            }
            condition = Condition {
                etag: fetched.etag,
                version: None,
            };
        }
        let tagged = self.remote.tag(at, condition, tag.clone()).await;
        tagged.map_err(|error| chain(&error))?;
        Ok(Taken {
            to: None,
            before: judged.sha256.to_owned(),
            after: None,
        })
    }

    /// The bytes that were judged, and no others.
    async fn fetch(
        &self,
        from: &Location,
        condition: &Condition,
        judged: &Judged<'_>,
    ) -> Result<Bytes, String> {
        let fetched = (self.remote)
            .fetch(from, condition.clone(), judged.bytes)
            .await;
        let bytes = fetched.map_err(|error| changed_if_larger(&error))?.bytes;
        match sha256(bytes.clone()).await? == judged.sha256 {
            true => Ok(bytes),
            false => Err(CHANGED.to_owned()),
        }
    }

    /// The digest of what is there now; what the store says where there is none.
    async fn digest(&self, at: &Location, most: u64) -> Result<Result<String, Error>, String> {
        match self.remote.fetch(at, Condition::default(), most).await {
            Ok(fetched) => Ok(Ok(sha256(fetched.bytes).await?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

const CHANGED: &str = "it is no longer what was judged";

/// More bytes than were judged are others.
fn changed_if_larger(error: &Error) -> String {
    match error.kind() {
        SourceErrorKind::TooLarge => CHANGED.to_owned(),
        _ => chain(error),
    }
}

/// Why what is there has no tags; nothing where it has. A file has no store.
pub(super) fn tag_cause(store: Option<Store>) -> Option<&'static str> {
    match store {
        Some(Store::S3 | Store::Azure) => None,
        Some(Store::Gcs) => Some("objects of Google Cloud Storage have no tags"),
        Some(Store::Http) => Some("images of web servers have no tags"),
        _ => Some("files have no tags"),
    }
}

fn judged(record: &Record) -> Result<Judged<'_>, String> {
    match (&record.sha256, record.bytes) {
        (Some(sha256), Some(bytes)) => Ok(Judged { sha256, bytes }),
        _ => Err("its content was not read".to_owned()),
    }
}

/// Where the object is; nothing for a file.
fn location(record: &Record) -> Result<Option<Location>, String> {
    let url = record.url.as_ref().map(|url| url.parse());
    url.transpose()
        .map_err(|error: athena_sources::LocationError| error.to_string())
}

fn condition(record: &Record) -> Condition {
    Condition {
        etag: record.etag.clone(),
        version: record.object_version.clone(),
    }
}

/// What the copy is called below its prefix: keys stay as they are, paths lose what would lead out of it.
fn key(path: &Path, from: Option<&Location>) -> String {
    match from {
        Some(from) if from.store().has_listings() => from.key().to_owned(),
        Some(from) => {
            let shown = from.to_string();
            let (_, rest) = shown.split_once("://").unwrap_or(("", &shown));
            rest.to_owned()
        }
        None => {
            let inside = path.components().filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_string_lossy()),
                _ => None,
            });
            inside.collect::<Vec<_>>().join("/")
        }
    }
}

/// A file's bytes, if they are those that were judged.
async fn read(path: &Path, judged: &Judged<'_>) -> Result<Bytes, String> {
    let (path, wanted, length) = (path.to_owned(), judged.sha256.to_owned(), judged.bytes);
    beside(move || {
        let (file, _) = crate::input::open(&path).map_err(|error| reason(&error))?;
        let mut bytes = Vec::new();
        let read = file.take(length + 1).read_to_end(&mut bytes);
        read.map_err(|error| reason(&error))?;
        match hex_digest(&bytes) == wanted {
            true => Ok(Bytes::from(bytes)),
            false => Err("it is no longer the file that was judged".to_owned()),
        }
    })
    .await?
}

async fn sha256(bytes: Bytes) -> Result<String, String> {
    beside(move || hex_digest(&bytes)).await
}

fn hex_digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// On a thread that may take its time: an object may have hundreds of megabytes, and images are under way meanwhile.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let task = tokio::task::spawn_blocking(work);
    task.await.map_err(|_| "it failed inside".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_keep_their_names_below_the_prefix() {
        let of = |text: &str| {
            let at: Location = text.parse().expect("a location");
            key(Path::new(""), Some(&at))
        };
        assert_eq!(of("s3://b/2026//a.jpg"), "2026//a.jpg");
        assert_eq!(
            of("https://example.com/a/b.jpg?secret"),
            "example.com/a/b.jpg"
        );
        for (path, expected) in [
            ("photos/a.jpg", "photos/a.jpg"),
            ("/srv/a.jpg", "srv/a.jpg"),
            ("../../a.jpg", "a.jpg"),
        ] {
            assert_eq!(key(Path::new(path), None), expected);
        }
    }
}
