//! Listings of several ranges at the same time.

use std::time::{Duration, Instant};

use athena_sources::{KeyRange, SourceErrorKind, Sources, Step};
use futures_util::{StreamExt, TryStreamExt};

use crate::fake::{Circle, Fake, Fault, at};

/// So many folders with so many objects each.
fn folders(folders: usize, objects: usize) -> Vec<String> {
    let key =
        |folder: usize| move |object: usize| format!("in/2026/{folder:02}/a b&c/{object:05}.jpg");
    (0..folders)
        .flat_map(|folder| (0..objects).map(key(folder)))
        .collect()
}

async fn start(keys: &[String], page: usize, delay: u64) -> Fake {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let fake = Fake::start(&keys).await;
    let mut store = fake.lock();
    (store.page, store.delay) = (page, Duration::from_millis(delay));
    drop(store);
    fake
}

async fn steps(sources: &Sources, ranges: Vec<KeyRange>) -> Vec<Step> {
    sources.list_ranges(ranges).collect().await
}

fn keys(steps: &[Step]) -> Vec<String> {
    let key = |step: &Step| match step {
        Step::Object { object, .. } => Some(object.location.key().to_owned()),
        _ => None,
    };
    steps.iter().filter_map(key).collect()
}

/// What is left after some steps.
fn left(prefix: &str, steps: &[Step]) -> Vec<KeyRange> {
    let mut ranges = vec![Some(KeyRange::all(at(prefix)))];
    for step in steps {
        match step {
            Step::Object { range, object } => {
                ranges[*range].as_mut().expect("a range").after =
                    Some(object.location.key().to_owned());
            }
            Step::Divided { range, at, .. } => {
                let mut rest = ranges[*range].clone().expect("a range");
                rest.after = Some(at.clone());
                ranges[*range].as_mut().expect("a range").until = Some(at.clone());
                ranges.push(Some(rest));
            }
            Step::Ended { range } => ranges[*range] = None,
            Step::Failed { .. } => {}
        }
    }
    ranges.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_long_listing_is_spread_over_many_requests_and_has_every_key_once() {
    let mut expected = folders(12, 40);
    expected.extend(["in/2026/", "in/a//b", "in/z/é", "out/"].map(str::to_owned));
    expected.sort_unstable();
    let fake = start(&expected, 5, 2).await;
    let sources = fake.sources().await;
    let all = steps(&sources, vec![KeyRange::all(at(""))]).await;
    let mut found = keys(&all);
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(
        fake.lock().pages.1 >= 8,
        "{} at a time",
        fake.lock().pages.1
    );
    assert_eq!(sources.requests().list, fake.lock().seen.len() as u64);
    // Wherever it was stopped, it goes on with the rest, and asks for nothing that was before.
    for stop in (0..all.len()).step_by(97) {
        let rest = left("", &all[..stop]);
        fake.lock().seen.clear();
        let after: Vec<String> = rest
            .iter()
            .filter_map(|range| range.after.clone())
            .collect();
        let mut both = [keys(&all[..stop]), keys(&steps(&sources, rest).await)].concat();
        both.sort_unstable();
        assert_eq!(both, expected);
        let first = fake.lock().seen.first().cloned().unwrap_or_default();
        assert!(
            after.is_empty() || after.contains(&first["LIST ".len()..].to_owned()),
            "{first}"
        );
    }
}

#[tokio::test]
async fn a_store_that_always_begins_with_the_first_key_has_every_key_once_and_is_divided_no_further()
 {
    let expected = folders(40, 40);
    let fake = start(&expected, 5, 0).await;
    fake.lock().from_the_first = true;
    let sources = fake.sources().await;
    let all = steps(&sources, vec![KeyRange::all(at(""))]).await;
    let mut found = keys(&all);
    found.sort_unstable();
    assert_eq!(found, expected);
    let divided = all
        .iter()
        .filter(|step| matches!(step, Step::Divided { .. }))
        .count();
    assert_eq!(divided, 1, "to see that it is none to divide");
    let pages = expected.len() as u64 / 5;
    let asked = sources.requests().list;
    assert!(asked < 2 * pages + 16, "{asked} for {pages}");
    // It goes on after any key all the same.
    let after = Some(expected[1000].clone());
    let rest: Result<Vec<_>, _> = sources.list(&at(""), after).try_collect().await;
    assert_eq!(rest.expect("a listing").len(), expected.len() - 1001);
}

#[tokio::test]
async fn a_store_with_an_order_of_its_own_loses_no_key_without_a_word() {
    for (first, second) in [("2026", "2026-01"), ("a", "b"), ("z", "z!")] {
        let folder = |name: &'static str| {
            move |number: usize| format!("{name}/{:02}/{number:03}.jpg", number % 20)
        };
        let mut expected: Vec<String> = (0..200).map(folder(first)).collect();
        expected.extend((0..200).map(folder(second)));
        // Between the two where a folder comes first, before both by its bytes.
        expected.push(format!("{first} 0.jpg"));
        expected.push(format!("{second}.jpg"));
        expected.sort_unstable();
        let fake = start(&expected, 5, 0).await;
        fake.lock().by_path = true;
        let sources = fake.sources().await;
        let all = steps(&sources, vec![KeyRange::all(at(""))]).await;
        let mut found = keys(&all);
        found.sort_unstable();
        let said = |step: &Step| matches!(step, Step::Failed { error, .. } if error.kind() == SourceErrorKind::Unordered);
        let said = all.iter().any(said);
        // Where folders are out of order already none is divided; elsewhere it shows only later.
        assert_eq!(said, second == "b", "{first} and {second}");
        assert!(said || found == expected, "{} of 402", found.len());
        // Whoever begins after a key is told, and all comes page by page.
        let after = Some(format!("{first}/00/000.jpg"));
        let rest: Result<Vec<_>, _> = sources.list(&at(""), after).try_collect().await;
        assert_eq!(
            rest.expect_err("what is between").kind(),
            SourceErrorKind::Unordered
        );
        let whole: Result<Vec<_>, _> = sources.list(&at(""), None).try_collect().await;
        assert_eq!(whole.expect("a listing").len(), expected.len());
    }
}

#[tokio::test]
async fn a_listing_of_few_pages_or_without_folders_asks_for_no_more_than_its_pages() {
    for (keys, prefix, divisions) in [
        (folders(10, 2), "", 0),
        (folders(1, 100), "in/2026/00/a b&c/", 3),
    ] {
        let fake = start(&keys, 5, 0).await;
        let sources = fake.sources().await;
        let found = steps(&sources, vec![KeyRange::all(at(prefix))]).await;
        assert_eq!(found.len(), keys.len() + 1);
        // Of the long one it is asked now and then whether folders come.
        let pages = keys.len().div_ceil(5) as u64;
        assert!(
            sources.requests().list <= pages + divisions,
            "{:?}",
            sources.requests()
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_ends_the_listing() {
    let fake = start(&folders(12, 40), 5, 0).await;
    let sources = fake.sources().await;
    fake.lock().fault = Fault::Status(403, "AccessDenied", u32::MAX);
    let all = steps(&sources, vec![KeyRange::all(at(""))]).await;
    let refused = |step: &Step| matches!(step, Step::Failed { error, .. } if error.kind() == SourceErrorKind::Refused);
    assert!(matches!(&all[..], [step] if refused(step)), "{all:?}");
    assert!(steps(&sources, Vec::new()).await.is_empty());
}

#[tokio::test]
async fn a_range_that_is_refused_is_left_and_the_others_are_listed_to_their_end() {
    let mut expected = folders(12, 40);
    expected.sort_unstable();
    let fake = start(&expected, 5, 0).await;
    let sources = fake.sources().await;
    fake.lock().refused = "in/2026/07/".to_owned();
    let all = steps(&sources, vec![KeyRange::all(at(""))]).await;
    let failures: Vec<_> = (all.iter())
        .filter_map(|step| match step {
            Step::Failed { error, .. } => Some(error.kind()),
            _ => None,
        })
        .collect();
    // That range, and perhaps the end of the one before it, which was looked at from there.
    assert!((1..=2).contains(&failures.len()), "{failures:?}");
    assert!(
        failures
            .iter()
            .all(|kind| *kind == SourceErrorKind::Refused)
    );
    let found = keys(&all);
    let behind = |key: &&String| !key.starts_with("in/2026/07/");
    let missing = expected.iter().filter(behind);
    assert!(missing.clone().all(|key| found.contains(key)));
    // These are left, and no key comes twice.
    fake.lock().refused.clear();
    let rest = left("", &all);
    assert_eq!(rest.len(), failures.len(), "{rest:?}");
    let mut both = [found, keys(&steps(&sources, rest).await)].concat();
    both.sort_unstable();
    assert_eq!(both, expected);
}

#[tokio::test]
async fn a_store_whose_pages_lead_nowhere_is_not_asked_for_ever() {
    let expected = folders(3, 40);
    for circle in [Circle::Empty, Circle::Same, Circle::Two, Circle::Keys] {
        let fake = start(&expected, 5, 0).await;
        let sources = fake.sources().await;
        fake.lock().circle = Some(circle);
        let one: Result<Vec<_>, _> = sources.list(&at(""), None).try_collect().await;
        let error = one.expect_err("no end");
        assert_eq!(error.kind(), SourceErrorKind::Endless, "{error}");
        assert!(!error.is_of_object());
        let many = steps(&sources, vec![KeyRange::all(at(""))]).await;
        let endless = |step: &Step| matches!(step, Step::Failed { error, .. } if error.kind() == SourceErrorKind::Endless);
        assert!(many.iter().any(endless), "{circle:?}");
        assert!(sources.requests().list < 2_100);
        // Nor is the end of a range, when it is looked at from the other side.
        fake.lock().circle = None;
        let range = KeyRange {
            until: Some("in/2026/01/".to_owned()),
            ..KeyRange::all(at(""))
        };
        fake.lock().circle_after = Some(("in/2026/01/".to_owned(), circle));
        let before = sources.requests().list;
        let many = steps(&sources, vec![range]).await;
        let said = many.iter().any(endless);
        assert_eq!(
            said,
            circle == Circle::Empty,
            "{circle:?}: {:?}",
            many.last()
        );
        assert!(sources.requests().list - before < 4_000);
    }
}

/// `ATHENA_PAGE_MS=20 cargo test --release -p athena-sources --all-features --test s3 gain -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn gain_of_ranges() {
    let text = std::env::var("ATHENA_PAGE_MS").ok();
    let delay = text.and_then(|text| text.parse().ok()).unwrap_or(100);
    for (number, objects) in [(16, 1_000), (365, 100), (1, 5_000)] {
        let expected = folders(number, objects);
        let fake = start(&expected, 100, delay).await;
        let sources = fake.sources().await;
        let since = Instant::now();
        let listed: Vec<_> = sources
            .list(&at(""), None)
            .try_collect()
            .await
            .expect("a listing");
        let one = since.elapsed();
        let requests = sources.requests().list;
        let since = Instant::now();
        let found = keys(&steps(&sources, vec![KeyRange::all(at(""))]).await);
        let many = since.elapsed();
        assert_eq!(
            (listed.len(), found.len()),
            (expected.len(), expected.len())
        );
        let more = sources.requests().list - requests;
        println!(
            "{number} folders of {objects}, {delay} ms a page: {requests} requests one by one, {more} in ranges, {:.1} times as fast",
            one.as_secs_f64() / many.as_secs_f64()
        );
    }
}
