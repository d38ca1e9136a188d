//! What a listing in parallel asks next, and what it makes of the answers. Nothing here waits.
//!
//! A prefix is one range of keys at first. A range that turns out to be long is divided at folders while it is listed:
//! what is after the folder's key is another range, which is listed beside it. So a short listing costs what it costs
//! page by page, a long one is spread over as many requests as are allowed, and one without folders stays one range.

use std::collections::{BTreeMap, VecDeque};

use super::{Listing, Page};
use crate::error::{Error, ErrorKind};
use crate::location::Location;
use crate::object::Listed;

/// Requests under way at a time.
const MOST_REQUESTS: usize = 16;
/// Ranges that are not listed to their end. More than there are requests, so that each that ends has a successor.
const MOST_RANGES: usize = 2 * MOST_REQUESTS;
/// Pages after which a range is called long.
const LONG: u32 = 4;

/// The keys that begin with that of `prefix`, from after one key up to another, that one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// What all keys begin with.
    pub prefix: Location,
    /// The key after which it begins; nothing for the first one.
    pub after: Option<String>,
    /// The last key that may be in it; nothing where it has no end.
    pub until: Option<String>,
}

impl KeyRange {
    /// All keys of a prefix.
    #[must_use]
    pub fn all(prefix: Location) -> Self {
        Self {
            prefix,
            after: None,
            until: None,
        }
    }
}

/// What a listing of ranges comes by. Each range has a number: those that were asked for from 0 on, in their order.
#[derive(Debug)]
pub enum Step {
    /// An object. Those of one range come in the order of their keys.
    Object {
        /// The range that it is in.
        range: usize,
        /// What is known of it.
        object: Listed,
    },
    /// From here on a range ends with a key that none of its objects so far is after.
    Divided {
        /// The range.
        range: usize,
        /// Its last key.
        at: String,
        /// The number of the range that has what is after it.
        rest: usize,
    },
    /// All of a range has been listed.
    Ended {
        /// The range.
        range: usize,
    },
    /// A prefix cannot be listed, or not any more: nothing else comes of its ranges, and what came before remains true.
    Failed {
        /// The prefix.
        prefix: Location,
        /// Why.
        error: Error,
    },
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) range: usize,
    pub(super) listing: Listing,
    pub(super) what: What,
    /// How many there may be at a time, this one included.
    pub(super) at_a_time: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The next page.
    Page,
    /// Keys that divide what comes after `cursor`.
    Divisions {
        cursor: String,
        until: Option<String>,
    },
}

/// The ranges that are not yet listed to their end.
#[derive(Debug)]
pub(super) struct Ranges {
    open: BTreeMap<usize, Open>,
    /// Those whose next page nobody has asked for, in the order in which they are to be.
    waiting: VecDeque<usize>,
    /// How many there were.
    number: usize,
    /// Some range has an end that listings of others rely on.
    divided: bool,
    /// The store lists in order, and from where it is asked to.
    divisible: bool,
    /// Requests that there may be at a time.
    at_a_time: usize,
    /// What that may grow to.
    limit: usize,
}

#[derive(Debug)]
struct Open {
    listing: Listing,
    until: Option<String>,
    /// The last key of it, so far.
    cursor: Option<String>,
    pages: u32,
    /// Pages after which it is looked whether it can be divided.
    long: u32,
    /// That is being asked.
    dividing: bool,
}

impl Open {
    fn of(range: KeyRange) -> Self {
        Self {
            cursor: range.after.clone(),
            listing: Listing {
                prefix: range.prefix,
                after: range.after,
                token: None,
            },
            until: range.until,
            pages: 0,
            long: LONG,
            dividing: false,
        }
    }
}

impl Ranges {
    pub(super) fn new(ranges: Vec<KeyRange>) -> Self {
        Self {
            waiting: (0..ranges.len()).collect(),
            number: ranges.len(),
            divided: ranges.iter().any(|range| range.until.is_some()),
            open: ranges.into_iter().map(Open::of).enumerate().collect(),
            divisible: true,
            at_a_time: MOST_REQUESTS,
            limit: MOST_REQUESTS,
        }
    }

    /// How many requests there may be now.
    pub(super) fn at_a_time(&self) -> usize {
        self.at_a_time
    }

    /// What to ask next, if there is anything: pages first. Every request is to be answered here.
    pub(super) fn next(&mut self) -> Option<Request> {
        while let Some(range) = self.waiting.pop_front() {
            if let Some(open) = self.open.get(&range) {
                return Some(Request {
                    range,
                    listing: open.listing.clone(),
                    what: What::Page,
                    at_a_time: self.at_a_time,
                });
            }
        }
        if !self.divisible || self.open.len() >= MOST_RANGES {
            return None;
        }
        // The one that has shown most of its length.
        let (range, open) = (self.open.iter_mut())
            .filter(|(_, open)| !open.dividing && open.pages >= open.long)
            .max_by_key(|(_, open)| open.pages)?;
        open.dividing = true;
        Some(Request {
            range: *range,
            listing: open.listing.clone(),
            at_a_time: self.at_a_time,
            what: What::Divisions {
                cursor: open.cursor.clone()?,
                until: open.until.clone(),
            },
        })
    }

    /// A page of a range.
    pub(super) fn page(&mut self, range: usize, page: Page, steps: &mut Vec<Step>) {
        let Some(open) = self.open.get_mut(&range) else {
            return;
        };
        self.at_a_time = self.limit.min(self.at_a_time + 1);
        // Where a store always begins with the first key, each range costs what all of them do.
        self.divisible &= page.begins;
        let last = page.next.is_none();
        open.listing.token = page.next;
        open.pages += 1;
        // What is after the end was listed by another range, or will be.
        let mut past = false;
        for object in page.objects {
            let key = object.location.key();
            let beyond = open.until.as_deref().is_some_and(|until| key > until);
            if open.cursor.as_deref().is_some_and(|cursor| key <= cursor) || (past && !beyond) {
                self.divisible = false;
                if self.divided {
                    let error = disorder(&open.listing.prefix);
                    return self.failed(range, error, steps);
                }
            }
            past |= beyond;
            if past {
                continue;
            }
            open.cursor = Some(key.to_owned());
            steps.push(Step::Object { range, object });
        }
        if last || past {
            self.open.remove(&range);
            steps.push(Step::Ended { range });
        } else {
            self.waiting.push_back(range);
        }
    }

    /// A page was not to be had; there are `others` that are still asked for, or not. A store that is slow with many requests
    /// may answer fewer: one is asked then, and one more with every answer, up to half of what was too much.
    pub(super) fn unanswered(
        &mut self,
        range: usize,
        at_a_time: usize,
        others: bool,
        error: Error,
        steps: &mut Vec<Step>,
    ) {
        let alone = at_a_time == 1 || (!others && self.waiting.is_empty());
        if alone || !error.is_transient() {
            return self.failed(range, error, steps);
        }
        self.limit = self.limit.min(at_a_time / 2);
        self.at_a_time = 1;
        self.waiting.push_front(range);
    }

    /// A range could not be asked for: its store will not tell others of the same prefix.
    fn failed(&mut self, range: usize, error: Error, steps: &mut Vec<Step>) {
        let Some(open) = self.open.get(&range) else {
            return;
        };
        let prefix = open.listing.prefix.clone();
        self.open.retain(|_, open| open.listing.prefix != prefix);
        steps.push(Step::Failed { prefix, error });
    }

    /// Nothing more is to be asked for.
    pub(super) fn stopped(&mut self, steps: &mut Vec<Step>) {
        while let Some((range, open)) = self.open.first_key_value() {
            let error = Error::stopped(&open.listing.prefix);
            self.failed(*range, error, steps);
        }
    }

    /// Keys at which a range can be divided, in order; none where there are none.
    pub(super) fn divisions(&mut self, range: usize, mut keys: Vec<String>, steps: &mut Vec<Step>) {
        let room = MOST_RANGES.saturating_sub(self.open.len());
        let Some(open) = self.open.get_mut(&range) else {
            return;
        };
        open.dividing = false;
        // Pages have come in meanwhile.
        keys.retain(|key| Some(key) > open.cursor.as_ref());
        if !self.divisible || keys.is_empty() || room == 0 {
            // Perhaps folders come further on.
            open.long = open.pages.saturating_mul(2);
            return;
        }
        open.pages = 0;
        open.long = LONG;
        let (prefix, end) = (open.listing.prefix.clone(), open.until.take());
        let pieces = keys.len().min(room);
        let mut before = range;
        for piece in 0..pieces {
            // Evenly among all of them: nobody knows how much is in each.
            let at = keys[piece * keys.len() / pieces].clone();
            let rest = self.number;
            self.number += 1;
            self.open.insert(
                rest,
                Open::of(KeyRange {
                    prefix: prefix.clone(),
                    after: Some(at.clone()),
                    until: None,
                }),
            );
            self.waiting.push_back(rest);
            if let Some(open) = self.open.get_mut(&before) {
                open.until = Some(at.clone());
            }
            steps.push(Step::Divided {
                range: before,
                at,
                rest,
            });
            before = rest;
        }
        if let Some(open) = self.open.get_mut(&before) {
            open.until = end;
        }
        self.divided = true;
    }
}

fn disorder(prefix: &Location) -> Error {
    let message = format!(
        "{prefix}: the store does not list keys in their order, so that nobody knows what is missing"
    );
    Error::new(ErrorKind::Unusable, message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bucket() -> Location {
        "s3://bucket/".parse().expect("URL")
    }

    fn of<'a>(keys: impl IntoIterator<Item = &'a str>, next: Option<String>) -> Page {
        let keys = keys.into_iter();
        Page {
            objects: keys
                .map(|key| Listed::new(bucket().with_key(key), 1))
                .collect(),
            next,
            begins: true,
        }
    }

    /// What a store with these keys answers: pages of so many keys, and folders, of the outer level or of the one that the key is in.
    struct Store<'a> {
        keys: &'a BTreeSet<String>,
        page: usize,
    }

    impl Store<'_> {
        fn answer(&self, ranges: &mut Ranges, request: Request, steps: &mut Vec<Step>) {
            match request.what {
                What::Page => {
                    let from = request.listing.token.or(request.listing.after);
                    let rest = self.keys.iter().filter(|key| Some(*key) > from.as_ref());
                    let mut rest = rest.peekable();
                    let page: Vec<_> = rest.by_ref().take(self.page).cloned().collect();
                    let token = rest.peek().and_then(|_| page.last().cloned());
                    let page = of(page.iter().map(String::as_str), token);
                    ranges.page(request.range, page, steps);
                }
                What::Divisions { cursor, until } => {
                    let folder = |key: &String, from: usize| {
                        let end = from + key.get(from..)?.find('/')?;
                        Some(key[..=end].to_owned())
                    };
                    let inside = |key: &String| {
                        *key > cursor && until.as_ref().is_none_or(|until| key < until)
                    };
                    let of = |from| -> BTreeSet<String> {
                        let inner = self
                            .keys
                            .iter()
                            .filter(|key| key.get(..from) == cursor.get(..from));
                        let folders = inner.filter_map(|key| folder(key, from));
                        folders.filter(inside).collect()
                    };
                    let mut keys = of(0);
                    if let (true, Some(outer)) = (keys.is_empty(), folder(&cursor, 0)) {
                        keys = of(outer.len());
                    }
                    ranges.divisions(request.range, keys.into_iter().collect(), steps);
                }
            }
        }
    }

    /// What is left to list after some steps, as somebody keeps it who goes on later.
    fn left(mut ranges: Vec<Option<KeyRange>>, steps: &[Step]) -> Vec<KeyRange> {
        for step in steps {
            match step {
                Step::Object { range, object } => {
                    let range = ranges[*range].as_mut().expect("a range");
                    range.after = Some(object.location.key().to_owned());
                }
                Step::Divided { range, at, rest } => {
                    assert_eq!(*rest, ranges.len());
                    let before = ranges[*range].as_mut().expect("a range");
                    let until = before.until.replace(at.clone());
                    ranges.push(Some(KeyRange {
                        prefix: bucket(),
                        after: Some(at.clone()),
                        until,
                    }));
                }
                Step::Ended { range } => ranges[*range] = None,
                Step::Failed { error, .. } => panic!("{error}"),
            }
        }
        ranges.into_iter().flatten().collect()
    }

    /// Lists, with answers in the order that `choices` tells, for so many steps or to the end.
    fn list(ranges: Vec<KeyRange>, store: &Store<'_>, choices: &[usize], most: usize) -> Vec<Step> {
        let mut state = Ranges::new(ranges);
        let (mut under_way, mut steps) = (Vec::new(), Vec::new());
        let mut choices = choices.iter().cycle();
        loop {
            while under_way.len() < MOST_REQUESTS
                && let Some(request) = state.next()
            {
                under_way.push(request);
            }
            if under_way.is_empty() || steps.len() >= most {
                steps.truncate(most);
                return steps;
            }
            let choice = choices.next().expect("some") % under_way.len();
            let request = under_way.swap_remove(choice);
            store.answer(&mut state, request, &mut steps);
            assert!(state.open.len() <= MOST_RANGES.max(2));
        }
    }

    fn keys_of(steps: &[Step]) -> Vec<String> {
        let key = |step: &Step| match step {
            Step::Object { object, .. } => Some(object.location.key().to_owned()),
            _ => None,
        };
        steps.iter().filter_map(key).collect()
    }

    proptest! {
        /// Whatever comes first: every key once, and whoever stops anywhere goes on with exactly the rest.
        #[test]
        fn every_key_comes_once_wherever_it_was_stopped(
            keys in prop::collection::btree_set("[a-c]{1,2}/[a-d]{1,3}|[a-d]{1,3}/?", 1..150),
            page in 1..6_usize,
            choices in prop::collection::vec(0..64_usize, 1..40),
            stop in 0..200_usize,
        ) {
            let store = Store { keys: &keys, page };
            let all = vec![KeyRange::all(bucket())];
            let whole = keys_of(&list(all.clone(), &store, &choices, usize::MAX));
            prop_assert_eq!(whole.len(), keys.len());
            prop_assert_eq!(&whole.into_iter().collect::<BTreeSet<_>>(), &keys);
            let first = list(all.clone(), &store, &choices, stop);
            let rest = left(all.into_iter().map(Some).collect(), &first);
            let second = list(rest, &store, &choices, usize::MAX);
            let both: Vec<_> = [keys_of(&first), keys_of(&second)].concat();
            prop_assert_eq!(both.len(), keys.len());
            prop_assert_eq!(&both.into_iter().collect::<BTreeSet<_>>(), &keys);
        }
    }

    #[test]
    fn a_long_listing_is_divided_and_a_short_one_is_not() {
        let keys = |number: usize| -> BTreeSet<String> {
            (0..number)
                .map(|number| format!("{:02}/{number:04}", number % 40))
                .collect()
        };
        let divided = |number: usize| {
            let keys = keys(number);
            let store = Store {
                keys: &keys,
                page: 10,
            };
            let steps = list(vec![KeyRange::all(bucket())], &store, &[0], usize::MAX);
            steps
                .iter()
                .filter(|step| matches!(step, Step::Divided { .. }))
                .count()
        };
        assert_eq!(divided(40), 0);
        assert!(divided(400) >= MOST_REQUESTS);
    }

    /// As many answers at a time as requests are allowed: how often one waits for a store, against page by page.
    #[test]
    fn a_long_listing_takes_a_fraction_of_the_time() {
        let mut skewed: BTreeSet<String> = (0..6000)
            .map(|n| format!("big/{:02}/{n:05}", n % 30))
            .collect();
        skewed.extend((0..300).map(|number| format!("{number:03}/a")));
        let even = (0..6000).map(|n| format!("{:02}/{n:05}", n % 16)).collect();
        for keys in [even, skewed] {
            let store = Store {
                keys: &keys,
                page: 10,
            };
            let mut ranges = Ranges::new(vec![KeyRange::all(bucket())]);
            let (mut waits, mut steps) = (0, Vec::new());
            loop {
                let requests = std::iter::from_fn(|| ranges.next());
                let requests: Vec<_> = requests.take(MOST_REQUESTS).collect();
                if requests.is_empty() {
                    break;
                }
                waits += 1;
                for request in requests {
                    store.answer(&mut ranges, request, &mut steps);
                }
            }
            assert_eq!(keys_of(&steps).len(), keys.len());
            assert!(
                waits * 8 < keys.len() / 10,
                "{waits} waits for {} pages",
                keys.len() / 10
            );
        }
    }

    #[test]
    fn a_store_without_order_is_not_divided_and_nothing_is_passed_over() {
        let mut ranges = Ranges::new(vec![KeyRange::all(bucket())]);
        let page = |next: Option<&str>| of(["c/1", "a/1", "b/1"], next.map(str::to_owned));
        let mut steps = Vec::new();
        for _ in 0..6 {
            let request = ranges.next().expect("a page");
            assert_eq!(request.what, What::Page);
            ranges.page(0, page(Some("more")), &mut steps);
        }
        assert_eq!(steps.len(), 18);
        // Where an end was relied on, nobody knows what is missing.
        let mut ranges = Ranges::new(vec![KeyRange {
            until: Some("b/".to_owned()),
            ..KeyRange::all(bucket())
        }]);
        ranges.next().expect("a page");
        let mut steps = Vec::new();
        ranges.page(0, page(None), &mut steps);
        let failed = |step: &Step| matches!(step, Step::Failed { error, .. } if error.kind() == ErrorKind::Unusable);
        assert!(matches!(&steps[..], [step] if failed(step)), "{steps:?}");
        assert!(ranges.next().is_none());
    }

    #[test]
    fn a_store_that_answers_fewer_requests_is_asked_fewer_at_a_time() {
        let all = (0..20).map(|n| KeyRange::all(format!("s3://b/{n:02}/").parse().expect("URL")));
        let mut ranges = Ranges::new(all.collect());
        let mut steps = Vec::new();
        let ask = |ranges: &mut Ranges| -> Vec<Request> {
            let most = ranges.at_a_time();
            std::iter::from_fn(|| ranges.next()).take(most).collect()
        };
        let first = ask(&mut ranges);
        assert_eq!(first.len(), MOST_REQUESTS);
        for request in &first {
            let late = Error::stopped(&request.listing.prefix);
            ranges.unanswered(request.range, request.at_a_time, true, late, &mut steps);
        }
        let mut asked = Vec::new();
        loop {
            let requests = ask(&mut ranges);
            if requests.is_empty() {
                break;
            }
            asked.push(requests.len());
            for request in requests {
                ranges.page(request.range, of(["a"], None), &mut steps);
            }
        }
        assert_eq!(asked[..3], [1, 2, 4]);
        assert_eq!(asked.iter().max(), Some(&8));
        assert_eq!(keys_of(&steps).len(), 20);
        // One that was the only one has failed, by its number or because there was nothing else to ask.
        let late = || Error::stopped(&bucket());
        let two = ["a/", "b/"].map(|prefix| KeyRange::all(bucket().with_key(prefix)));
        let mut ranges = Ranges::new(two.to_vec());
        steps.clear();
        let requests = ask(&mut ranges);
        for (request, others) in requests.iter().zip([true, false]) {
            ranges.unanswered(request.range, request.at_a_time, others, late(), &mut steps);
        }
        assert!(steps.is_empty());
        let again = ranges.next().expect("once more");
        ranges.unanswered(again.range, again.at_a_time, false, late(), &mut steps);
        assert!(matches!(&steps[..], [Step::Failed { .. }]));
        let mut ranges = Ranges::new(vec![KeyRange::all(bucket())]);
        let request = ranges.next().expect("a page");
        ranges.unanswered(request.range, request.at_a_time, false, late(), &mut steps);
        assert!(steps.len() == 2 && ranges.next().is_none());
    }

    #[test]
    fn a_failure_ends_its_prefix_and_no_other() {
        let other: Location = "s3://other/".parse().expect("URL");
        let mut ranges = Ranges::new(vec![KeyRange::all(bucket()), KeyRange::all(other)]);
        let requests = [ranges.next(), ranges.next()];
        assert!(requests.iter().all(Option::is_some));
        let mut steps = Vec::new();
        ranges.failed(0, Error::stopped(&bucket()), &mut steps);
        ranges.page(0, of(["late"], None), &mut steps);
        ranges.page(1, of(["a"], None), &mut steps);
        let kinds = steps.iter().map(|step| match step {
            Step::Failed { prefix, .. } => prefix.to_string(),
            Step::Object { object, .. } => object.location.key().to_owned(),
            _ => "end".to_owned(),
        });
        assert_eq!(kinds.collect::<Vec<_>>(), ["s3://bucket/", "a", "end"]);
    }
}
