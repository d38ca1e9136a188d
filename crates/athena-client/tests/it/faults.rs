//! Two thousand images for each fault of the network and the service: each ends once, with its own
//! answer.

use std::collections::BTreeSet;
use std::time::Duration;

use athena_client::{Client, Delivery, ErrorKind, Session, Stats};
use athena_emulator::{Delay, Emulator, Faults, RejectStatus, When};
use athena_proto::ErrorCode;
use futures_util::{StreamExt, stream};

use crate::relay::{Mode, Relay};
use crate::support::{builder, client, hasty, is_known, knows, start};

const IMAGES: usize = 2_000;

async fn emulator(faults: Faults) -> Emulator {
    start(knows(Emulator::builder(), IMAGES).faults(faults)).await
}

/// Classifies them all while `disturb` does its work, and checks that nothing is lost, doubled or
/// mixed up.
async fn all_accounted_for(
    session: &Session,
    disturb: impl Future<Output = std::convert::Infallible>,
) -> Stats {
    let images = stream::iter((0..IMAGES).map(|number| (number, crate::support::hash(number))));
    let results = session.classify_all(images).collect::<Vec<_>>();
    let results = tokio::select! {
        results = results => results,
        never = disturb => match never {},
    };
    let keys: BTreeSet<_> = results.iter().map(|(key, _)| *key).collect();
    assert_eq!((results.len(), keys.len()), (IMAGES, IMAGES));
    for (number, result) in results {
        let verdict = result.unwrap_or_else(|error| panic!("image {number}: {error:?}"));
        assert_eq!(verdict.known_match(), is_known(number), "image {number}");
    }
    let stats = session.stats();
    assert_eq!(stats.accepted, IMAGES as u64);
    assert_eq!(stats.verdicts, IMAGES as u64);
    stats
}

async fn under(faults: Faults) -> (Emulator, Stats) {
    let emulator = emulator(faults).await;
    let session = hasty(&client(&emulator)).open().expect("valid");
    let stats = all_accounted_for(&session, std::future::pending()).await;
    assert!(emulator.faults_struck() > 0, "the fault never struck");
    (emulator, stats)
}

/// Does something each time that another `step` images have ended.
async fn every(
    step: u64,
    session: &Session,
    mut act: impl AsyncFnMut(),
) -> std::convert::Infallible {
    let mut next = step / 2;
    loop {
        while session.stats().verdicts < next {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        act().await;
        next += step;
    }
}

async fn behind_relay() -> (Emulator, Relay, Client) {
    let emulator = emulator(Faults::none().delay(Delay::Constant(Duration::from_millis(5)))).await;
    let relay = Relay::to(emulator.host()).await;
    let client = builder(&emulator)
        .endpoint(relay.endpoint())
        .build()
        .expect("valid");
    (emulator, relay, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_cut_after_the_images_arrived() {
    let (_, stats) = under(Faults::none().cut(When::Every(10))).await;
    assert!(stats.disconnects > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_lost_with_their_stream() {
    let (_, stats) = under(Faults::none().lose(When::Every(10))).await;
    assert!(stats.resent > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_dropped() {
    let (_, stats) = under(Faults::none().disconnect(When::Every(15))).await;
    assert!(stats.disconnects > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn goaway() {
    let (_, stats) = under(Faults::none().goaway(When::Every(10))).await;
    assert_eq!(stats.duplicates, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_swallowed() {
    let (_, stats) = under(Faults::none().seed(1).swallow(When::Rate(0.02))).await;
    assert!(stats.resent > 0, "only sending again helps");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_duplicated() {
    let (_, stats) = under(Faults::none().duplicate(When::Every(3))).await;
    assert!(stats.duplicates > 0);
    assert_eq!(stats.unclaimed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_delayed_and_reordered() {
    let max = Duration::from_millis(50);
    let min = Duration::ZERO;
    let emulator = emulator(Faults::none().seed(1).delay(Delay::Uniform { min, max })).await;
    let session = hasty(&client(&emulator))
        .no_progress_timeout(Duration::from_secs(30))
        .open()
        .expect("valid");
    let stats = all_accounted_for(&session, std::future::pending()).await;
    assert_eq!(stats.resent, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_refused() {
    for status in [RejectStatus::Unavailable, RejectStatus::ResourceExhausted] {
        let faults = Faults::none()
            .reject(When::Next(3), status, None)
            .lose(When::Every(20));
        let (_, stats) = under(faults).await;
        assert!(stats.disconnects >= 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_revoked_again_and_again() {
    let emulator = emulator(Faults::none().delay(Delay::Constant(Duration::from_millis(5)))).await;
    let session = hasty(&client(&emulator)).open().expect("valid");
    // The token source makes haste slowly when token after token is refused.
    let revoke = every(900, &session, async || {
        emulator.revoke_tokens();
        emulator.cut_streams();
    });
    all_accounted_for(&session, revoke).await;
    assert!(emulator.stats().calls_unauthenticated > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_restarts() {
    let emulator = emulator(Faults::none().delay(Delay::Constant(Duration::from_millis(5)))).await;
    let session = hasty(&client(&emulator)).open().expect("valid");
    let restart = every(500, &session, async || {
        emulator
            .restart(Duration::from_millis(20))
            .await
            .expect("a restart");
    });
    let stats = all_accounted_for(&session, restart).await;
    assert!(stats.disconnects > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_reset_in_the_middle() {
    let (_emulator, relay, client) = behind_relay().await;
    let session = hasty(&client).connections(2).open().expect("valid");
    let cut = every(100, &session, async || relay.cut());
    let stats = all_accounted_for(&session, cut).await;
    assert!(stats.disconnects > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections() {
    let (_emulator, relay, client) = behind_relay().await;
    let session = hasty(&client)
        .no_progress_timeout(Duration::from_millis(100))
        .open()
        .expect("valid");
    let stall = every(500, &session, async || {
        relay.set(Mode::Stall);
        // Long enough to be noticed; what hangs then is never heard of again.
        tokio::time::sleep(Duration::from_millis(150)).await;
        relay.cut();
        relay.set(Mode::Forward);
    });
    let stats = all_accounted_for(&session, stall).await;
    assert!(stats.disconnects > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_network() {
    let (_emulator, relay, client) = behind_relay().await;
    relay.set(Mode::Slow);
    let session = hasty(&client)
        .no_progress_timeout(Duration::from_secs(30))
        .open()
        .expect("valid");
    let stats = all_accounted_for(&session, std::future::pending()).await;
    assert_eq!(stats.resent, 0, "slow is not broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_connections_for_a_while() {
    let (_emulator, relay, client) = behind_relay().await;
    let session = hasty(&client).open().expect("valid");
    let refuse = every(500, &session, async || {
        relay.set(Mode::Refuse);
        relay.cut();
        tokio::time::sleep(Duration::from_millis(60)).await;
        relay.set(Mode::Forward);
    });
    let stats = all_accounted_for(&session, refuse).await;
    assert!(
        stats.disconnects > stats.connects,
        "attempts failed as well"
    );
}

/// Runs all images; each ends once, in its own verdict or in an error of the service.
async fn with_errors_of_the_service(faults: Faults) -> u64 {
    let emulator = emulator(faults).await;
    let session = hasty(&client(&emulator))
        .no_progress_timeout(Duration::from_secs(30))
        .open()
        .expect("valid");
    let images = stream::iter((0..IMAGES).map(|number| (number, crate::support::hash(number))));
    let mut results = session.classify_all(images);
    while let Some((number, result)) = results.next().await {
        match result {
            Ok(verdict) => assert_eq!(verdict.known_match(), is_known(number)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Service, "{error:?}");
                assert_eq!(error.delivery(), Delivery::Answered, "{error:?}");
            }
        }
    }
    let stats = session.stats();
    assert_eq!(stats.accepted, IMAGES as u64);
    assert_eq!(stats.verdicts + stats.errors(), IMAGES as u64);
    assert_eq!(stats.resent, 0);
    stats.errors()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_the_service_fails() {
    let faults = Faults::none().image_error(When::Every(8), ErrorCode::ModelError);
    assert_eq!(with_errors_of_the_service(faults).await, IMAGES as u64 / 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_the_service_fails_without_saying_which() {
    let errors = with_errors_of_the_service(Faults::none().global_error(When::Every(10))).await;
    assert!((1..IMAGES as u64 / 2).contains(&errors), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once_over_several_connections() {
    let faults = Faults::none()
        .seed(7)
        .delay(Delay::Exponential(Duration::from_millis(3)))
        .cut(When::Rate(0.02))
        .lose(When::Rate(0.02))
        .disconnect(When::Rate(0.01))
        .goaway(When::Rate(0.01))
        .swallow(When::Rate(0.005))
        .duplicate(When::Rate(0.05));
    let emulator = emulator(faults).await;
    let session = hasty(&client(&emulator))
        .connections(3)
        .open()
        .expect("valid");
    let stats = all_accounted_for(&session, std::future::pending()).await;
    assert!(stats.resent > 0);
}
