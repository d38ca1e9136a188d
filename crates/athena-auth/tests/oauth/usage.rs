//! What a source tells of itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use athena_auth::{AuthErrorKind, TokenEvent, TokenSource};
use tokio::time::sleep;

use crate::builder;
use crate::support::{Endpoint, answer, json};

const QUOTA: &str = "Auth0-Client-Quota-Limit: b=per_hour;q=100;r=98;t=1";

#[tokio::test(start_paused = true)]
async fn usage_is_counted_and_told_as_it_happens() {
    let endpoint = Endpoint::start(|number| match number {
        1 => answer(503, &[], ""),
        2 => answer(
            200,
            &["x-ratelimit-remaining: 7"],
            r#"{"access_token":"abc","expires_in":100}"#,
        ),
        3 => json(429, ""),
        _ => answer(200, &[QUOTA], r#"{"access_token":"abc","expires_in":100}"#),
    })
    .await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let source = builder(&endpoint)
        .on_event(move |event| {
            told.lock().expect("no panic").push(match event {
                TokenEvent::Requested { attempt, .. } => format!("requested {attempt}"),
                TokenEvent::Obtained { lifetime, .. } => format!("obtained {lifetime:?}"),
                TokenEvent::Failed { error, usable, .. } => {
                    format!("failed {:?} {usable}", error.kind())
                }
                TokenEvent::Rejected => "rejected".to_owned(),
                other => format!("{other:?}"),
            });
        })
        .build()
        .expect("good settings");
    assert_eq!(source.usage().requests, 0);
    assert_eq!(source.usage().last_success, None);

    let first = source.token().await.expect("after one failure");
    for _ in 0..10 {
        source.token().await.expect("at hand");
        source.cached().expect("at hand");
    }
    let usage = source.usage();
    assert_eq!((usage.requests, usage.hits, usage.refreshes), (2, 20, 0));
    assert_eq!(usage.failures, [(AuthErrorKind::Unavailable, 1)]);
    assert_eq!(usage.expires_at, first.expires_at());
    assert_eq!(usage.quota, [("x-ratelimit-remaining".into(), "7".into())]);
    let age = SystemTime::now().duration_since(usage.last_success.expect("one"));
    assert!(age.expect("in the past") < Duration::from_secs(60));

    // A refresh in the background that fails at first.
    for pause in [81, 3, 1] {
        sleep(Duration::from_secs(pause)).await;
        source.token().await.expect("at hand");
    }
    let second = source.token().await.expect("at hand");
    source.invalidate(&second);
    source.invalidate(&second);
    let usage = source.usage();
    assert_eq!(
        (usage.requests, usage.refreshes, usage.rejections),
        (4, 1, 1)
    );
    assert_eq!(usage.failures_of(AuthErrorKind::RateLimited), 1);
    assert_eq!(usage.expires_at, None, "no token is at hand");
    let [(name, value)] = &usage.quota[..] else {
        panic!("{:?}", usage.quota)
    };
    assert_eq!(name, "auth0-client-quota-limit");
    assert_eq!(value, "b=per_hour;q=100;r=98;t=1");

    assert_eq!(
        *events.lock().expect("no panic"),
        [
            "requested 1",
            "failed Unavailable false",
            "requested 2",
            "obtained Some(100s)",
            "requested 1",
            "failed RateLimited true",
            "requested 1",
            "obtained Some(100s)",
            "rejected",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_harms_nobody() {
    let endpoint = Endpoint::start(|_| crate::support::token("abc", 3600)).await;
    let source = builder(&endpoint)
        .on_event(|_| panic!("a bug in the hook"))
        .build()
        .expect("good settings");
    source.token().await.expect("a token");
}
