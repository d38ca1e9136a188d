//! Listings, page by page.

mod parallel;
mod range;

#[cfg(feature = "cloud")]
use std::sync::atomic::Ordering::Relaxed;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

pub(super) use self::parallel::stream as parallel;
pub use self::range::{KeyRange, Step};
use super::Sources;
#[cfg(feature = "cloud")]
use crate::cloud::{self, Pages};
use crate::error::Error;
use crate::location::Location;
use crate::object::Listed;

/// Every object of a prefix, from after a key on.
pub(super) fn stream(
    sources: Sources,
    prefix: Location,
    after: Option<String>,
) -> BoxStream<'static, Result<Listed, Error>> {
    let listing = Listing {
        prefix,
        after,
        token: None,
    };
    let pages = stream::unfold(Some((sources, listing)), |state| async {
        let (sources, mut listing) = state?;
        match listing.page(&sources).await {
            Ok(page) => {
                let objects = page.objects.into_iter().map(Ok).collect::<Vec<_>>();
                listing.token = page.next;
                let more = listing.token.is_some();
                Some((stream::iter(objects), more.then_some((sources, listing))))
            }
            Err(error) => Some((stream::iter(vec![Err(error)]), None)),
        }
    });
    pages.flatten().boxed()
}

/// How far a listing has come.
#[derive(Clone, Debug)]
struct Listing {
    prefix: Location,
    /// Where it began.
    after: Option<String>,
    /// What the store calls the next page; nothing for the first one.
    token: Option<String>,
}

/// A page of it.
#[derive(Debug)]
struct Page {
    objects: Vec<Listed>,
    /// What the store calls the one after it.
    next: Option<String>,
    /// The store begins where it is asked to.
    begins: bool,
}

#[cfg(feature = "cloud")]
impl Listing {
    /// The next page.
    async fn page(&self, sources: &Sources) -> Result<Page, Error> {
        let after = self.after.as_deref();
        let page = sources.page(&self.prefix, after, self.token.clone(), Pages::OfObjects);
        let cloud::Page {
            mut objects, next, ..
        } = page.await?;
        let mut begins = true;
        // Azure begins with the key itself, and servers that speak a store's protocol may not know where to begin.
        if let Some(after) = after {
            begins = objects.iter().all(|object| object.location.key() >= after);
            objects.retain(|object| object.location.key() > after);
        }
        Ok(Page {
            objects,
            next,
            begins,
        })
    }

    /// Keys that divide what comes after one, up to another, as folders do. None where there are no folders.
    ///
    /// A store tells which folders come next in one of them: from the one that both keys are in, down to where the first
    /// one is.
    async fn divisions(
        &self,
        sources: &Sources,
        cursor: &str,
        until: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let mut folder = folder_of_both(self.prefix.key(), cursor, until).to_owned();
        for _ in 0..DEEPEST {
            let at = self.prefix.with_key(folder.as_str());
            let page = sources.page(&at, Some(cursor), None, Pages::OfFolders);
            let mut keys = page.await?.folders;
            keys.retain(|key| {
                key.as_str() > cursor && until.is_none_or(|until| key.as_str() < until)
            });
            keys.sort_unstable();
            keys.dedup();
            if !keys.is_empty() {
                return Ok(keys);
            }
            let inside = cursor.strip_prefix(folder.as_str()).unwrap_or_default();
            let Some((next, _)) = inside.split_once('/') else {
                break;
            };
            folder.push_str(next);
            folder.push('/');
        }
        Ok(Vec::new())
    }
}

/// Folders in folders that are looked into: whoever names objects may name them a thousand deep.
#[cfg(feature = "cloud")]
const DEEPEST: u32 = 8;

/// The innermost folder of a prefix that both keys are in.
#[cfg(feature = "cloud")]
fn folder_of_both<'a>(prefix: &'a str, cursor: &'a str, until: Option<&str>) -> &'a str {
    let (Some(until), true) = (until, cursor.starts_with(prefix)) else {
        return prefix;
    };
    let same = (cursor.bytes().zip(until.bytes()))
        .take_while(|(one, other)| one == other)
        .count();
    let folder = cursor.as_bytes()[..same]
        .iter()
        .rposition(|byte| *byte == b'/');
    // A `/` is a character of its own, so that the text can be cut after it.
    match folder.map(|at| &cursor[..=at]) {
        Some(folder) if folder.len() > prefix.len() => folder,
        _ => prefix,
    }
}

#[cfg(feature = "cloud")]
impl Sources {
    async fn page(
        &self,
        at: &Location,
        after: Option<&str>,
        token: Option<String>,
        pages: Pages,
    ) -> Result<cloud::Page, Error> {
        self.0.counts.list.fetch_add(1, Relaxed);
        self.in_time(at, async {
            let bucket = self.bucket(at).await?;
            bucket.page(at, after, token, pages).await
        })
        .await
    }
}

#[cfg(not(feature = "cloud"))]
impl Listing {
    async fn page(&self, _: &Sources) -> Result<Page, Error> {
        let _ = (&self.after, &self.token);
        Err(super::unknown(&self.prefix))
    }

    async fn divisions(&self, _: &Sources, _: &str, _: Option<&str>) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

#[cfg(all(test, feature = "cloud"))]
mod tests {
    use super::*;

    #[test]
    fn folders_are_looked_for_where_both_keys_are() {
        for (prefix, cursor, until, folder) in [
            ("", "2026/01/a", None, ""),
            ("2026/", "2026/01/a", None, "2026/"),
            ("", "2026/01/a", Some("2026/02/"), "2026/"),
            ("", "2026/01/a", Some("2027/"), ""),
            ("2026/01/", "2026/01/a", Some("2026/01/é/"), "2026/01/"),
            ("", "é/a", Some("è/"), ""),
            ("", "a", Some("a/"), ""),
        ] {
            assert_eq!(folder_of_both(prefix, cursor, until), folder, "{cursor}");
        }
    }
}
