//! Several ranges of keys at the same time.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::task::JoinSet;

use super::Page;
use super::range::{Ranges, Request, What};
use super::step::{KeyRange, Step};
use crate::Sources;
use crate::error::Error;

/// Lists ranges, and divides those that are long.
pub(in crate::sources) fn stream(
    sources: Sources,
    ranges: Vec<KeyRange>,
) -> BoxStream<'static, Step> {
    let running = Running {
        sources,
        ranges: Ranges::new(ranges),
        requests: JoinSet::new(),
    };
    let batches = stream::unfold(running, |mut running| async {
        let steps = running.steps().await?;
        Some((stream::iter(steps), running))
    });
    batches.flatten().boxed()
}

struct Running {
    sources: Sources,
    ranges: Ranges,
    /// On tasks of their own, so that answers come in while those before are worked on. They end with this.
    requests: JoinSet<(Asked, Result<Answer, Error>)>,
}

/// Of which range, and how many requests there could be.
type Asked = (usize, usize);

enum Answer {
    Page(Page),
    Seam(Page),
    Divisions(Vec<String>),
}

impl Running {
    /// What the next answer tells; nothing when there is none to come.
    async fn steps(&mut self) -> Option<Vec<Step>> {
        while self.requests.len() < self.ranges.at_a_time()
            && let Some(request) = self.ranges.next()
        {
            self.requests.spawn(ask(self.sources.clone(), request));
        }
        let mut steps = Vec::new();
        match self.requests.join_next().await? {
            Ok(((range, _), Ok(Answer::Page(page)))) => self.ranges.page(range, page, &mut steps),
            Ok(((range, _), Ok(Answer::Seam(page)))) => self.ranges.seam(range, page, &mut steps),
            Ok(((range, _), Ok(Answer::Divisions(keys)))) => {
                self.ranges.divisions(range, keys, &mut steps);
            }
            Ok(((range, at_a_time), Err(error))) => {
                let others = !self.requests.is_empty();
                self.ranges
                    .unanswered(range, at_a_time, others, error, &mut steps);
            }
            // A request has ended without an answer, and nobody knows whose: what is missing must not look like the end.
            Err(_) => self.ranges.stopped(&mut steps),
        }
        Some(steps)
    }
}

async fn ask(sources: Sources, request: Request) -> (Asked, Result<Answer, Error>) {
    let listing = request.listing;
    let answer = match request.what {
        What::Page => listing.page(&sources).await.map(Answer::Page),
        What::Seam => listing.first(&sources).await.map(Answer::Seam),
        What::Divisions { cursor, until } => {
            let keys = listing.divisions(&sources, &cursor, until.as_deref()).await;
            // It goes on page by page where a store does not tell its folders.
            Ok(Answer::Divisions(keys.unwrap_or_default()))
        }
    };
    ((request.range, request.at_a_time), answer)
}
