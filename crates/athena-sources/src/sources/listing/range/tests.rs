mod failures;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::error::SourceErrorKind;
use crate::location::Location;
use crate::object::Listed;

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

/// What a store with these keys answers: pages of so many keys, and folders, of the outer level or of the one that the
/// key is in.
struct Store<'a> {
    keys: &'a BTreeSet<String>,
    page: usize,
    order: Order,
    /// It begins where it is asked to.
    honours: bool,
}

/// The order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Bytes,
    /// A folder comes before all that its name goes on to, as in a tree of files.
    Paths,
    NoCase,
    Utf16,
}

impl Order {
    fn of(self, key: &str) -> (Vec<u16>, &str) {
        let text = match self {
            Self::Bytes => return (Vec::new(), key),
            Self::Paths => key.replace('/', "\0"),
            Self::NoCase => key.to_ascii_lowercase(),
            Self::Utf16 => key.to_owned(),
        };
        (text.encode_utf16().collect(), key)
    }
}

impl<'a> Store<'a> {
    fn of(keys: &'a BTreeSet<String>, page: usize) -> Self {
        let (order, honours) = (Order::Bytes, true);
        Self {
            keys,
            page,
            order,
            honours,
        }
    }

    fn in_order(&self) -> Vec<&'a String> {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by(|one, other| self.order.of(one).cmp(&self.order.of(other)));
        keys
    }

    /// A page, as [`Listing::page`] gives it.
    fn page(&self, listing: &Listing) -> Result<Page, Error> {
        let keys = self.in_order();
        let after = |after: &String| {
            let before = |key: &&String| self.order.of(key) <= self.order.of(after);
            keys.partition_point(before)
        };
        let from = match (&listing.token, &listing.after) {
            (Some(token), _) => token.parse().expect("a number"),
            (None, Some(key)) if self.honours => after(key),
            _ => 0,
        };
        let to = keys.len().min(from + self.page);
        let begins = listing.token.is_some()
            || keys[from..to].first().map(|key| key.as_str()) >= listing.after.as_deref()
            || from == to;
        if !begins && from > 0 {
            return Err(Error::unordered(&listing.prefix));
        }
        let next = (to < keys.len()).then(|| to.to_string());
        let page = of(keys[from..to].iter().map(|key| key.as_str()), next);
        Ok(Page { begins, ..page })
    }

    fn answer(&self, ranges: &mut Ranges, request: Request, steps: &mut Vec<Step>) {
        let range = request.range;
        match request.what {
            What::Page => match self.page(&request.listing) {
                Ok(page) => ranges.page(range, page, steps),
                Err(error) => ranges.failed(range, error, steps),
            },
            What::Seam => match self.page(&request.listing) {
                Ok(page) => ranges.seam(range, page, steps),
                Err(error) => ranges.failed(range, error, steps),
            },
            What::Divisions { cursor, until } => {
                let folder = |key: &String, from: usize| {
                    let end = from + key.get(from..)?.find('/')?;
                    Some(key[..=end].to_owned())
                };
                let inside =
                    |key: &String| *key > cursor && until.as_ref().is_none_or(|until| key < until);
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
                ranges.divisions(range, keys.into_iter().collect(), steps);
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
            Step::Failed { .. } => {}
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
    /// Whatever the order, and wherever it was stopped: every key once, or it is said that keys are missing.
    #[test]
    fn no_key_is_passed_over_without_a_word(
        keys in prop::collection::btree_set("[aB]{1,2}[-.é\u{10000}\u{ffff}]?[aB]?/[a-d]{1,2}|[aBc][-.\u{ffff}]?[a-d]?/?", 1..120),
        order in prop::sample::select(vec![Order::Paths, Order::NoCase, Order::Utf16]),
        honours in any::<bool>(),
        page in 1..5_usize,
        choices in prop::collection::vec(0..64_usize, 1..40),
        stop in 0..200_usize,
    ) {
        let store = Store { order, honours, ..Store::of(&keys, page) };
        let all = vec![KeyRange::all(bucket())];
        let failed = |steps: &[Step]| steps.iter().any(|step| matches!(step, Step::Failed { .. }));
        let first = list(all.clone(), &store, &choices, stop);
        if failed(&first) {
            return Ok(());
        }
        let mut found = keys_of(&first);
        // Whoever reads keys out of order goes on with no position.
        let mut last: BTreeMap<usize, &str> = BTreeMap::new();
        let unordered = first.iter().any(|step| match step {
            Step::Object { range, object } => {
                let key = object.location.key();
                last.insert(*range, key).is_some_and(|last| last >= key)
            }
            _ => false,
        });
        if !unordered {
            let rest = left(all.into_iter().map(Some).collect(), &first);
            let second = list(rest, &store, &choices, usize::MAX);
            if failed(&second) {
                return Ok(());
            }
            found.extend(keys_of(&second));
        } else if first.len() == stop {
            return Ok(());
        }
        prop_assert_eq!(found.len(), keys.len());
        prop_assert_eq!(&found.into_iter().collect::<BTreeSet<_>>(), &keys);
    }

    /// Whatever comes first: every key once, and whoever stops anywhere goes on with exactly the rest.
    #[test]
    fn every_key_comes_once_wherever_it_was_stopped(
        keys in prop::collection::btree_set("[a-c]{1,2}/[a-d]{1,3}|[a-d]{1,3}/?", 1..150),
        page in 1..6_usize,
        choices in prop::collection::vec(0..64_usize, 1..40),
        stop in 0..200_usize,
    ) {
        let store = Store::of(&keys, page);
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
        let store = Store::of(&keys, 10);
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
        let store = Store::of(&keys, 10);
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
    let page = |turn: u32, next: Option<String>| {
        let keys = ["c", "a", "b"].map(|folder| format!("{folder}/{turn}"));
        of(keys.iter().map(String::as_str), next)
    };
    let mut steps = Vec::new();
    for turn in 0..6 {
        let request = ranges.next().expect("a page");
        assert_eq!(request.what, What::Page);
        ranges.page(0, page(turn, Some(turn.to_string())), &mut steps);
    }
    assert_eq!(steps.len(), 18);
    // Where an end was relied on, nobody knows what is missing.
    let mut ranges = Ranges::new(vec![KeyRange {
        until: Some("b/".to_owned()),
        ..KeyRange::all(bucket())
    }]);
    ranges.next().expect("a page");
    let mut steps = Vec::new();
    ranges.page(0, page(1, None), &mut steps);
    let failed = |step: &Step| matches!(step, Step::Failed { error, .. } if error.kind() == SourceErrorKind::Unordered);
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

#[test]
fn a_prefix_without_an_order_that_is_documented_is_listed_page_by_page() {
    let keys = (0..400).map(|number| format!("{:02}/{number:04}", number % 40));
    let keys: BTreeSet<String> = keys.collect();
    for (prefix, divided) in [
        ("s3://bucket/", true),
        ("gs://bucket/", true),
        ("az://bucket/", false),
        ("s3://bucket--use1-az4--x-s3/", false),
    ] {
        let all = KeyRange::all(prefix.parse().expect("URL"));
        let steps = list(vec![all], &Store::of(&keys, 10), &[0], usize::MAX);
        let divisions = |step: &Step| matches!(step, Step::Divided { .. });
        assert_eq!(steps.iter().any(divisions), divided, "{prefix}");
        assert_eq!(keys_of(&steps).len(), keys.len());
    }
}

#[test]
fn a_prefix_that_cannot_be_divided_leaves_the_others_as_they_are() {
    let other: Location = "s3://other/".parse().expect("URL");
    let mut ranges = Ranges::new(vec![KeyRange::all(bucket()), KeyRange::all(other)]);
    ranges.divisions(1, vec!["m/".to_owned()], &mut Vec::new());
    let mut steps = Vec::new();
    // The one that is whole may list as it likes.
    ranges.page(0, of(["c", "b", "a"], None), &mut steps);
    assert_eq!(keys_of(&steps), ["c", "b", "a"]);
    assert!(matches!(steps.last(), Some(Step::Ended { range: 0 })));
    ranges.page(2, of(["n"], Some("more".to_owned())), &mut steps);
    assert_eq!(ranges.prefixes[1].division, Division::Sound);
}

/// A range up to `b/` that was listed up to its end, which the store had `beyond` after.
fn at_its_end(beyond: &str) -> Ranges {
    let mut ranges = Ranges::new(vec![KeyRange {
        until: Some("b/".to_owned()),
        ..KeyRange::all(bucket())
    }]);
    ranges.next().expect("a page");
    let mut steps = Vec::new();
    ranges.page(0, of(["a", beyond], None), &mut steps);
    assert_eq!(keys_of(&steps), ["a"]);
    assert!(!matches!(steps.last(), Some(Step::Ended { .. })));
    ranges
}

/// What comes of a look at the end from the other side.
fn look(ranges: &mut Ranges, first: &str) -> Vec<Step> {
    let request = ranges.next().expect("its end");
    assert_eq!(request.what, What::Seam);
    assert_eq!(request.listing.after.as_deref(), Some("b/"));
    let mut steps = Vec::new();
    ranges.seam(0, of([first], None), &mut steps);
    steps
}

#[test]
fn an_end_that_looks_the_same_from_both_sides_is_one() {
    let mut ranges = at_its_end("b/1");
    assert!(matches!(
        look(&mut ranges, "b/1")[..],
        [Step::Ended { range: 0 }]
    ));
    assert!(ranges.next().is_none());
}

#[test]
fn what_comes_in_at_an_end_meanwhile_is_no_disorder() {
    let mut ranges = at_its_end("b/1");
    assert!(look(&mut ranges, "b/0").is_empty());
    let request = ranges.next().expect("the page again");
    assert_eq!(request.listing.after.as_deref(), Some("a"));
    let mut steps = Vec::new();
    ranges.page(0, of(["b", "b/0"], None), &mut steps);
    steps.extend(look(&mut ranges, "b/0"));
    assert_eq!(keys_of(&steps), ["b"]);
    assert!(matches!(steps.last(), Some(Step::Ended { range: 0 })));
}

#[test]
fn an_end_that_never_looks_the_same_is_disorder() {
    let mut ranges = at_its_end("c/1");
    for _ in 0..MOST_DOUBTS {
        assert!(look(&mut ranges, "b/1").is_empty());
        ranges.next().expect("the page again");
        ranges.page(0, of(["c/1"], None), &mut Vec::new());
    }
    let steps = look(&mut ranges, "b/1");
    assert!(
        matches!(&steps[..], [Step::Failed { error, .. }] if error.kind() == SourceErrorKind::Unordered)
    );
}
