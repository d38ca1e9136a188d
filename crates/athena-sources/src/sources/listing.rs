//! Listings, page by page.

#[cfg(feature = "cloud")]
use std::sync::atomic::Ordering::Relaxed;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::Sources;
#[cfg(feature = "cloud")]
use crate::cloud::Page;
use crate::error::Error;
use crate::location::Location;
use crate::object::Listed;

/// Every object of a prefix, from after a key on.
pub(super) fn stream(
    sources: Sources,
    prefix: Location,
    after: Option<String>,
) -> BoxStream<'static, Result<Listed, Error>> {
    let state = Some(Listing {
        sources,
        prefix,
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
            Err(super::unknown(&self.prefix))
        }
    }
}
