//! Everything by its name.

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

use crate::error::{Error, ErrorKind};
use crate::file;
use crate::location::{Location, Store};
use crate::object::{Condition, Fetched, Listed, Put};

#[cfg(feature = "cloud")]
use crate::cloud::{Bucket, Means, Page};
#[cfg(feature = "transport")]
use crate::transport::Transport;

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
    /// Objects that were written.
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

/// The settings of [`Sources`].
#[derive(Default)]
#[must_use]
pub struct SourcesBuilder {
    #[cfg(feature = "transport")]
    network: Option<athena_net::Network>,
    #[cfg(feature = "cloud")]
    environment: Option<crate::environment::Environment>,
    #[cfg(feature = "http")]
    gate: Option<crate::web::Gate>,
    #[cfg(feature = "http")]
    client: Option<reqwest::Client>,
    anonymous: bool,
    files: bool,
    patience: Option<Duration>,
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

    /// Every object whose key begins with that of `prefix`, in the order of their keys, from after a key on
    /// where one is given. Pages are asked for while the stream is read.
    ///
    /// The stream ends with its first error: what was listed before remains true, and the listing goes on with
    /// `after` the last key.
    pub fn list(
        &self,
        prefix: &Location,
        after: Option<String>,
    ) -> BoxStream<'static, Result<Listed, Error>> {
        let state = Some(Listing {
            sources: self.clone(),
            prefix: prefix.clone(),
            after,
            token: None,
        });
        let pages = stream::unfold(state, |listing| async {
            let mut listing = listing?;
            match listing.page().await {
                Ok((objects, more)) => {
                    let objects = objects.into_iter().map(Ok).collect::<Vec<_>>();
                    Some((stream::iter(objects), more.then_some(listing)))
                }
                Err(error) => Some((stream::iter(vec![Err(error)]), None)),
            }
        });
        pages.flatten().boxed()
    }

    /// Writes an object, unless there is one of that name: whoever comes first has written it.
    ///
    /// # Errors
    /// When it cannot be written; after a [transient](Error::is_transient) one it may have been.
    pub async fn put_new(&self, at: &Location, bytes: Bytes) -> Result<Put, Error> {
        self.0.counts.put.fetch_add(1, Relaxed);
        self.in_time(at, self.put(at, bytes)).await
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
            Err(Error::new(ErrorKind::Transient, message))
        })
    }

    fn file<'a>(&self, at: &'a Location) -> Result<&'a str, Error> {
        match self.0.files {
            true => Ok(at.key()),
            false => Err(Error::new(
                ErrorKind::Refused,
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

    async fn bucket(&self, at: &Location) -> Result<Bucket, Error> {
        if !at.store().has_listings() {
            return Err(Error::new(
                ErrorKind::Unusable,
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
}

#[cfg(not(feature = "cloud"))]
fn unknown(at: &Location) -> Error {
    Error::new(
        ErrorKind::Unusable,
        format!("{at}: this program was built without this store"),
    )
}

/// A listing under way.
struct Listing {
    sources: Sources,
    prefix: Location,
    after: Option<String>,
    token: Option<String>,
}

impl Listing {
    /// The next page, and whether there are more.
    async fn page(&mut self) -> Result<(Vec<Listed>, bool), Error> {
        #[cfg(feature = "cloud")]
        {
            let sources = self.sources.clone();
            sources.0.counts.list.fetch_add(1, Relaxed);
            let page = sources.in_time(&self.prefix, async {
                let bucket = sources.bucket(&self.prefix).await?;
                bucket
                    .page(&self.prefix, self.after.as_deref(), self.token.take())
                    .await
            });
            let Page { mut objects, next } = page.await?;
            // Azure begins with the key itself, and servers that speak a store's protocol may not know where to begin.
            if let Some(after) = &self.after {
                objects.retain(|object| object.location.key() > after.as_str());
            }
            self.token = next;
            Ok((objects, self.token.is_some()))
        }
        #[cfg(not(feature = "cloud"))]
        {
            let _ = (&self.sources, &mut self.after, &mut self.token);
            Err(unknown(&self.prefix))
        }
    }
}

impl SourcesBuilder {
    /// By these rules hosts are reached: who is trusted, and which proxy stands before a host.
    #[cfg(feature = "transport")]
    pub fn network(mut self, network: athena_net::Network) -> Self {
        self.network = Some(network);
        self
    }

    /// These variables instead of the process's.
    #[cfg(feature = "cloud")]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = Some(crate::environment::Environment::of(variables));
        self
    }

    /// Asks object stores without credentials, as for public buckets.
    pub fn anonymous(mut self, anonymous: bool) -> Self {
        self.anonymous = anonymous;
        self
    }

    /// Whether `file://` is read. Names that come from others must not lead to files of this machine: it is off
    /// unless it is set.
    pub fn files(mut self, files: bool) -> Self {
        self.files = files;
        self
    }

    /// How long a request may take, however it trickles: an object, a page of a listing, a write.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience = Some(timeout);
        self
    }

    /// Asks before an address of a web server is gone to, redirects included.
    #[cfg(feature = "http")]
    pub fn gate(mut self, gate: impl Fn(&url::Url) -> bool + Send + Sync + 'static) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// This client for web servers, such as one that resolves names by rules of its own. It must follow no
    /// redirects.
    #[cfg(feature = "http")]
    pub fn web_client(mut self, client: reqwest::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Prepares the clients. Nothing is asked yet.
    ///
    /// # Errors
    /// When the network's settings cannot work.
    pub async fn build(self) -> Result<Sources, Error> {
        #[cfg(feature = "transport")]
        let transport = {
            let network = match self.network {
                Some(network) => network,
                None => athena_net::Network::builder().build().map_err(|error| {
                    Error::new(ErrorKind::Unusable, "the network's settings cannot work")
                        .because(error)
                })?,
            };
            Transport::new(&network).await?
        };
        Ok(Sources(Arc::new(Inner {
            patience: self.patience.unwrap_or(Duration::from_secs(60)),
            files: self.files,
            counts: Counts::default(),
            #[cfg(feature = "http")]
            web: crate::web::Web::new(transport.clone(), self.client, self.gate),
            #[cfg(feature = "cloud")]
            means: Means {
                transport,
                environment: self
                    .environment
                    .unwrap_or_else(crate::environment::Environment::of_process),
                anonymous: self.anonymous,
            },
            #[cfg(feature = "cloud")]
            buckets: Mutex::default(),
        })))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("patience", &self.0.patience)
            .field("files", &self.0.files)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SourcesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourcesBuilder")
            .field("anonymous", &self.anonymous)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
