//! Listings of stores that list, refuse or fail in ways of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::common::{bmp, json_lines};

const SCAN: [&str; 3] = ["--emulator", "--progress=never", "--in-flight=16"];

/// In 20 folders, and beside them what another order has between.
fn objects() -> BTreeMap<String, Vec<u8>> {
    let mut keys: Vec<String> = (0..600)
        .map(|number| format!("2026/{:02}/{number:04}.bmp", number % 20))
        .collect();
    keys.extend(["2026 0.bmp", "2026-0.bmp", "2026.bmp"].map(str::to_owned));
    let objects = keys.into_iter().zip(0..);
    objects.map(|(key, number)| (key, bmp(number))).collect()
}

fn an_order_of_its_own() -> Bucket {
    let bucket = Bucket::start(objects());
    bucket.lock().by_path = true;
    bucket
}

/// The URLs of what the lines of a file are about; each comes once.
fn urls(folder: &Path, file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder.join(file)).expect("lines");
    once(&json_lines(&text), "url")
}

fn once(lines: &[Value], name: &str) -> BTreeSet<String> {
    let names = lines
        .iter()
        .map(|line| line[name].as_str().expect("a name").to_owned());
    let set: BTreeSet<String> = names.collect();
    assert_eq!(set.len(), lines.len(), "each once");
    set
}

fn all(bucket: &Bucket) -> BTreeSet<String> {
    let keys = bucket.lock().objects.keys().cloned().collect::<Vec<_>>();
    keys.into_iter()
        .map(|key| format!("s3://trees/{key}"))
        .collect()
}

#[test]
fn a_store_with_an_order_of_its_own_is_counted_once() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let bucket = an_order_of_its_own();
    let dry = bucket.athena(folder, &["scan", "s3://trees/", "--dry-run"], &[]);
    assert!(
        dry.code == Some(0) && dry.stdout.contains("603 objects"),
        "{dry:?}"
    );
    assert!(
        dry.stderr.contains("does not list keys in the order"),
        "{dry:?}"
    );
    let half = [
        "scan",
        "s3://trees/",
        "--dry-run",
        "--glob=2026/*[05]/*",
        "--shards=1/2",
    ];
    let half = bucket.athena(folder, &half, &[]);
    assert!(half.stdout.contains("483  left out by --glob"), "{half:?}");

    // Every key has no outcome, and is said so once.
    std::fs::write(folder.join("none.jsonl"), "").expect("write");
    let reconcile = ["reconcile", "s3://trees/", "--in=none.jsonl"];
    let lost = bucket.athena(folder, &reconcile, &[]);
    assert_eq!(lost.code, Some(1), "{lost:?}");
    assert_eq!(once(&lost.json(), "key"), all(&bucket));
    assert!(
        lost.stderr
            .contains("603 looked for, 603 without an outcome"),
        "{lost:?}"
    );
    let outcome = |url: &String| {
        format!(
            "{}\n",
            json!({"schema": 1, "url": url, "status": "classified"})
        )
    };
    let known: String = all(&bucket).iter().skip(3).map(outcome).collect();
    std::fs::write(folder.join("none.jsonl"), known).expect("write");
    let lost = bucket.athena(folder, &reconcile, &[]);
    assert_eq!((lost.code, lost.json().len()), (Some(1), 3), "{lost:?}");
}

#[test]
fn a_store_with_an_order_of_its_own_is_submitted_at_once() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = crate::nats::NatsServer::start(folder, "") else {
        return;
    };
    let bucket = an_order_of_its_own();
    let url = nats.url();
    let athena = |arguments: &[&str]| bucket.athena(folder, arguments, &[("NATS_URL", &url)]);
    let submitted = athena(&["jobs", "submit", "s3://trees/"]);
    assert!(
        submitted.code == Some(0)
            && submitted
                .stderr
                .contains("603 queued, 0 were queued already, 0 failed"),
        "{submitted:?}"
    );
    let twice = athena(&["jobs", "submit", "s3://trees/"]);
    assert!(
        twice
            .stderr
            .contains("0 queued, 603 were queued already, 0 failed"),
        "{twice:?}"
    );
    // What is refused is said when all else is queued.
    bucket.lock().refused = Some("2026/07/".to_owned());
    let part = [
        "jobs",
        "submit",
        "--lane=live",
        "s3://trees/2026/07/",
        "s3://trees/2026/08/",
    ];
    let part = athena(&part);
    assert!(
        part.code == Some(4)
            && part.stderr.contains("30 queued, 0 were")
            && part.stderr.contains("AccessDenied"),
        "{part:?}"
    );
    bucket.lock().refused = None;
    let again = athena(&["reconcile", "s3://trees/", "--submit"]);
    assert_eq!(once(&again.json(), "key"), all(&bucket));
    assert!(
        again.code == Some(0)
            && again
                .stderr
                .contains("0 queued again, 603 were queued still"),
        "{again:?}"
    );
}

#[test]
fn what_a_store_refuses_to_list_is_left_and_all_else_is_done() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let bucket = Bucket::start(objects());
    bucket.lock().refused = Some("2026/07/".to_owned());
    let behind = |url: &String| url.starts_with("s3://trees/2026/07/");

    // A range of one prefix.
    let scan = [&["scan", "s3://trees/", "--output=out.jsonl"], &SCAN[..]].concat();
    let first = bucket.athena(folder, &scan, &[]);
    assert_eq!(first.code, Some(4), "{first:?}");
    assert!(first.stderr.contains("AccessDenied"), "{first:?}");
    let done = urls(folder, "out.jsonl");
    let others: BTreeSet<_> = all(&bucket)
        .into_iter()
        .filter(|url| !behind(url))
        .collect();
    assert!(
        done.is_superset(&others),
        "{} of {}",
        done.len(),
        others.len()
    );
    let left = all(&bucket).len() - done.len();
    assert!(left > 0);
    // The next run goes on there.
    bucket.lock().refused = None;
    bucket.lock().listed.clear();
    let resume = [&scan[..], &["--resume"]].concat();
    let second = bucket.athena(folder, &resume, &[]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(urls(folder, "out.jsonl"), all(&bucket));
    assert!(
        second
            .stderr
            .contains(&format!("{left} classified, 0 failed")),
        "{second:?}"
    );
    let pages = bucket.lock().listed.clone();
    let there = |after: &String| {
        after.starts_with("2026/06/")
            || after.starts_with("2026/07/")
            || after.starts_with("2026/08/")
    };
    assert!(pages.iter().all(there), "{pages:?}");

    // A prefix of two.
    bucket.lock().refused = Some("2026/07/".to_owned());
    let scan = [
        "scan",
        "s3://trees/2026/07/",
        "s3://trees/2026/08/",
        "--output=two.jsonl",
    ];
    let scan = [&scan[..], &SCAN].concat();
    let first = bucket.athena(folder, &scan, &[]);
    assert_eq!(
        (first.code, urls(folder, "two.jsonl").len()),
        (Some(4), 30),
        "{first:?}"
    );
    bucket.lock().refused = None;
    bucket.lock().listed.clear();
    let second = bucket.athena(folder, &[&scan[..], &["--resume"]].concat(), &[]);
    assert_eq!(
        (second.code, urls(folder, "two.jsonl").len()),
        (Some(0), 60),
        "{second:?}"
    );
    assert_eq!(bucket.lock().listed.len(), 2, "only the one that was left");

    // What is not submitted is said, and what has no outcome elsewhere.
    bucket.lock().refused = Some("2026/07/".to_owned());
    let reconcile = [
        "reconcile",
        "s3://trees/2026/07/",
        "s3://trees/2026/08/",
        "--in=out.jsonl",
    ];
    std::fs::write(folder.join("out.jsonl"), "").expect("write");
    let lost = bucket.athena(folder, &reconcile, &[]);
    assert_eq!((lost.code, lost.json().len()), (Some(4), 30), "{lost:?}");
    assert!(
        lost.stderr.contains("30 looked for") && lost.stderr.contains("AccessDenied"),
        "{lost:?}"
    );
    let dry = [
        "scan",
        "s3://trees/2026/07/",
        "s3://trees/2026/08/",
        "--dry-run",
    ];
    let dry = bucket.athena(folder, &dry, &[]);
    assert!(
        dry.code == Some(4) && dry.stdout.contains("30 objects"),
        "{dry:?}"
    );
}

#[test]
fn a_range_that_a_store_never_answers_is_left_and_said() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let bucket = Bucket::start(objects());
    bucket.lock().refused = Some("2026/07/".to_owned());
    bucket.lock().overloaded = true;
    let scan = [&["scan", "s3://trees/", "--output=out.jsonl"], &SCAN[..]].concat();
    let first = bucket.athena(folder, &scan, &[]);
    assert_eq!(first.code, Some(1), "{first:?}");
    assert!(
        first
            .stderr
            .contains("not listed: s3://trees/: the store has a problem of its own (SlowDown)"),
        "{first:?}"
    );
    let done = urls(folder, "out.jsonl").len();
    assert!((573..603).contains(&done), "{done}");
    bucket.lock().refused = None;
    let second = bucket.athena(folder, &[&scan[..], &["--resume"]].concat(), &[]);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(urls(folder, "out.jsonl"), all(&bucket));
}

#[test]
fn objects_that_cannot_be_had_are_all_that_a_later_run_lists() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let bucket = Bucket::start(objects());
    let away = [
        "2026/00/0020",
        "2026/07/0107",
        "2026/07/0127",
        "2026/19/0599",
    ];
    bucket.lock().away = away.map(|key| format!("{key}.bmp")).into();
    let scan = [&["scan", "s3://trees/", "--output=out.jsonl"], &SCAN[..]].concat();
    let first = bucket.athena(folder, &scan, &[]);
    assert_eq!(
        (first.code, urls(folder, "out.jsonl").len()),
        (Some(1), 599),
        "{first:?}"
    );
    // One of them again, and nothing else is listed but what is left.
    bucket.lock().away = ["2026/07/0107.bmp".to_owned()].into();
    bucket.lock().listed.clear();
    let resume = [&scan[..], &["--resume"]].concat();
    let second = bucket.athena(folder, &resume, &[]);
    assert_eq!(
        (second.code, urls(folder, "out.jsonl").len()),
        (Some(1), 602),
        "{second:?}"
    );
    assert!(
        second.stderr.contains("3 classified, 0 failed"),
        "{second:?}"
    );
    let pages = bucket.lock().listed.len();
    assert!(pages <= 6, "{pages} pages of 31");
    bucket.lock().away.clear();
    let third = bucket.athena(folder, &resume, &[]);
    assert_eq!(third.code, Some(0), "{third:?}");
    assert_eq!(urls(folder, "out.jsonl"), all(&bucket));
    // The run after the last one looks for what is new.
    bucket
        .lock()
        .objects
        .insert("2026/00/new.bmp".to_owned(), bmp(999));
    let fourth = bucket.athena(folder, &resume, &[]);
    assert!(
        fourth.code == Some(0) && fourth.stderr.contains("1 classified"),
        "{fourth:?}"
    );
}

#[test]
fn a_store_that_answers_without_end_is_left() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let bucket = Bucket::start(objects());
    // The others are done, and why one is not is said.
    bucket.lock().endless = Some("2026/07/".to_owned());
    let scan = [
        "scan",
        "s3://trees/2026/07/",
        "s3://trees/2026/08/",
        "--output=two.jsonl",
    ];
    let scanned = bucket.athena(folder, &[&scan[..], &SCAN].concat(), &[]);
    assert_eq!(
        (scanned.code, urls(folder, "two.jsonl").len()),
        (Some(1), 30),
        "{scanned:?}"
    );
    assert!(
        scanned.stderr.contains(
            "not listed: s3://trees/2026/07/: the store's listing does not come to an end"
        ),
        "{scanned:?}"
    );

    bucket.lock().endless = Some(String::new());
    let scan = [&["scan", "s3://trees/", "--output=out.jsonl"], &SCAN[..]].concat();
    let scanned = bucket.athena(folder, &scan, &[]);
    assert_eq!(scanned.code, Some(8), "{scanned:?}");
    assert!(
        scanned.stderr.contains("does not come to an end"),
        "{scanned:?}"
    );
    bucket.lock().endless = None;
    let resumed = bucket.athena(folder, &[&scan[..], &["--resume"]].concat(), &[]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(urls(folder, "out.jsonl"), all(&bucket));
}
