//! Everything that has to do with time, on a clock that stands still until everybody waits.

use std::error::Error as _;
use std::time::Duration;

use athena_client::{Delivery, ErrorKind};

use crate::script::{Play, Script};
use crate::support::hash;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn keepalives_come_only_after_the_interval_with_nothing_sent() {
    let script = Script::new(Play::Answer);
    let session = script.client().build().unwrap().session().open().unwrap();
    tokio::time::sleep(secs(50)).await;
    session.submit(hash(1)).await.unwrap().await.unwrap();
    tokio::time::sleep(secs(25)).await;
    let messages = script.messages();
    let expected = [(0, 0), (20, 0), (40, 0), (50, 1), (70, 0)];
    assert_eq!(messages, expected.map(|(at, images)| (secs(at), images)));
}

#[tokio::test(start_paused = true)]
async fn a_lone_image_goes_at_once_and_later_ones_linger_for_company() {
    let script = Script::new(Play::Silence);
    let session = script.client().build().unwrap().session().open().unwrap();
    let _first = session.submit(hash(1)).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    let _second = session.submit(hash(2)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(4)).await;
    let _third = session.submit(hash(3)).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    let with_images: Vec<_> = script
        .messages()
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .collect();
    assert_eq!(
        with_images,
        [(Duration::ZERO, 1), (Duration::from_millis(1010), 2)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_without_an_answer_ends_at_its_timeout() {
    let script = Script::new(Play::Silence);
    let session = script
        .client()
        .build()
        .unwrap()
        .session()
        .no_progress_timeout(secs(300))
        .open()
        .unwrap();
    let error = session.submit(hash(1)).await.unwrap().await.unwrap_err();
    assert_eq!(
        (error.kind(), script.elapsed()),
        (ErrorKind::Timeout, secs(60))
    );
    assert_eq!(error.delivery(), Delivery::Unknown);
    let hurried = session.submit(hash(2).timeout(secs(5))).await.unwrap();
    assert_eq!(hurried.await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(script.elapsed(), secs(65));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_brings_nothing_is_replaced_and_its_images_sent_again() {
    let script = Script::new(Play::Silence);
    let session = script.client().build().unwrap().session().open().unwrap();
    let pending = session.submit(hash(1)).await.unwrap();
    tokio::time::sleep(secs(29)).await;
    assert_eq!(script.streams(), 1);
    tokio::time::sleep(secs(4)).await;
    // After 30 s a new stream, after 2 s of grace and some backoff the image once more.
    assert_eq!((script.streams(), session.stats().resent), (2, 1));
    assert_eq!(pending.await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_up_is_not_stormed() {
    let script = Script::new(Play::HangUp);
    let _session = script.client().build().unwrap().session().open().unwrap();
    tokio::time::sleep(secs(600)).await;
    // Full jitter up to 15 s: 7.5 s on average.
    assert!(
        (40..200).contains(&script.streams()),
        "{}",
        script.streams()
    );
}

#[tokio::test(start_paused = true)]
async fn closing_waits_no_longer_than_the_drain_timeout() {
    let script = Script::new(Play::Silence);
    let session = script
        .client()
        .build()
        .unwrap()
        .session()
        .drain_timeout(secs(7))
        .open()
        .unwrap();
    let _pending = session.submit(hash(1)).await.unwrap();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(session.close().await.unwrap_err().images().len(), 1);
    assert_eq!(script.elapsed(), secs(8));
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_names_what_happened_before() {
    let script = Script::new(Play::Silence);
    let client = script.client().build().unwrap();
    let error = client.classify(hash(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), script.elapsed()),
        (ErrorKind::Timeout, secs(30))
    );

    // Told to come back in an hour: after a minute.
    let error = client.list_deployments().await.unwrap_err();
    assert_eq!(
        (error.kind(), script.elapsed()),
        (ErrorKind::Timeout, secs(60))
    );
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("later"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn however_long_a_service_asks_to_wait_it_is_a_minute() {
    let script = Script::new(Play::Tomorrow { streams: 2 });
    let client = script.client().timeout(secs(600)).build().unwrap();
    let session = client.session().image_timeout(secs(600)).open().unwrap();
    session.classify(hash(1)).await.unwrap();
    assert_eq!(script.elapsed(), secs(120));

    let error = client.list_deployments().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry_after(), Some(secs(3_600)), "as it was said");
    // Four attempts.
    assert_eq!(script.elapsed(), secs(120 + 3 * 60));
}
