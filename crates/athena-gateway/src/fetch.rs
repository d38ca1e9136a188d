//! Images that are named by a URL: fetched by whoever knows how, within our rules.

use std::fmt;
use std::sync::Arc;

use athena_client::BoxError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use url::Url;

use crate::address::Guard;
use crate::body::{Held, too_large};
use crate::gateway::Gateway;
use crate::judge::Job;
use crate::keys::Caller;
use crate::options::Options;
use crate::problem::{Kind, Problem};

/// Gets an image by its URL.
///
/// The URL is on the guard's list when it comes. An implementation that resolves names itself must do so by
/// [`AddressRules::resolve`](crate::AddressRules::resolve) and connect to what that gives; one that follows
/// redirects must ask [`Guard::check_url`] about each.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Gets at most `most` bytes.
    fn fetch<'a>(
        &'a self,
        url: &'a Url,
        guard: &'a Guard,
        most: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// What a URL has led to.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The image.
    pub bytes: Bytes,
    /// The store's ETag.
    pub etag: Option<String>,
    /// The store's version.
    pub version: Option<String>,
}

/// Why there is no image at a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// There is nothing there, or not for us.
    #[error("there is no image at this URL")]
    NotFound,
    /// It has more bytes than an image may have.
    #[error("the image is too large")]
    TooLarge,
    /// The guard has refused an address or a redirect.
    #[error("the URL leads where this server does not go")]
    Refused,
    /// The store did not answer, or not in time.
    #[error("the image could not be fetched")]
    Unavailable(#[source] BoxError),
}

/// Who fetches, and by which rules.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) guard: Guard,
}

impl Sources {
    /// The URL, if this server goes there.
    pub(crate) fn check(&self, url: &str) -> Result<Url, Problem> {
        (self.guard.check_url(url)).map_err(|error| refused(&error))
    }
}

fn refused(why: &dyn fmt::Display) -> Problem {
    Problem::new(Kind::Forbidden, format!("the URL: {why}"))
}

impl Gateway {
    /// Fetches an image and makes a job of it.
    pub(crate) async fn fetch_job(
        &self,
        sources: &Sources,
        caller: &Caller,
        options: &Options,
        index: Option<usize>,
        url: &str,
    ) -> Result<Job, Problem> {
        let url = sources.check(url)?;
        let limits = self.limits();
        let most = limits.image_bytes;
        // Set aside before it is known how much comes: nobody else may take it meanwhile.
        let mut memory = self.shared.admission.hold(most)?;
        let fetched = sources.fetch.fetch(&url, &sources.guard, most);
        let fetched = match timeout(limits.image_time, fetched).await {
            Ok(Ok(fetched)) if fetched.bytes.len() > most => return Err(too_large(most)),
            Ok(Ok(fetched)) => fetched,
            Ok(Err(FetchError::TooLarge)) => return Err(too_large(most)),
            Ok(Err(FetchError::Refused)) => return Err(refused(&FetchError::Refused)),
            Ok(Err(FetchError::NotFound)) => {
                return Err(Problem::bad_request("the URL: there is no image there"));
            }
            Ok(Err(FetchError::Unavailable(_))) | Err(_) => {
                return Err(Problem::bad_gateway(
                    "the image could not be fetched from its URL",
                ));
            }
        };
        let excess = most.div_ceil(1024) - fetched.bytes.len().div_ceil(1024);
        drop(memory.split(excess));
        let image = Held {
            bytes: fetched.bytes,
            memory: Some(memory),
        };
        let job = Job::new(self, caller, options, index, image)?;
        Ok(job.fetched(without_query(&url).into(), fetched.etag, fetched.version))
    }
}

/// A caller's URL as stores have it: keys of objects are literal there, where a URL has `%20`. None where that is not text.
pub fn literal(url: &Url) -> Option<String> {
    if matches!(url.scheme(), "http" | "https") {
        return Some(url.to_string());
    }
    let key = percent_decode_str(url.path()).decode_utf8().ok()?;
    let (scheme, bucket) = (url.scheme(), url.host_str().unwrap_or(""));
    Some(format!("{scheme}://{bucket}{key}"))
}

/// Queries hold signatures: they are not part of a record.
pub(crate) fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url
}
