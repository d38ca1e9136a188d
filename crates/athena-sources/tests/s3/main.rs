//! What is promised of object stores, over real sockets.
#![cfg(feature = "s3")]

mod fake;
mod ranges;

use std::time::Duration;

use athena_sources::{Condition, Error, Listed, Location, Put, SourceErrorKind, Sources, Tag};
use futures_util::{StreamExt, TryStreamExt};

use self::fake::{Fake, Fault, at};

const KEYS: [&str; 9] = [
    "/a.jpg",
    "2026/a photo #1.jpg",
    "2026/b&c.jpg",
    "2026/d//e.jpg",
    "2026/folder/",
    "2026/\u{1}.jpg",
    "2026/é%20+.jpg",
    "2027/../x.jpg",
    "2027/z",
];

async fn keys(sources: &Sources, prefix: &str, after: Option<&str>) -> Vec<String> {
    let listed: Vec<Listed> = (sources.list(&at(prefix), after.map(str::to_owned)))
        .try_collect()
        .await
        .expect("a listing");
    listed
        .into_iter()
        .map(|object| object.location.key().to_owned())
        .collect()
}

#[tokio::test]
async fn a_listing_has_every_key_as_it_is_in_order() {
    let fake = Fake::start(&KEYS).await;
    let sources = fake.sources().await;
    let mut expected = KEYS.to_vec();
    expected.sort_unstable();
    assert_eq!(keys(&sources, "", None).await, expected);
    let inside: Vec<&str> = expected
        .iter()
        .copied()
        .filter(|key| key.starts_with("2026/"))
        .collect();
    assert_eq!(keys(&sources, "2026/", None).await, inside);
    let first: Vec<Listed> = sources
        .list(&at("2027/"), None)
        .try_collect()
        .await
        .expect("listed");
    assert_eq!(first[1].size, 6);
    assert!(first[1].etag.is_some() && first[1].modified.is_some());
}

#[tokio::test]
async fn a_listing_goes_on_after_a_key_without_asking_for_what_was_before() {
    let fake = Fake::start(&KEYS).await;
    let sources = fake.sources().await;
    let all = keys(&sources, "", None).await;
    fake.lock().seen.clear();
    for after in 0..all.len() {
        assert_eq!(
            keys(&sources, "", Some(&all[after])).await,
            all[after + 1..]
        );
    }
    assert_eq!(fake.lock().seen[0], format!("LIST {}", all[0]));
}

#[tokio::test]
async fn pages_are_asked_for_while_the_stream_is_read() {
    let fake = Fake::start(&KEYS).await;
    let sources = fake.sources().await;
    let mut listing = sources.list(&at(""), None);
    listing.next().await.expect("some").expect("listed");
    assert_eq!(fake.lock().seen.len(), 1);
}

#[tokio::test]
async fn bytes_come_as_they_are_if_they_are_still_those_that_were_listed() {
    let fake = Fake::start(&KEYS).await;
    let sources = fake.sources().await;
    let key = "2026/é%20+.jpg";
    let listed = sources
        .head(&at(key), &Condition::default())
        .await
        .expect("there");
    let fetched = sources
        .fetch(&at(key), &listed.condition(), 100)
        .await
        .expect("bytes");
    assert_eq!(fetched.bytes, key.as_bytes());
    assert_eq!(fetched.etag, listed.etag);
    fake.lock()
        .objects
        .insert(key.to_owned(), b"other".to_vec());
    let error = sources
        .fetch(&at(key), &listed.condition(), 100)
        .await
        .expect_err("changed");
    assert_eq!(error.kind(), SourceErrorKind::Changed);
    fake.lock().objects.remove(key);
    let error = sources
        .fetch(&at(key), &listed.condition(), 100)
        .await
        .expect_err("gone");
    assert_eq!(error.kind(), SourceErrorKind::NotFound);
    assert!(error.is_of_object());
}

#[tokio::test]
async fn keys_that_are_no_paths_are_read_as_well() {
    let fake = Fake::start(&KEYS).await;
    let sources = fake.sources().await;
    let listed: Vec<Listed> = sources
        .list(&at(""), None)
        .try_collect()
        .await
        .expect("listed");
    for object in &listed {
        let key = object.location.key();
        let fetched = sources
            .fetch(&object.location, &object.condition(), 100)
            .await;
        if key == "2027/../x.jpg" {
            // No client for HTTP asks for this one, and none must ask for another instead.
            assert_eq!(fetched.expect_err(key).kind(), SourceErrorKind::Refused);
            continue;
        }
        assert_eq!(fetched.expect(key).bytes, key.as_bytes(), "{key}");
        assert_eq!(
            sources
                .fetch(&object.location, &object.condition(), 2)
                .await
                .expect_err(key)
                .kind(),
            SourceErrorKind::TooLarge
        );
    }
    fake.lock()
        .objects
        .insert("/a.jpg".into(), b"other".to_vec());
    let changed = sources
        .fetch(&listed[0].location, &listed[0].condition(), 100)
        .await;
    assert_eq!(
        changed.expect_err("another").kind(),
        SourceErrorKind::Changed
    );
}

/// Google's store speaks the same XML.
#[cfg(feature = "gcs")]
#[tokio::test]
async fn googles_store_is_listed_and_read_by_the_same_laws() {
    let fake = Fake::start(&["2026/a photo #1.jpg", "2026/b//c.jpg", "2026/d.jpg", "z"]).await;
    fake.lock().public = true;
    let host = (
        "STORAGE_EMULATOR_HOST".to_owned(),
        format!("127.0.0.1:{}", fake.port),
    );
    let sources = Sources::builder()
        .environment([host])
        .build()
        .await
        .expect("sources");
    let prefix = "gs://uploads/2026/".parse().expect("URL");
    let listed: Vec<Listed> = sources
        .list(&prefix, None)
        .try_collect()
        .await
        .expect("listed");
    assert_eq!(listed.len(), 3);
    let first = &listed[0];
    assert_eq!(
        first.location.to_string(),
        "gs://uploads/2026/a photo #1.jpg"
    );
    let fetched = sources
        .fetch(&first.location, &first.condition(), 100)
        .await;
    assert_eq!(
        fetched.expect("bytes").bytes,
        first.location.key().as_bytes()
    );
    fake.lock()
        .objects
        .insert("2026/d.jpg".into(), b"other".to_vec());
    let changed = sources
        .fetch(&listed[2].location, &listed[2].condition(), 100)
        .await;
    assert_eq!(
        changed.expect_err("changed").kind(),
        SourceErrorKind::Changed
    );
    // An emulator wants no credentials, and object_store has some for each write.
    let new = first.location.with_key("new.json");
    let put = sources.put_new(&new, "{}".into()).await;
    assert_eq!(put.expect("written"), Put::Stored);
    let after = Some(first.location.key().to_owned());
    let rest: Vec<Listed> = sources
        .list(&prefix, after)
        .try_collect()
        .await
        .expect("listed");
    let keys: Vec<&str> = rest.iter().map(|object| object.location.key()).collect();
    assert_eq!(keys, ["2026/b//c.jpg", "2026/d.jpg"]);
}

async fn failure(fault: Fault) -> Error {
    let fake = Fake::start(&["a"]).await;
    fake.lock().fault = fault;
    let sources = Sources::builder()
        .environment(fake.variables())
        .timeout(Duration::from_secs(1))
        .build()
        .await
        .expect("sources");
    let error = sources
        .fetch(&at("a"), &Condition::default(), 100_000)
        .await
        .expect_err("a fault");
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("AKIA"),
        "{shown}"
    );
    error
}

#[tokio::test]
async fn an_error_says_whether_it_is_the_objects_or_ours() {
    for (status, code, kind) in [
        (403, "AccessDenied", SourceErrorKind::Refused),
        (403, "InvalidObjectState", SourceErrorKind::Refused),
        (400, "ExpiredToken", SourceErrorKind::Credentials),
        (403, "SignatureDoesNotMatch", SourceErrorKind::Credentials),
        (404, "NoSuchBucket", SourceErrorKind::NotFound),
        (301, "PermanentRedirect", SourceErrorKind::Unusable),
        (503, "SlowDown", SourceErrorKind::Transient),
    ] {
        let error = failure(Fault::Status(status, code, u32::MAX)).await;
        assert_eq!(error.kind(), kind, "{code}: {error}");
    }
}

#[tokio::test]
async fn a_busy_store_is_asked_again() {
    let fake = Fake::start(&["a"]).await;
    fake.lock().fault = Fault::Status(503, "SlowDown", 2);
    let fetched = fake
        .sources()
        .await
        .fetch(&at("a"), &Condition::default(), 100)
        .await;
    assert_eq!(fetched.expect("the third time").bytes, "a");
}

#[tokio::test]
async fn a_store_that_stalls_or_never_ends_is_left() {
    assert_eq!(
        failure(Fault::Stalls).await.kind(),
        SourceErrorKind::Transient
    );
    assert_eq!(
        failure(Fault::Endless).await.kind(),
        SourceErrorKind::TooLarge
    );
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let fake = Fake::start(&["a"]).await;
    fake.lock().objects.insert("a".into(), vec![0; 1001]);
    let sources = fake.sources().await;
    let error = sources
        .fetch(&at("a"), &Condition::default(), 1000)
        .await
        .expect_err("large");
    assert_eq!(error.kind(), SourceErrorKind::TooLarge);
    assert!(
        sources
            .fetch(&at("a"), &Condition::default(), 1001)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_object_is_written_once() {
    let fake = Fake::start(&[]).await;
    let sources = fake.sources().await;
    let put = async |text: &'static str| sources.put_new(&at("run/1.jsonl"), text.into()).await;
    assert_eq!(put("one").await.expect("written"), Put::Stored);
    assert_eq!(put("two").await.expect("there"), Put::AlreadyThere);
    assert_eq!(fake.lock().objects["run/1.jsonl"], b"one");
}

#[tokio::test]
async fn tags_are_added_to_those_that_are_there() {
    let fake = Fake::start(&["a", "b//c"]).await;
    let sources = fake.sources().await;
    let there = "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag><Key>owner</Key><Value>R&amp;D</Value></Tag><Tag><Key>athena</Key><Value>new</Value></Tag></TagSet></Tagging>";
    fake.lock().tags.insert("a".to_owned(), there.to_owned());
    let tag: Tag = "athena=match".parse().expect("a tag");
    for key in ["a", "b//c"] {
        let listed = sources.head(&at(key), &Condition::default()).await;
        let condition = listed.expect("there").condition();
        for _ in 0..2 {
            let tagged = sources.tag(&at(key), &condition, &tag).await;
            tagged.expect("tagged");
        }
    }
    let store = fake.lock();
    assert_eq!(
        store.tags["a"],
        "<Tagging><TagSet><Tag><Key>owner</Key><Value>R&amp;D</Value></Tag><Tag><Key>athena</Key><Value>match</Value></Tag></TagSet></Tagging>"
    );
    assert_eq!(
        store.tags["b//c"],
        "<Tagging><TagSet><Tag><Key>athena</Key><Value>match</Value></Tag></TagSet></Tagging>"
    );
    let written = store.seen.iter().filter(|seen| seen.starts_with("PUT"));
    assert_eq!(written.count(), 2, "{:?}", store.seen);
}

#[tokio::test]
async fn what_is_not_what_was_judged_is_not_tagged() {
    let fake = Fake::start(&["a"]).await;
    let sources = fake.sources().await;
    let tag: Tag = "athena=match".parse().expect("a tag");
    let tagged = async |condition: &Condition| {
        let result = sources.tag(&at("a"), condition, &tag).await;
        result.expect_err("changed")
    };
    let other = Condition {
        etag: Some("\"other\"".to_owned()),
        version: None,
    };
    assert_eq!(tagged(&other).await.kind(), SourceErrorKind::Changed);
    assert!(fake.lock().tags.is_empty());
    fake.lock().fault = Fault::Overwritten;
    let listed = sources.head(&at("a"), &Condition::default()).await;
    let error = tagged(&listed.expect("there").condition()).await;
    assert_eq!(error.kind(), SourceErrorKind::Changed);
    assert!(error.to_string().contains("while it was tagged"), "{error}");
    fake.lock().fault = Fault::Status(503, "SlowDown", 3);
    let error = tagged(&other).await;
    assert_eq!(error.kind(), SourceErrorKind::Changed, "asked again");
    for text in ["a", "=b", "a=b&c", "é=b"] {
        assert!(text.parse::<Tag>().is_err(), "{text}");
    }
    let google: Location = "gs://uploads/a".parse().expect("a location");
    let error = sources.tag(&google, &Condition::default(), &tag).await;
    assert!(error.expect_err("none").to_string().contains("no tags"));
}

#[tokio::test]
async fn nothing_goes_out_without_tls_unless_it_is_allowed() {
    let fake = Fake::start(&["a"]).await;
    let sources = async |more: &[(&str, &str)]| {
        let mut variables = fake.variables();
        // A name of another machine; it is asked for only where that is allowed.
        variables[0].1 = "http://minio.invalid:9000".to_owned();
        variables.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let builder = Sources::builder().environment(variables);
        builder
            .timeout(Duration::from_secs(2))
            .build()
            .await
            .expect("sources")
    };
    let refused = sources(&[])
        .await
        .fetch(&at("a"), &Condition::default(), 9)
        .await;
    assert!(
        refused
            .expect_err("plain")
            .to_string()
            .contains("AWS_ALLOW_HTTP")
    );
    let allowed = sources(&[("AWS_ALLOW_HTTP", "true")]).await;
    let error = allowed
        .fetch(&at("a"), &Condition::default(), 9)
        .await
        .expect_err("no such host");
    assert!(!error.to_string().contains("AWS_ALLOW_HTTP"), "{error}");
}

#[tokio::test]
async fn without_credentials_it_is_said_which_there_could_be() {
    let fake = Fake::start(&["a"]).await;
    let mut variables = fake.variables();
    variables.retain(|(name, _)| !name.contains("KEY"));
    // Where nothing answers, as on a machine of no cloud.
    variables.push(("AWS_METADATA_ENDPOINT".into(), "http://127.0.0.1:1".into()));
    let sources = Sources::builder()
        .environment(variables)
        .build()
        .await
        .expect("sources");
    let error = sources
        .fetch(&at("a"), &Condition::default(), 9)
        .await
        .expect_err("none");
    assert_eq!(error.kind(), SourceErrorKind::Credentials);
    assert!(error.to_string().contains("AWS_PROFILE"), "{error}");
    assert!(fake.lock().seen.is_empty());
}
