//! Listings, page by page.

mod parallel;
mod range;
mod step;
mod turns;

#[cfg(feature = "cloud")]
use std::sync::atomic::Ordering::Relaxed;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

pub(super) use self::parallel::stream as parallel;
pub use self::step::{KeyRange, Step};
use self::turns::Turns;
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
    let listing = Listing::of(prefix, after);
    let pages = stream::unfold(Some((sources, listing)), |state| async {
        let (sources, mut listing) = state?;
        let page = listing.page(&sources).await;
        let page = page.and_then(|page| listing.turn(page));
        let page = match page {
            Ok(page) => page,
            Err(error) => return Some((stream::iter(vec![Err(error)]), None)),
        };
        let mut objects = Vec::with_capacity(page.objects.len());
        for object in page.objects {
            let Standing { before, astray } = listing.pass(object.location.key());
            if before && astray {
                objects.push(Err(Error::unordered(&listing.prefix)));
                return Some((stream::iter(objects), None));
            }
            if !before {
                objects.push(Ok(object));
            }
        }
        let more = listing.token.is_some();
        Some((stream::iter(objects), more.then_some((sources, listing))))
    });
    pages.flatten().boxed()
}

/// How far a listing has come.
#[derive(Clone, Debug)]
struct Listing {
    prefix: Location,
    /// Where it began.
    after: Option<String>,
    /// The last key that came.
    last: Option<String>,
    /// What the store calls the next page; nothing for the first one.
    token: Option<String>,
    turns: Turns,
}

/// How a key comes.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// It is not after the key where the listing began, and so it was listed another time, if keys come in order.
    before: bool,
    /// It is not after the one that came before it: keys do not come in order.
    astray: bool,
}

/// A page of it.
#[derive(Debug)]
struct Page {
    /// Some of the first may be from before where the listing began.
    objects: Vec<Listed>,
    /// What the store calls the one after it.
    next: Option<String>,
    /// The store begins where it is asked to, as far as this page tells.
    begins: bool,
}

impl Listing {
    fn of(prefix: Location, after: Option<String>) -> Self {
        Self {
            prefix,
            after,
            last: None,
            token: None,
            turns: Turns::default(),
        }
    }

    /// Goes on to the page after this one, unless that leads nowhere.
    fn turn(&mut self, page: Page) -> Result<Page, Error> {
        let first = page.objects.first().map(|object| object.location.key());
        self.turns.turn(&self.prefix, first, page.next.as_deref())?;
        self.token.clone_from(&page.next);
        Ok(page)
    }

    /// The next key has come.
    fn pass(&mut self, key: &str) -> Standing {
        let standing = Standing {
            before: self.after.as_deref().is_some_and(|after| key <= after),
            astray: self.last.as_deref().is_some_and(|last| key <= last),
        };
        key.clone_into(self.last.get_or_insert_default());
        standing
    }
}

#[cfg(feature = "cloud")]
impl Listing {
    /// The next page.
    async fn page(&self, sources: &Sources) -> Result<Page, Error> {
        let (after, token) = (self.after.as_deref(), self.token.clone());
        let page = sources.page(&self.prefix, after, token, Pages::OfObjects);
        let cloud::Page { objects, next, .. } = page.await?;
        let mut begins = true;
        // Azure begins with the key itself. A key before that tells of a server that does not know where to begin, and
        // begins with the first one, or of one that has an order of its own.
        if let (Some(after), None, Some(first)) = (after, &self.token, objects.first())
            && first.location.key() < after
        {
            let whole = sources.page(&self.prefix, None, None, Pages::OfObjects);
            let whole = whole.await?.objects;
            if whole.first().map(|object| &object.location) != Some(&first.location) {
                return Err(Error::unordered(&self.prefix));
            }
            begins = false;
        }
        Ok(Page {
            objects,
            next,
            begins,
        })
    }

    /// The first page that has a key after where the listing begins, or says that there is none.
    async fn first(mut self, sources: &Sources) -> Result<Page, Error> {
        loop {
            let page = self.page(sources).await?;
            let after = self.after.as_deref();
            let mut keys = page.objects.iter().map(|object| object.location.key());
            if !page.begins || page.next.is_none() || keys.any(|key| Some(key) > after) {
                return Ok(page);
            }
            // One with that key alone, or with what a listing that begins there does not have, leads as little further.
            self.turns.turn(&self.prefix, None, page.next.as_deref())?;
            self.token = page.next;
        }
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
            if !keys.is_sorted() {
                // In an order of its own.
                return Ok(Vec::new());
            }
            keys.retain(|key| {
                key.as_str() > cursor && until.is_none_or(|until| key.as_str() < until)
            });
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
        let _ = &self.token;
        Err(super::unknown(&self.prefix))
    }

    async fn first(self, sources: &Sources) -> Result<Page, Error> {
        self.page(sources).await
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
