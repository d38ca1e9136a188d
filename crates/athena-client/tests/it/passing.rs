//! Failures that would be final at first pass by once the service has been reached.

use std::collections::BTreeSet;
use std::time::Duration;

use athena_client::auth::Static;
use athena_client::{ErrorKind, Session, Stats};
use athena_emulator::{Delay, Emulator, Faults, TokenFault, When};
use futures_util::{StreamExt, stream};

use crate::relay::Relay;
use crate::script::{Play, Script};
use crate::support::{builder, client, hash, hasty, start};

const IMAGES: usize = 300;

/// Classifies images; after a third of them trouble begins, and ends when the session has failed to
/// connect a few times.
async fn through(
    session: &Session,
    failures: u64,
    begin: impl AsyncFn(),
    end: impl AsyncFn(),
) -> Stats {
    let images = stream::iter((0..IMAGES).map(|number| (number, hash(number))));
    let results = session.classify_all(images).collect::<Vec<_>>();
    let trouble = async {
        while session.stats().verdicts < IMAGES as u64 / 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let before = session.stats().disconnects;
        begin().await;
        while session.stats().disconnects < before + failures {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        end().await;
        std::future::pending::<std::convert::Infallible>().await
    };
    let results = tokio::select! {
        results = results => results,
        never = trouble => match never {},
    };
    let keys: BTreeSet<_> = results.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys.len(), IMAGES);
    for (number, result) in results {
        assert!(result.is_ok(), "image {number}: {result:?}");
    }
    session.stats()
}

async fn slow_emulator() -> Emulator {
    let faults = Faults::none().delay(Delay::Constant(Duration::from_millis(5)));
    start(Emulator::builder().faults(faults)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_for_a_while() {
    let (emulator, stranger) = (slow_emulator().await, slow_emulator().await);
    let relay = Relay::to(emulator.host()).await;
    let client = builder(&emulator).endpoint(relay.endpoint()).build();
    let session = hasty(&client.unwrap()).open().unwrap();
    let stats = through(
        &session,
        8,
        async || {
            relay.redirect(stranger.host());
            relay.cut();
        },
        async || relay.redirect(emulator.host()),
    )
    .await;
    assert!(stats.disconnects >= 8, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_talks_nonsense_for_a_while() {
    for fault in [TokenFault::Garbage, TokenFault::Error] {
        let emulator = slow_emulator().await;
        let session = hasty(&client(&emulator)).open().unwrap();
        through(
            &session,
            2,
            async || {
                emulator.set_faults(Faults::none().token(When::Rate(1.0), fault));
                emulator.revoke_tokens();
                emulator.cut_streams();
            },
            async || emulator.set_faults(Faults::none()),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lasts_ends_with_the_images_time_and_may_pass() {
    let (emulator, stranger) = (slow_emulator().await, slow_emulator().await);
    let relay = Relay::to(emulator.host()).await;
    let client = builder(&emulator).endpoint(relay.endpoint()).build();
    let session = hasty(&client.unwrap()).open().unwrap();
    session.submit(hash(1)).await.unwrap().await.unwrap();
    relay.redirect(stranger.host());
    relay.cut();
    // One that broke, and one that was not to be had.
    while session.stats().disconnects < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let image = hash(2).timeout(Duration::from_millis(300));
    let error = session.submit(image).await.unwrap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_transient());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("certificate"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_never_reached_the_service_fails_fast() {
    let (emulator, stranger) = (slow_emulator().await, slow_emulator().await);
    let client = builder(&emulator).endpoint(stranger.endpoint()).build();
    let session = client.unwrap().session().open().unwrap();
    let error = session.submit(hash(1)).await.unwrap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
}

/// The service ends streams when their token expires, and forgets what was under way.
#[tokio::test(start_paused = true)]
async fn tokens_that_expire_under_way_are_no_broken_connections() {
    let script = Script::new(Play::Expire { streams: 5 });
    let client = script
        .client()
        .token_source(Static::bearer("short-lived").unwrap())
        .allow_plaintext(true)
        .build()
        .unwrap();
    for (resends, kind) in [(1, None), (0, Some(ErrorKind::Unavailable))] {
        let session = client
            .session()
            .resend_grace(Duration::from_millis(100))
            .max_resends(resends)
            .open()
            .unwrap();
        let result = session.submit(hash(1)).await.unwrap().await;
        assert_eq!(result.err().map(|error| error.kind()), kind);
        script.begin_again();
    }
}
