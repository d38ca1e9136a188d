//! An hour in the life of a busy process, on a clock that tokio controls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use athena_auth::{AuthError, AuthErrorKind, Cached, Token, TokenSource};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(3600);

/// Tokens of a minute, an endpoint that fails one request in twenty, twenty callers. A token is
/// asked for when a quarter of its life, less a fifth of that at most, is left: every 45 to 48 s.
#[tokio::test(start_paused = true)]
async fn an_hour_of_short_tokens_and_a_flaky_endpoint_fails_no_call() {
    for seed in 0..2 {
        fastrand::seed(seed);
        let requests = Arc::new(AtomicU32::new(0));
        let failures = Arc::new(AtomicU32::new(0));
        let source = {
            let (requests, failures) = (Arc::clone(&requests), Arc::clone(&failures));
            let mut random = fastrand::Rng::with_seed(seed);
            let fails = std::sync::Mutex::new(move || random.f64() < 0.05);
            Arc::new(Cached::new(move || {
                requests.fetch_add(1, Ordering::Relaxed);
                let fails = fails.lock().expect("no panic")();
                failures.fetch_add(u32::from(fails), Ordering::Relaxed);
                async move {
                    sleep(Duration::from_millis(150)).await;
                    match fails {
                        true => Err(AuthError::new(AuthErrorKind::Unavailable, "one in twenty")),
                        false => {
                            Ok(Token::bearer("a-token")?.with_lifetime(Duration::from_secs(60)))
                        }
                    }
                }
            }))
        };
        let started = Instant::now();
        let callers: Vec<_> = (0..20)
            .map(|caller| {
                let source = Arc::clone(&source);
                tokio::spawn(async move {
                    let mut calls = 0;
                    while started.elapsed() < HOUR {
                        let token = source.token().await.expect("no call fails");
                        assert_eq!(token.expose_secret(), "a-token");
                        calls += 1;
                        sleep(Duration::from_millis(900 + 7 * caller)).await;
                    }
                    calls
                })
            })
            .collect();
        let mut calls = 0;
        for caller in callers {
            calls += caller.await.expect("no call fails");
        }
        let (requests, failures) = (
            requests.load(Ordering::Relaxed),
            failures.load(Ordering::Relaxed),
        );
        assert!(calls > 60_000, "{calls}");
        assert!(failures > 0, "the endpoint was to fail now and then");
        assert!(
            requests - failures <= 3600 / 45 + 1,
            "{requests} requests, {failures} failures"
        );
    }
}
