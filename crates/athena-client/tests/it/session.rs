//! Sessions on a network that works.

use std::collections::BTreeSet;
use std::time::Duration;

use athena_client::{Delivery, ErrorKind, Image, ImageFormat, Payload, RequestEncoding};
use athena_emulator::{Delay, Emulator, Faults, Limits, When};
use futures_util::{StreamExt, stream};

use crate::script::{Play, Script};
use crate::support::{client, emulator, frame, hash, hasty, is_known, knows, png, start};

#[tokio::test(flavor = "multi_thread")]
async fn classify_all_gives_every_key_once_and_ends() {
    const IMAGES: usize = 500;
    let emulator = start(knows(Emulator::builder(), IMAGES)).await;
    let images = stream::iter((0..IMAGES).map(|number| (number, hash(number))));
    let results: Vec<_> = client(&emulator).classify_all(images).collect().await;
    let keys: BTreeSet<_> = results.iter().map(|(key, _)| *key).collect();
    assert_eq!((results.len(), keys.len()), (IMAGES, IMAGES));
    for (number, result) in results {
        assert_eq!(result.unwrap().known_match(), is_known(number));
    }
}

#[tokio::test]
async fn classify_all_reports_bad_images_among_good_ones() {
    let emulator = emulator().await;
    let images = stream::iter([
        ("good", Image::from_bytes(png(32))),
        ("text", Image::from_bytes(&b"no image"[..])),
        ("missing", Image::from_file("/no/such/file.png")),
        ("unnamed", hash(1).correlation_id("x".repeat(65))),
    ]);
    let mut kinds: Vec<_> = client(&emulator)
        .classify_all(images)
        .map(|(key, result)| (key, result.err().map(|error| error.kind())))
        .collect()
        .await;
    kinds.sort_by_key(|(key, _)| *key);
    assert_eq!(
        kinds,
        [
            ("good", None),
            ("missing", Some(ErrorKind::Unreadable)),
            ("text", Some(ErrorKind::Undecodable)),
            ("unnamed", Some(ErrorKind::InvalidRequest)),
        ]
    );
}

#[tokio::test]
async fn the_same_image_twice_works_and_the_same_id_twice_does_not() {
    let emulator = emulator().await;
    emulator.set_faults(Faults::none().delay(Delay::Constant(Duration::from_millis(100))));
    let session = hasty(&client(&emulator)).open().unwrap();
    let twice = [
        session.submit(frame(1)).await.unwrap(),
        session.submit(frame(1)).await.unwrap(),
    ];
    let named = session
        .submit(hash(1).correlation_id("mine"))
        .await
        .unwrap();
    assert_eq!(named.correlation_id(), "mine");
    let refused = session
        .submit(hash(2).correlation_id("mine"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    for pending in twice {
        pending.await.unwrap();
    }
    named.await.unwrap();
    let stats = session.close().await.unwrap();
    assert_eq!((stats.accepted, stats.verdicts, stats.refused), (3, 3, 1));
    assert_eq!(emulator.stats().streams_open, 0);
}

#[tokio::test]
async fn raw_frames_go_six_to_a_message() {
    let emulator = emulator().await;
    let session = client(&emulator)
        .session()
        .linger(Duration::from_secs(5))
        .max_in_flight(18)
        .open()
        .unwrap();
    let pending = stream::iter(0..18)
        .then(|number| session.submit(frame(number)))
        .map(Result::unwrap)
        .collect::<Vec<_>>()
        .await;
    for pending in pending {
        pending.await.unwrap();
    }
    let stats = session.close().await.unwrap();
    // The first ones may have gone alone, before there was company.
    assert!((3..=5).contains(&stats.batches), "{stats:?}");
}

#[tokio::test]
async fn an_image_that_no_message_can_hold_fails_alone() {
    let emulator = emulator().await;
    let session = client(&emulator)
        .session()
        .max_message_bytes(100_000)
        .open()
        .unwrap();
    let error = session.submit(frame(1)).await.unwrap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    session.submit(hash(1)).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn a_slow_service_stops_intake() {
    let emulator = emulator().await;
    emulator.set_faults(Faults::none().swallow(When::Rate(1.0)));
    let session = client(&emulator).session().max_in_flight(3).open().unwrap();
    let mut pending = Vec::new();
    for number in 0..3 {
        pending.push(session.submit(hash(number)).await.unwrap());
    }
    let mut fourth = Box::pin(session.submit(hash(4)));
    assert!(futures_util::poll!(&mut fourth).is_pending());
    assert_eq!(session.stats().pending, 3);
    drop(pending.pop());
    pending.push(fourth.await.unwrap());
    let stats = session.stats();
    assert_eq!((stats.accepted, stats.cancelled, stats.pending), (4, 1, 3));
}

#[tokio::test]
async fn reading_goes_on_while_writing_is_blocked() {
    let script = Script::new(Play::Deaf);
    let session = script
        .serve()
        .await
        .build()
        .unwrap()
        .session()
        .max_batch(1)
        .open()
        .unwrap();
    let mut unclaimed = Box::pin(session.unclaimed());
    let mut pending = Vec::new();
    // More than HTTP/2 lets through to somebody who does not read.
    for _ in 0..5 {
        let png = Payload::new(
            ImageFormat::Png,
            RequestEncoding::Uncompressed,
            vec![0; 100_000],
        );
        pending.push(session.submit(Image::from_payload(png)).await.unwrap());
    }
    for _ in 0..20 {
        assert_eq!(unclaimed.next().await.unwrap().correlation_id, "stranger");
    }
    assert!(
        session.stats().queued > 0,
        "the transport took more than it could send"
    );
}

#[tokio::test]
async fn bytes_bound_intake_as_well() {
    let emulator = emulator().await;
    emulator.set_faults(Faults::none().swallow(When::Rate(1.0)));
    let session = client(&emulator)
        .session()
        .max_in_flight_bytes(1 << 20)
        .open()
        .unwrap();
    let first = session.submit(frame(1)).await.unwrap();
    let mut second = Box::pin(session.submit(frame(2)));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    let _second = second.await.unwrap();
}

#[tokio::test]
async fn classify_all_takes_no_more_than_a_slow_consumer_allows() {
    let emulator = emulator().await;
    let session = client(&emulator).session().max_in_flight(4).open().unwrap();
    let taken = std::sync::atomic::AtomicUsize::new(0);
    let images = stream::iter(0..1000).map(|number| {
        taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (number, hash(number))
    });
    let mut results = session.classify_all(images);
    for _ in 0..10 {
        assert!(results.next().await.is_some());
    }
    assert!(taken.load(std::sync::atomic::Ordering::Relaxed) <= 14);
}

#[tokio::test]
async fn dropping_the_session_ends_everything_at_once() {
    let emulator = emulator().await;
    let metrics = tokio::runtime::Handle::current().metrics();
    emulator.set_faults(Faults::none().swallow(When::Rate(1.0)));
    let client = client(&emulator);
    // The connection for calls is the client's, and stays.
    client.list_deployments().await.unwrap();
    let tasks_before = metrics.num_alive_tasks();
    let session = client.session().open().unwrap();
    let pending = session.submit(hash(1)).await.unwrap();
    while session.stats().in_flight == 0 || emulator.stats().inputs == 0 {
        tokio::task::yield_now().await;
    }
    drop(session);
    let error = pending.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(error.delivery(), Delivery::Unknown);
    while emulator.stats().streams_open > 0 || metrics.num_alive_tasks() > tasks_before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn closing_hands_back_what_is_unfinished() {
    let emulator = emulator().await;
    emulator.set_faults(Faults::none().swallow(When::Next(1)));
    let session = client(&emulator)
        .session()
        .drain_timeout(Duration::from_millis(200))
        .open()
        .unwrap();
    let lost = session
        .submit(hash(1).correlation_id("lost"))
        .await
        .unwrap();
    while emulator.stats().inputs == 0 {
        tokio::task::yield_now().await;
    }
    let found = session.submit(hash(2)).await.unwrap();
    while session.stats().verdicts == 0 {
        tokio::task::yield_now().await;
    }
    let unfinished = session.close().await.unwrap_err();
    assert_eq!(
        unfinished.images().collect::<Vec<_>>(),
        [("lost", Delivery::Unknown)]
    );
    assert_eq!(lost.await.unwrap_err().kind(), ErrorKind::Closed);
    found.await.unwrap();
    let refused = session.submit(hash(3)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn an_image_that_is_never_answered_times_out_and_the_session_goes_on() {
    let emulator = emulator().await;
    emulator.set_faults(Faults::none().swallow(When::Next(1)));
    let session = client(&emulator).session().open().unwrap();
    session.ready().await.unwrap();
    let lost = session
        .submit(hash(1).timeout(Duration::from_secs(1)))
        .await
        .unwrap();
    while emulator.stats().inputs == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lost.await.unwrap_err().kind(), ErrorKind::Timeout);
    session.submit(hash(2)).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn idle_sessions_are_kept_alive() {
    let emulator = emulator().await;
    let session = client(&emulator)
        .session()
        .keepalive(Duration::from_millis(20))
        .open()
        .unwrap();
    while emulator.stats().keepalives < 3 {
        tokio::task::yield_now().await;
    }
    session.close().await.unwrap();
}

#[tokio::test]
async fn results_of_others_in_a_shared_deployment_are_offered() {
    let emulator = emulator().await;
    let client = client(&emulator);
    emulator.set_faults(Faults::none().delay(Delay::Constant(Duration::from_millis(200))));
    let gone = client.session().deployment("shared").open().unwrap();
    let pending = gone.submit(hash(1).correlation_id("orphan")).await.unwrap();
    while emulator.stats().inputs == 0 {
        tokio::task::yield_now().await;
    }
    drop(gone);
    assert_eq!(pending.await.unwrap_err().kind(), ErrorKind::Closed);

    let heir = client.session().deployment("shared").open().unwrap();
    let mut unclaimed = Box::pin(heir.unclaimed());
    let orphan = unclaimed.next().await.unwrap();
    assert_eq!(orphan.correlation_id, "orphan");
    assert!(orphan.result.unwrap().hash_checked());
    heir.close().await.unwrap();
    assert!(unclaimed.next().await.is_none());
}

#[tokio::test]
async fn the_backlog_of_a_dead_process_is_collected() {
    let emulator = emulator().await;
    let client = client(&emulator);
    emulator.set_faults(Faults::none().delay(Delay::Constant(Duration::from_millis(100))));
    let dead = client.session().deployment("dead").open().unwrap();
    let mut pending = Vec::new();
    for number in 0..100 {
        let image = hash(number).correlation_id(format!("image-{number}"));
        pending.push(dead.submit(image).await.unwrap());
    }
    while emulator.stats().inputs < 100 {
        tokio::task::yield_now().await;
    }
    let received = usize::try_from(dead.stats().verdicts).unwrap();
    drop(dead);
    let quiet = Duration::from_secs(1);
    let collected: BTreeSet<_> = client
        .collect("dead", quiet)
        .unwrap()
        .map(|result| {
            let result = result.unwrap();
            assert!(result.result.unwrap().hash_checked());
            result.correlation_id
        })
        .collect()
        .await;
    assert_eq!(received + collected.len(), 100);
    let deployments = client.list_deployments().await.unwrap();
    assert!(deployments.iter().all(|deployment| deployment.backlog == 0));
}

#[tokio::test]
async fn several_connections_share_the_work() {
    let emulator = emulator().await;
    let session = client(&emulator).session().connections(3).open().unwrap();
    while session.stats().connections < 3 {
        tokio::task::yield_now().await;
    }
    let images = stream::iter((0..200).map(|number| (number, hash(number))));
    let results: Vec<_> = session.classify_all(images).collect().await;
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    session.close().await.unwrap();
    assert_eq!(emulator.stats().streams_opened, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn futures_may_be_dropped_at_any_await() {
    let emulator = emulator().await;
    let session = client(&emulator).session().max_in_flight(8).open().unwrap();
    for polls in 0..200 {
        let attempt = async { session.submit(hash(polls)).await?.await };
        let mut attempt = Box::pin(attempt);
        for _ in 0..polls % 7 {
            if futures_util::poll!(&mut attempt).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // All room is free again, and the account balances.
    let images = stream::iter((0..50).map(|number| (number, hash(number))));
    let results: Vec<_> = session.classify_all(images).collect().await;
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    let stats = session.close().await.unwrap();
    assert_eq!(
        stats.accepted,
        stats.verdicts + stats.errors() + stats.cancelled
    );
    assert_eq!(stats.pending, 0);
}

#[tokio::test]
async fn classify_is_submit_and_await_and_ready_tells_of_the_connection() {
    let emulator = emulator().await;
    let session = hasty(&client(&emulator)).open().unwrap();
    session.ready().await.unwrap();
    assert_eq!(session.stats().connections, 1);
    assert!(session.classify(hash(1)).await.unwrap().hash_checked());
    session.close().await.unwrap();
    assert_eq!(session.ready().await.unwrap_err().kind(), ErrorKind::Closed);

    let stranger = crate::support::emulator().await;
    let client = crate::support::builder(&emulator).endpoint(stranger.endpoint());
    let session = client.build().unwrap().session().open().unwrap();
    assert_eq!(session.ready().await.unwrap_err().kind(), ErrorKind::Tls);
}

/// Not being able to connect is not quiet.
#[tokio::test]
async fn to_collect_from_nowhere_is_an_error_and_not_nothing() {
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let client = athena_client::Client::builder()
        .endpoint(format!("http://127.0.0.1:{port}"))
        .no_proxy()
        .build()
        .unwrap();
    let results = client.collect("backlog", Duration::from_millis(1)).unwrap();
    let results: Vec<_> = results.collect().await;
    let [Err(error)] = &results[..] else {
        panic!("{results:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn a_consumer_that_stops_reading_holds_up_nobody_else() {
    let client = Script::new(Play::Answer).client().build().unwrap();
    let session = client.session().max_in_flight(2).open().unwrap();
    let images = stream::iter((0..).map(|number: usize| (number, hash(number))));
    let mut results = session.classify_all(images);
    for _ in 0..20 {
        results.next().await.unwrap().1.unwrap();
    }
    let others = session.classify(hash(1_000_000));
    let others = tokio::time::timeout(Duration::from_secs(20), others).await;
    others.expect("it is not held up").unwrap();
}

/// A service that takes less than a batch: the batches are cut, and no image is the worse for it.
#[tokio::test]
async fn a_service_with_a_small_message_limit_gets_small_messages() {
    let mut limits = Limits::default();
    limits.message_bytes = 1 << 20;
    let emulator = start(Emulator::builder().limits(limits)).await;
    let session = client(&emulator).session().open().unwrap();
    let mut pending = Vec::new();
    for number in 0..12 {
        pending.push(session.submit(frame(number)).await.unwrap());
    }
    for image in pending {
        image.await.expect("a verdict");
    }
    session.close().await.expect("nothing left");
}

/// Sent again after the connection broke: both may be billed.
#[tokio::test]
async fn a_verdict_tells_how_often_its_image_was_sent() {
    let emulator = emulator().await;
    let client = client(&emulator);
    emulator.set_faults(Faults::none().lose(When::Next(1)));
    let session = hasty(&client).open().unwrap();
    assert_eq!(session.classify(hash(1)).await.unwrap().sends(), Some(2));
    assert_eq!(session.classify(hash(2)).await.unwrap().sends(), Some(1));
    let unnamed = hash(3).correlation_id("");
    assert_eq!(
        session.classify(unnamed).await.unwrap_err().sends(),
        Some(0)
    );
}
