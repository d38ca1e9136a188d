//! What a listing in parallel asks next, and what it makes of the answers. Nothing here waits.
//!
//! A prefix is one range of keys at first. A range that turns out to be long is divided at folders while it is listed:
//! what is after the folder's key is another range, which is listed beside it. So a short listing costs what it costs
//! page by page, a long one is spread over as many requests as are allowed, and one without folders stays one range.

mod prefix;

use std::collections::{BTreeMap, HashMap, VecDeque};

use self::prefix::{Division, Prefix};
use super::step::{KeyRange, Step};
use super::{Listing, Page, Standing};
use crate::error::{Error, SourceErrorKind};

/// Requests under way at a time.
const MOST_REQUESTS: usize = 16;
/// Ranges that are not listed to their end. More than there are requests, so that each that ends has a successor.
const MOST_RANGES: usize = 2 * MOST_REQUESTS;
/// Pages after which a range is called long.
const LONG: u32 = 4;
/// How often the end of a range may look different from its two sides before the order is doubted.
const MOST_DOUBTS: u32 = 3;
/// How often a range is asked for in vain while others are answered, before it is left.
const MOST_IN_VAIN: u32 = 3;
/// Ranges of a prefix that fail one after the other before it is given up. What is wrong at one place fails two: the
/// range there, and the look at the end of the one before.
const MOST_FAILURES: u32 = 3;

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
    /// The first key after the end of the range: the one that its own listing has come to.
    Seam,
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
    /// Those that are listed to their end, where nobody has looked at it from the other side.
    seams: VecDeque<usize>,
    /// How many there were.
    number: usize,
    prefixes: Vec<Prefix>,
    /// Requests that there may be at a time.
    at_a_time: usize,
    /// What that may grow to.
    limit: usize,
}

#[derive(Debug)]
struct Open {
    /// The number of its prefix.
    prefix: usize,
    listing: Listing,
    until: Option<String>,
    /// The first key that was listed after where it began, in it or beyond.
    first: Option<String>,
    /// The last key of it, so far.
    cursor: Option<String>,
    pages: u32,
    /// Pages after which it is looked whether it can be divided.
    long: u32,
    /// That is being asked.
    dividing: bool,
    /// All of it has come, and its end is to be looked at.
    closing: bool,
    /// The first key that came after its end.
    beyond: Option<String>,
    /// How often its end looked otherwise from the other side.
    doubts: u32,
    /// How often it was asked for in vain, one time after the other.
    in_vain: u32,
}

impl Open {
    fn of(range: KeyRange, prefix: usize) -> Self {
        Self {
            prefix,
            cursor: range.after.clone(),
            listing: Listing::of(range.prefix, range.after),
            until: range.until,
            first: None,
            pages: 0,
            long: LONG,
            dividing: false,
            closing: false,
            beyond: None,
            doubts: 0,
            in_vain: 0,
        }
    }

    /// What is not listed yet is asked for anew.
    fn again(&mut self) {
        self.listing = Listing::of(self.listing.prefix.clone(), self.cursor.clone());
        (self.closing, self.beyond) = (false, None);
    }
}

impl Ranges {
    pub(super) fn new(ranges: Vec<KeyRange>) -> Self {
        let mut numbers = HashMap::new();
        let mut prefixes: Vec<Prefix> = Vec::new();
        let mut open = BTreeMap::new();
        for (number, range) in ranges.into_iter().enumerate() {
            let prefix = *numbers.entry(range.prefix.clone()).or_insert_with(|| {
                prefixes.push(Prefix::of(&range.prefix));
                prefixes.len() - 1
            });
            prefixes[prefix].divided |= range.until.is_some();
            open.insert(number, Open::of(range, prefix));
        }
        Self {
            waiting: (0..open.len()).collect(),
            seams: VecDeque::new(),
            number: open.len(),
            open,
            prefixes,
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
        // Soon, while the store has what it had.
        while let Some(range) = self.seams.pop_front() {
            if let Some(open) = self.open.get(&range) {
                return Some(Request {
                    range,
                    listing: Listing::of(open.listing.prefix.clone(), open.until.clone()),
                    what: What::Seam,
                    at_a_time: self.at_a_time,
                });
            }
        }
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
        if self.open.len() >= MOST_RANGES {
            return None;
        }
        let can_be = |open: &Open| {
            let division = self.prefixes[open.prefix].division;
            matches!(division, Division::Untried | Division::Sound)
        };
        // The one that has shown most of its length.
        let (range, open) = (self.open.iter_mut())
            .filter(|(_, open)| !open.dividing && !open.closing && open.cursor.is_some())
            .filter(|(_, open)| open.pages >= open.long && can_be(open))
            .max_by_key(|(_, open)| open.pages)?;
        let what = What::Divisions {
            cursor: open.cursor.clone()?,
            until: open.until.clone(),
        };
        open.dividing = true;
        Some(Request {
            range: *range,
            listing: open.listing.clone(),
            what,
            at_a_time: self.at_a_time,
        })
    }

    /// A page of a range.
    pub(super) fn page(&mut self, range: usize, page: Page, steps: &mut Vec<Step>) {
        let Some(open) = self.open.get_mut(&range) else {
            return;
        };
        self.at_a_time = self.limit.min(self.at_a_time + 1);
        let prefix = &mut self.prefixes[open.prefix];
        (open.in_vain, prefix.failures) = (0, 0);
        if open.listing.after.is_some() && open.listing.token.is_none() {
            prefix.began(page.begins);
        }
        let page = match open.listing.turn(page) {
            Ok(page) => page,
            Err(error) => return self.failed(range, error, steps),
        };
        let last = page.next.is_none();
        open.pages += 1;
        for object in page.objects {
            let key = object.location.key();
            let Standing { before, astray } = open.listing.pass(key);
            if astray {
                prefix.division = Division::Unsound;
                // It may be one that another range has left out.
                if before || prefix.divided {
                    let error = Error::unordered(&open.listing.prefix);
                    return self.failed(range, error, steps);
                }
            }
            if before {
                continue;
            }
            if open.first.is_none() {
                open.first = Some(key.to_owned());
            }
            if open.until.as_deref().is_some_and(|until| key > until) {
                // Another range lists it, or has listed it.
                open.beyond.get_or_insert_with(|| key.to_owned());
                continue;
            }
            key.clone_into(open.cursor.get_or_insert_default());
            steps.push(Step::Object { range, object });
        }
        if !last && open.beyond.is_none() {
            self.waiting.push_back(range);
            return;
        }
        let (number, until, beyond) = (open.prefix, open.until.clone(), open.beyond.clone());
        // The range that has what is after may have told what it begins with.
        let met = |rest: &Open| {
            (rest.prefix, &rest.listing.after, &rest.first) == (number, &until, &beyond)
        };
        let met = beyond.is_some() && self.open.values().any(met);
        if let Some(open) = self.open.get_mut(&range)
            && until.is_some()
            && !met
        {
            open.closing = true;
            self.seams.push_back(range);
        } else {
            self.open.remove(&range);
            steps.push(Step::Ended { range });
        }
    }

    /// What a listing from the end of a range on begins with. Unless that is what the range's own listing came to there,
    /// keys were passed over between the two, or will be.
    pub(super) fn seam(&mut self, range: usize, page: Page, steps: &mut Vec<Step>) {
        let Some(open) = self.open.get_mut(&range) else {
            return;
        };
        let prefix = &mut self.prefixes[open.prefix];
        (open.in_vain, prefix.failures) = (0, 0);
        prefix.began(page.begins);
        let mut keys = page.objects.iter().map(|object| object.location.key());
        let first = keys.find(|key| Some(*key) > open.until.as_deref());
        // Where a store begins with the first key, the last range lists all, and comes by what is out of order.
        if page.begins && first != open.beyond.as_deref() {
            open.doubts += 1;
            if open.doubts > MOST_DOUBTS {
                let error = Error::unordered(&open.listing.prefix);
                return self.failed(range, error, steps);
            }
            // An object may have come or gone between the two requests.
            open.again();
            self.waiting.push_front(range);
            return;
        }
        self.open.remove(&range);
        steps.push(Step::Ended { range });
    }

    /// A page was not to be had; there are `others` that are still asked for, or not. A store that is slow with many requests
    /// may answer fewer: one is asked then, and one more with every answer, up to half of what was too much. It is not
    /// their number where one range alone is never answered.
    pub(super) fn unanswered(
        &mut self,
        range: usize,
        at_a_time: usize,
        others: bool,
        error: Error,
        steps: &mut Vec<Step>,
    ) {
        let others = others || !self.waiting.is_empty() || !self.seams.is_empty();
        let Some(open) = self.open.get_mut(&range) else {
            return;
        };
        open.in_vain += 1;
        if open.in_vain >= MOST_IN_VAIN && error.is_transient() {
            self.limit = MOST_REQUESTS;
            return self.failed(range, error, steps);
        }
        if at_a_time == 1 || !others || !error.is_transient() {
            return self.failed(range, error, steps);
        }
        self.limit = self.limit.min(at_a_time / 2);
        self.at_a_time = 1;
        match open.closing {
            true => self.seams.push_front(range),
            false => self.waiting.push_front(range),
        }
    }

    /// A range is not listed any further. Others of its prefix are, unless they cannot be either: a store that is gone
    /// is not asked for each of them.
    fn failed(&mut self, range: usize, error: Error, steps: &mut Vec<Step>) {
        let Some(failed) = self.open.remove(&range) else {
            return;
        };
        let prefix = &mut self.prefixes[failed.prefix];
        let everywhere = matches!(
            error.kind(),
            SourceErrorKind::Unordered | SourceErrorKind::Credentials | SourceErrorKind::Unusable
        );
        prefix.failures += 1;
        if everywhere || prefix.failures >= MOST_FAILURES {
            self.open.retain(|_, open| open.prefix != failed.prefix);
        }
        let prefix = failed.listing.prefix;
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
        let number = open.prefix;
        let prefix = &mut self.prefixes[number];
        let trial = prefix.division == Division::Untried;
        if open.closing || prefix.division == Division::OnTrial {
            return;
        }
        // Pages have come in meanwhile.
        keys.retain(|key| Some(key) > open.cursor.as_ref());
        if prefix.division == Division::Unsound || keys.is_empty() || room == 0 {
            // Perhaps folders come further on.
            open.long = open.pages.saturating_mul(2);
            return;
        }
        prefix.divided = true;
        let (pieces, shown) = match trial {
            true => {
                prefix.division = Division::OnTrial;
                // What is after the first folder is nearly all, and as long.
                (1, LONG)
            }
            false => (keys.len().min(room), 0),
        };
        open.pages = 0;
        open.long = LONG;
        let (at, end) = (open.listing.prefix.clone(), open.until.take());
        let mut before = range;
        for piece in 0..pieces {
            // Evenly among all of them: nobody knows how much is in each.
            let key = keys[piece * keys.len() / pieces].clone();
            let rest = self.number;
            self.number += 1;
            let after = KeyRange {
                after: Some(key.clone()),
                ..KeyRange::all(at.clone())
            };
            let mut open = Open::of(after, number);
            open.pages = shown;
            self.open.insert(rest, open);
            self.waiting.push_back(rest);
            if let Some(open) = self.open.get_mut(&before) {
                open.until = Some(key.clone());
            }
            steps.push(Step::Divided {
                range: before,
                at: key,
                rest,
            });
            before = rest;
        }
        if let Some(open) = self.open.get_mut(&before) {
            open.until = end;
        }
    }
}

#[cfg(test)]
mod tests;
