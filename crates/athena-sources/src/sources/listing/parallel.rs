//! Several ranges of keys at the same time.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::task::JoinSet;

use super::Page;
use super::range::{KeyRange, MOST_REQUESTS, Ranges, Request, Step, What};
use crate::Sources;
use crate::error::Error;
use crate::location::Location;

/// Lists ranges, divides those that are long, and ends with the first error.
pub(in crate::sources) fn stream(
    sources: Sources,
    ranges: Vec<KeyRange>,
) -> BoxStream<'static, Result<Step, Error>> {
    let Some(first) = ranges.first().map(|range| range.prefix.clone()) else {
        return stream::empty().boxed();
    };
    let running = Running {
        sources,
        first,
        ranges: Ranges::new(ranges),
        requests: JoinSet::new(),
    };
    let batches = stream::unfold(Some(running), |running| async {
        let mut running = running?;
        match running.answer().await? {
            Ok(steps) => {
                let steps: Vec<_> = steps.into_iter().map(Ok).collect();
                Some((stream::iter(steps), Some(running)))
            }
            Err(error) => Some((stream::iter(vec![Err(error)]), None)),
        }
    });
    batches.flatten().boxed()
}

struct Running {
    sources: Sources,
    /// One of the prefixes, for errors that are of none.
    first: Location,
    ranges: Ranges,
    /// On tasks of their own, so that answers come in while those before are worked on. They end with this.
    requests: JoinSet<Result<Answer, Error>>,
}

enum Answer {
    Page(usize, Page),
    Divisions(usize, Vec<String>),
}

impl Running {
    /// What the next answer tells; nothing when there is none to come.
    async fn answer(&mut self) -> Option<Result<Vec<Step>, Error>> {
        while self.requests.len() < MOST_REQUESTS
            && let Some(request) = self.ranges.next()
        {
            self.requests.spawn(ask(self.sources.clone(), request));
        }
        let answer = self.requests.join_next().await?;
        let mut steps = Vec::new();
        // A request that ended without an answer: what is missing must not look like the end.
        let done = match answer.unwrap_or_else(|_| Err(Error::stopped(&self.first))) {
            Ok(Answer::Page(range, page)) => self.ranges.page(range, page, &mut steps),
            Ok(Answer::Divisions(range, keys)) => {
                self.ranges.divisions(range, keys, &mut steps);
                Ok(())
            }
            Err(error) => Err(error),
        };
        Some(done.map(|()| steps))
    }
}

async fn ask(sources: Sources, request: Request) -> Result<Answer, Error> {
    let Request {
        range,
        listing,
        what,
    } = request;
    match what {
        What::Page => {
            let page = listing.page(&sources).await?;
            Ok(Answer::Page(range, page))
        }
        What::Divisions { cursor, until } => {
            let keys = listing.divisions(&sources, &cursor, until.as_deref()).await;
            // It goes on page by page where a store does not tell its folders.
            Ok(Answer::Divisions(range, keys.unwrap_or_default()))
        }
    }
}
