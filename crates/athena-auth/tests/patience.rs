//! Sixty-four callers through the layer, and token endpoints and servers that fail them: nobody
//! waits beyond its patience, and the endpoint is left in peace. What the endpoint was asked is
//! counted by the endpoint.
//!
//! Both ends run on one thread with a paused clock, so that time only passes when neither has
//! anything to do.
#![cfg(feature = "oauth")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use athena_auth::{AuthError, AuthErrorKind, AuthorizationLayer, OAuthClientCredentials};
use http::{Request, Response, StatusCode};
use support::{Endpoint, Reply, answer, json, token};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

const CALLERS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

/// One call as its caller saw it.
struct Call {
    began: Duration,
    took: Duration,
    result: Result<StatusCode, AuthErrorKind>,
}

/// What all callers saw, and how often the endpoint was asked.
struct Seen {
    calls: Vec<Call>,
    requests: usize,
}

impl Seen {
    fn longest(&self) -> Duration {
        self.after(Duration::ZERO)
    }

    /// The longest wait of calls that began after this time.
    fn after(&self, time: Duration) -> Duration {
        let late = self.calls.iter().filter(|call| call.began >= time);
        late.map(|call| call.took).max().expect("some calls")
    }

    fn all(&self, result: Result<StatusCode, AuthErrorKind>) -> bool {
        self.calls.iter().all(|call| call.result == result)
    }
}

/// Calls without pause but a tenth of a second, by sixty-four callers, for this long.
/// `accepts` says whether the server takes the token with this number.
async fn run(
    length: Duration,
    endpoint: impl Fn(usize, Duration) -> Reply + Send + Sync + 'static,
    accepts: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> Seen {
    let started = Instant::now();
    let endpoint = Endpoint::start_plain(move |number| endpoint(number, started.elapsed())).await;
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(endpoint.url())
        .build()
        .expect("good settings");
    let accepts = Arc::new(accepts);
    let server = service_fn(move |request: Request<()>| {
        let header = request.headers()["authorization"].to_str().expect("text");
        let number = header.trim_start_matches("Bearer ").parse();
        let accepted = accepts(number.expect("tokens are numbers"));
        async move {
            let mut response = Response::new(());
            if !accepted {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let service = AuthorizationLayer::new(source).layer(server);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let mut calls = Vec::new();
                while started.elapsed() < length {
                    let began = Instant::now();
                    let request = Request::get("https://api.example.com/").body(());
                    let result = service.clone().oneshot(request.expect("a request")).await;
                    calls.push(Call {
                        began: began - started,
                        took: began.elapsed(),
                        result: match result {
                            Ok(response) => Ok(response.status()),
                            Err(error) => {
                                Err(error.downcast::<AuthError>().expect("of this crate").kind())
                            }
                        },
                    });
                    sleep(Duration::from_millis(100)).await;
                }
                calls
            })
        })
        .collect();
    let mut calls = Vec::new();
    for caller in callers {
        calls.extend(caller.await.expect("no panic"));
    }
    Seen {
        calls,
        requests: endpoint.received().len(),
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rejects_every_token() {
    let seen = run(
        secs(120),
        |number, _| token(&number.to_string(), 3600),
        |_| false,
    )
    .await;
    assert!(seen.longest() <= PATIENCE + secs(1), "{:?}", seen.longest());
    assert!(seen.all(Ok(StatusCode::UNAUTHORIZED)), "each is told so");
    assert!(seen.requests <= 14, "{} requests", seen.requests);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rejects_six_tokens_and_then_is_content() {
    let healed = Arc::new(AtomicUsize::new(0));
    let note = Arc::clone(&healed);
    let seen = run(
        secs(150),
        move |number, now| {
            if number == 7 {
                note.store(
                    usize::try_from(now.as_millis()).expect("small"),
                    Ordering::Relaxed,
                );
            }
            token(&number.to_string(), 5)
        },
        |number| number > 6,
    )
    .await;
    assert!(seen.longest() <= PATIENCE + secs(1), "{:?}", seen.longest());
    let healed = Duration::from_millis(healed.load(Ordering::Relaxed) as u64);
    assert!(healed < secs(60), "{healed:?}");
    let later = seen.after(healed + secs(1));
    assert!(
        later <= Duration::from_millis(100),
        "{later:?} with a healthy server"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses() {
    let refusal = r#"{"error":"invalid_client"}"#;
    let seen = run(secs(120), |_, _| json(401, refusal), |_| true).await;
    assert!(seen.all(Err(AuthErrorKind::Denied)));
    assert!(seen.longest() <= secs(1), "{:?}", seen.longest());
    assert!(seen.requests <= 10, "{} requests", seen.requests);
    assert!(seen.calls.len() > CALLERS * 1_000, "at once, every time");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_answers_garbage() {
    let seen = run(secs(120), |_, _| answer(200, &[], "garbage"), |_| true).await;
    assert!(seen.all(Err(AuthErrorKind::InvalidResponse)));
    assert!(seen.longest() <= secs(1), "{:?}", seen.longest());
    assert!(seen.requests <= 10, "{} requests", seen.requests);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_for_a_minute() {
    let outage = secs(60);
    let seen = run(
        secs(90),
        move |number, now| match now < outage {
            true => answer(503, &[], ""),
            false => token(&number.to_string(), 3600),
        },
        |_| true,
    )
    .await;
    assert!(seen.longest() <= PATIENCE + secs(1), "{:?}", seen.longest());
    // The first callers wait as long as they can. Those who come later hear of it soon.
    let later = seen.calls.iter().filter(|call| call.began > secs(31));
    let later = later.map(|call| call.took).max().expect("some calls");
    assert!(later <= secs(3), "{later:?}");
    // Once it is back, so are the calls.
    let failed = seen.calls.iter().filter(|call| call.result.is_err());
    let last_end = failed.map(|call| call.began + call.took).max();
    assert!(last_end.expect("some failed") <= outage, "{last_end:?}");
    let back = seen.calls.iter().filter(|call| call.began >= outage);
    let back = back.map(|call| call.took).max().expect("some calls");
    assert!(back <= secs(2), "{back:?}");
    assert!(seen.requests <= 62, "{} requests", seen.requests);
}
