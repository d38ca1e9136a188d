//! Everything by its name.

mod builder;
mod listing;

#[cfg(feature = "cloud")]
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
#[cfg(feature = "cloud")]
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::error::{Error, SourceErrorKind};
use crate::file;
use crate::location::{Location, Store};
use crate::object::{Condition, Fetched, Listed, Put, Tag};

pub use self::builder::SourcesBuilder;
pub use self::listing::{KeyRange, Step};
#[cfg(feature = "cloud")]
use crate::cloud::{Bucket, Means};

/// Gets images, lists them, and writes results, by their names. Cheap to clone; clones share connections
/// and credentials.
///
/// ```no_run
/// use athena_sources::{Condition, Location, Sources};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let sources = Sources::builder().build().await?;
/// let photo: Location = "s3://uploads/photo.jpg".parse()?;
/// let fetched = sources.fetch(&photo, &Condition::default(), 20_000_000).await?;
/// println!("{} bytes", fetched.bytes.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sources(Arc<Inner>);

/// How many requests were made that a store bills, tries again not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requests {
    /// Pages of listings.
    pub list: u64,
    /// Objects that were asked for.
    pub get: u64,
    /// Objects that were asked about.
    pub head: u64,
    /// Objects that were written or tagged.
    pub put: u64,
}

#[derive(Debug, Default)]
struct Counts {
    list: AtomicU64,
    get: AtomicU64,
    head: AtomicU64,
    put: AtomicU64,
}

struct Inner {
    patience: Duration,
    counts: Counts,
    files: bool,
    #[cfg(feature = "cloud")]
    means: Means,
    /// Opened when first asked for: each keeps its credentials.
    #[cfg(feature = "cloud")]
    buckets: Mutex<HashMap<(Store, String), Bucket>>,
    #[cfg(feature = "http")]
    web: crate::web::Web,
}

impl Sources {
    /// Starts with the variables of the process, the network's defaults, 60 s for each request, and without
    /// files of this machine.
    pub fn builder() -> SourcesBuilder {
        SourcesBuilder::default()
    }

    /// Gets an object's bytes, if they are at most `most`.
    ///
    /// # Errors
    /// When there are none that meet the condition, or they cannot be had: see [`Error::kind`].
    pub async fn fetch(
        &self,
        at: &Location,
        condition: &Condition,
        most: u64,
    ) -> Result<Fetched, Error> {
        self.0.counts.get.fetch_add(1, Relaxed);
        self.in_time(at, async {
            match at.store() {
                Store::File => file::get(self.file(at)?, most).await,
                #[cfg(feature = "http")]
                Store::Http => self.0.web.get(at, condition, most).await,
                _ => self.get(at, condition, most).await,
            }
        })
        .await
    }

    /// An object's bytes as they come, for what is larger than memory, such as a list of images. The time-out is that
    /// of each piece. Of object stores only.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch); after the first piece they come in the stream.
    pub async fn read(
        &self,
        at: &Location,
        condition: &Condition,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        self.0.counts.get.fetch_add(1, Relaxed);
        let pieces = self.in_time(at, self.pieces(at, condition)).await?;
        let state = (self.clone(), at.clone(), Some(pieces));
        let timed = stream::unfold(state, |(sources, at, pieces)| async {
            let mut pieces = pieces?;
            let piece = sources.in_time(&at, async { pieces.next().await.transpose() });
            let piece = piece.await.transpose()?;
            let more = piece.is_ok().then_some(pieces);
            Some((piece, (sources, at, more)))
        });
        Ok(timed.boxed())
    }

    /// What is known of an object without its bytes.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn head(&self, at: &Location, condition: &Condition) -> Result<Listed, Error> {
        self.0.counts.head.fetch_add(1, Relaxed);
        self.in_time(at, async {
            match at.store() {
                Store::File => file::head(self.file(at)?).await,
                #[cfg(feature = "http")]
                Store::Http => self.0.web.head(at, condition).await,
                _ => self.about(at, condition).await,
            }
        })
        .await
    }

    /// Every object whose key begins with that of `prefix`, in the order in which the store lists them, from after a key on
    /// where one is given. Pages are asked for while the stream is read.
    ///
    /// The stream ends with its first error: what was listed before remains true. S3 and Google Cloud Storage list in the
    /// order of the keys' bytes, and the listing goes on with `after` the last key. Where a store turns out to have another
    /// order a listing that began after a key ends with [`Unordered`](crate::SourceErrorKind::Unordered): nobody knows then what
    /// came before that key.
    pub fn list(
        &self,
        prefix: &Location,
        after: Option<String>,
    ) -> BoxStream<'static, Result<Listed, Error>> {
        listing::stream(self.clone(), prefix.clone(), after)
    }

    /// Every object of some ranges of keys, for listings that are long: several pages are asked for at the same time, up
    /// to 16, and a range that has many keys is divided at folders (`/`) while it is listed. The order is that of keys
    /// inside a range, and any among ranges.
    ///
    /// Only listings of S3 and of Google Cloud Storage are divided, where the order of keys and where a listing begins are
    /// documented: not those of Azure, nor of S3's directory buckets ([`Location::is_ordered`]). A server that speaks
    /// these protocols must have shown that it begins where it is asked to, and each place of division is looked at from
    /// both sides. Where keys turn out to come in another order than that of their bytes the prefix ends with
    /// [`Unordered`](crate::SourceErrorKind::Unordered), and [`list`](Self::list) lists it.
    ///
    /// Whoever keeps what the [steps](Step) say of ranges can go on later with what is left of them: see [`KeyRange`].
    ///
    /// Must be read on a Tokio runtime.
    pub fn list_ranges(&self, ranges: Vec<KeyRange>) -> BoxStream<'static, Step> {
        listing::parallel(self.clone(), ranges)
    }

    /// Writes an object, unless there is one of that name: whoever comes first has written it.
    ///
    /// # Errors
    /// When it cannot be written; after a [transient](Error::is_transient) one it may have been.
    pub async fn put_new(&self, at: &Location, bytes: Bytes) -> Result<Put, Error> {
        self.0.counts.put.fetch_add(1, Relaxed);
        self.in_time(at, self.put(at, bytes)).await
    }

    /// Puts a tag on an object that meets the condition; those that it has stay. Objects of S3 and of Azure Blob
    /// Storage have tags.
    ///
    /// The stores take no condition with a tag. Where one names a version of the object, that version is tagged and no
    /// other. Elsewhere the object is looked at before and after.
    ///
    /// # Errors
    /// When it cannot be tagged; [`Changed`](crate::SourceErrorKind::Changed) also when it changed meanwhile.
    pub async fn tag(&self, at: &Location, condition: &Condition, tag: &Tag) -> Result<(), Error> {
        self.0.counts.put.fetch_add(1, Relaxed);
        self.in_time(at, self.set_tag(at, condition, tag)).await
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        let counts = &self.0.counts;
        Requests {
            list: counts.list.load(Relaxed),
            get: counts.get.load(Relaxed),
            head: counts.head.load(Relaxed),
            put: counts.put.load(Relaxed),
        }
    }

    async fn in_time<T>(
        &self,
        at: &Location,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let patience = self.0.patience;
        timeout(patience, work).await.unwrap_or_else(|_| {
            let message = format!("{at}: no answer within {} s", patience.as_secs());
            Err(Error::new(SourceErrorKind::Transient, message))
        })
    }

    fn file<'a>(&self, at: &'a Location) -> Result<&'a str, Error> {
        match self.0.files {
            true => Ok(at.key()),
            false => Err(Error::new(
                SourceErrorKind::Refused,
                format!("{at}: files of this machine are not read"),
            )),
        }
    }
}

#[cfg(feature = "cloud")]
impl Sources {
    async fn get(&self, at: &Location, condition: &Condition, most: u64) -> Result<Fetched, Error> {
        self.bucket(at).await?.get(at, condition, most).await
    }

    async fn pieces(
        &self,
        at: &Location,
        condition: &Condition,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        self.bucket(at).await?.read(at, condition).await
    }

    async fn about(&self, at: &Location, condition: &Condition) -> Result<Listed, Error> {
        self.bucket(at).await?.head(at, condition).await
    }

    async fn put(&self, at: &Location, bytes: Bytes) -> Result<Put, Error> {
        self.bucket(at).await?.put_new(at, bytes).await
    }

    async fn set_tag(&self, at: &Location, condition: &Condition, tag: &Tag) -> Result<(), Error> {
        self.bucket(at).await?.tag(at, condition, tag).await
    }

    async fn bucket(&self, at: &Location) -> Result<Bucket, Error> {
        if !at.store().has_listings() {
            return Err(Error::new(
                SourceErrorKind::Unusable,
                format!(
                    "{at}: this is not an object store: it has no listing, and nothing is written there"
                ),
            ));
        }
        let mut buckets = self.0.buckets.lock().await;
        let name = (at.store(), at.bucket().to_owned());
        if let Some(bucket) = buckets.get(&name) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::open(at, &self.0.means).await?;
        if buckets.len() >= MOST_BUCKETS {
            // Whoever names them may name any number.
            buckets.clear();
        }
        buckets.insert(name, bucket.clone());
        Ok(bucket)
    }
}

/// Buckets that are kept open.
#[cfg(feature = "cloud")]
const MOST_BUCKETS: usize = 256;

#[cfg(not(feature = "cloud"))]
impl Sources {
    async fn get(&self, at: &Location, _: &Condition, _: u64) -> Result<Fetched, Error> {
        Err(unknown(at))
    }

    async fn pieces(
        &self,
        at: &Location,
        _: &Condition,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        Err(unknown(at))
    }

    async fn about(&self, at: &Location, _: &Condition) -> Result<Listed, Error> {
        Err(unknown(at))
    }

    async fn put(&self, at: &Location, _: Bytes) -> Result<Put, Error> {
        Err(unknown(at))
    }

    async fn set_tag(&self, at: &Location, _: &Condition, _: &Tag) -> Result<(), Error> {
        Err(unknown(at))
    }
}

#[cfg(not(feature = "cloud"))]
fn unknown(at: &Location) -> Error {
    Error::new(
        SourceErrorKind::Unusable,
        format!("{at}: this program was built without this store"),
    )
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("patience", &self.0.patience)
            .field("files", &self.0.files)
            .finish_non_exhaustive()
    }
}
