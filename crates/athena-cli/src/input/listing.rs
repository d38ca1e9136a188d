//! Listings of prefixes that somebody may go on with later, several pages at the same time.

use std::collections::VecDeque;

use athena_outcome::Record;
use athena_sources::{KeyRange, Location, SourceErrorKind, Step};
use serde::{Deserialize, Serialize};

use super::object::{list, unlisted};
use super::{Found, Selection, Sighting, Unreadable};
use crate::failure::{Outcome, one_line};
use crate::output::terminal::{NOTICE, say};

/// What is left to list: the keys of a prefix, by its number, from after one up to another, that one included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rest {
    pub(crate) source: usize,
    pub(crate) after: Option<String>,
    pub(crate) until: Option<String>,
}

impl Rest {
    /// All of so many prefixes.
    pub(crate) fn all(prefixes: usize) -> Vec<Self> {
        let all = |source| Self {
            source,
            after: None,
            until: None,
        };
        (0..prefixes).map(all).collect()
    }

    fn has(&self, key: &str) -> bool {
        self.after.as_deref().is_none_or(|after| key > after)
            && self.until.as_deref().is_none_or(|until| key <= until)
    }
}

/// Where an image was listed: the range, by its number, and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) range: usize,
    pub(crate) key: String,
}

impl Place {
    /// Where an image comes when the rest is listed; nothing if it does not.
    pub(crate) fn of(record: &Record, prefixes: &[Location], rests: &[Rest]) -> Option<Self> {
        let location: Location = record.url.as_deref()?.parse().ok()?;
        let source = (prefixes.iter()).position(|prefix| prefix.covers(&location))?;
        let key = location.key();
        let mut rests = rests.iter();
        let range = rests.position(|rest| rest.source == source && rest.has(key))?;
        Some(Self {
            range,
            key: key.to_owned(),
        })
    }
}

/// What a listing comes by.
#[derive(Debug)]
pub(crate) enum Sight {
    /// An image, or what is known of one that cannot be had.
    Found(Option<Place>, Found),
    /// A range ends with a key from here on; another one has what is after it.
    Divided {
        range: usize,
        at: String,
        rest: usize,
    },
    /// All of a range has been listed.
    Ended { range: usize },
    /// A prefix does not list its keys in order: no position in it says what came before.
    Unordered(Unreadable),
}

/// Every object of some prefixes. What fails of them comes when there is nothing else to come.
pub(super) fn whole(
    selection: &Selection,
    prefixes: Vec<Location>,
) -> Outcome<impl Iterator<Item = Sighting> + Send + use<>> {
    let listed = selection.listed(&prefixes, &Rest::all(prefixes.len()))?;
    Ok(Whole {
        selection: selection.clone(),
        prefixes,
        listed: Some(Box::new(listed)),
        failures: VecDeque::new(),
    })
}

struct Whole {
    selection: Selection,
    prefixes: Vec<Location>,
    listed: Option<Box<dyn Iterator<Item = Sight> + Send>>,
    failures: VecDeque<Unreadable>,
}

impl Iterator for Whole {
    type Item = Sighting;

    fn next(&mut self) -> Option<Sighting> {
        while let Some(listed) = &mut self.listed {
            match listed.next() {
                Some(Sight::Found(_, Ok(input))) => return Some(Sighting::Found(Ok(input))),
                Some(Sight::Found(_, Err(unreadable))) => self.failures.push_back(unreadable),
                Some(Sight::Divided { .. } | Sight::Ended { .. }) => {}
                Some(Sight::Unordered(unreadable)) => {
                    let cause = one_line(&unreadable.reason);
                    say(format_args!(
                        "{NOTICE}note:{NOTICE:#} {cause}, which is done now"
                    ));
                    self.page_by_page();
                    return Some(Sighting::Again);
                }
                None => self.listed = None,
            }
        }
        let failure = self.failures.pop_front()?;
        Some(Sighting::Found(Err(failure)))
    }
}

impl Whole {
    /// All from the beginning, as the store tells it, where no key says what came before it.
    fn page_by_page(&mut self) {
        let selection = self.selection.clone();
        selection.forget_counts();
        self.failures.clear();
        let listed = std::mem::take(&mut self.prefixes)
            .into_iter()
            .flat_map(move |prefix| list(&selection, &prefix, None));
        self.listed = Some(Box::new(listed.map(|found| Sight::Found(None, found))));
    }
}

impl Selection {
    /// Every object of some prefixes, or of what is left of them. Ranges have the numbers that they have in `rests`.
    pub(crate) fn listed(
        &self,
        prefixes: &[Location],
        rests: &[Rest],
    ) -> Outcome<impl Iterator<Item = Sight> + Send + use<>> {
        let remote = self.remote()?;
        let range = |rest: &Rest| KeyRange {
            prefix: prefixes[rest.source].clone(),
            after: rest.after.clone(),
            until: rest.until.clone(),
        };
        let ranges: Vec<KeyRange> = rests.iter().map(range).collect();
        // Of each range, the number of its prefix.
        let mut sources: Vec<usize> = rests.iter().map(|rest| rest.source).collect();
        let prefixes = prefixes.to_vec();
        let selection = self.clone();
        Ok(remote
            .list_ranges(ranges)
            .filter_map(move |step| match step {
                Step::Object { range, object } => {
                    let place = Place {
                        range,
                        key: object.location.key().to_owned(),
                    };
                    let prefix = &prefixes[sources[range]];
                    let wanted = selection.object(prefix, object, &remote)?;
                    Some(Sight::Found(Some(place), Ok(wanted)))
                }
                Step::Divided { range, at, rest } => {
                    sources.push(sources[range]);
                    Some(Sight::Divided { range, at, rest })
                }
                Step::Ended { range } => Some(Sight::Ended { range }),
                Step::Failed { prefix, error } => {
                    let unreadable = unlisted(&prefix, &error);
                    Some(match error.kind() {
                        SourceErrorKind::Unordered => Sight::Unordered(unreadable),
                        _ => Sight::Found(None, Err(unreadable)),
                    })
                }
            }))
    }
}
