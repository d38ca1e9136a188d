//! The promises of the cache, with an endpoint made of closures and a clock that tokio controls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use athena_auth::{AuthError, AuthErrorKind, Cached, Fetch, Timing, Token, TokenSource};
use tokio::time::{Instant, advance, sleep};

/// Numbers its tokens and counts its fetches; `script` decides how each of them ends.
struct Endpoint {
    fetches: Arc<AtomicU32>,
    takes: Duration,
    script: fn(u32) -> Result<Token, AuthError>,
}

impl Fetch for Endpoint {
    async fn fetch(&self) -> Result<Token, AuthError> {
        let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        sleep(self.takes).await;
        (self.script)(number)
    }
}

/// A source over a script, and the number of its fetches so far.
fn source(
    takes: f64,
    script: fn(u32) -> Result<Token, AuthError>,
) -> (Arc<Cached<Endpoint>>, impl Fn() -> u32) {
    source_with(takes, script, Timing::default())
}

fn source_with(
    takes: f64,
    script: fn(u32) -> Result<Token, AuthError>,
    timing: Timing,
) -> (Arc<Cached<Endpoint>>, impl Fn() -> u32) {
    let fetches = Arc::new(AtomicU32::new(0));
    let endpoint = Endpoint {
        fetches: Arc::clone(&fetches),
        takes: Duration::from_secs_f64(takes),
        script,
    };
    (Arc::new(Cached::with_timing(endpoint, timing)), move || {
        fetches.load(Ordering::SeqCst)
    })
}

fn token(number: u32, lifetime: u64) -> Result<Token, AuthError> {
    Ok(Token::bearer(number.to_string())?.with_lifetime(Duration::from_secs(lifetime)))
}

fn down() -> Result<Token, AuthError> {
    Err(AuthError::new(AuthErrorKind::Unavailable, "down"))
}

async fn text(source: &Cached<Endpoint>) -> Result<String, AuthErrorKind> {
    source
        .token()
        .await
        .map(|token| token.expose_secret().to_owned())
        .map_err(|error| error.kind())
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_cold_callers_share_one_fetch() {
    let (source, fetches) = source(1.0, |number| token(number, 3600));
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { text(&source).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.expect("no panic"), Ok("1".into()));
    }
    assert_eq!(fetches(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_cold_callers_on_many_threads_share_one_fetch() {
    let (source, fetches) = source(0.0, |number| token(number, 3600));
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { text(&source).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.expect("no panic"), Ok("1".into()));
    }
    assert_eq!(fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_callers_get_the_one_refusal() {
    let (source, fetches) = source(1.0, |_| {
        Err(AuthError::new(AuthErrorKind::Denied, "wrong secret"))
    });
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { text(&source).await })
        })
        .collect();
    let started = Instant::now();
    for caller in callers {
        assert_eq!(caller.await.expect("no panic"), Err(AuthErrorKind::Denied));
    }
    assert_eq!(fetches(), 1);
    assert_eq!(started.elapsed(), Duration::from_secs(1), "final at once");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_a_moment_only() {
    let (source, fetches) = source(0.1, |number| match number {
        1 => Err(AuthError::new(AuthErrorKind::Denied, "not yet")),
        _ => token(number, 3600),
    });
    assert_eq!(text(&source).await, Err(AuthErrorKind::Denied));
    let before = Instant::now();
    for _ in 0..100 {
        assert_eq!(text(&source).await, Err(AuthErrorKind::Denied));
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "at once");
    assert_eq!(fetches(), 1);
    pass(2).await;
    assert_eq!(text(&source).await, Ok("2".into()));
    assert_eq!(fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_leader_dropped_at_any_await_loses_nothing() {
    // Far more polls than the call and the fetch have awaits.
    for polls in 0..24 {
        let (source, fetches) = source(0.01, |number| token(number, 3600));
        let mut leader = source.token();
        for _ in 0..polls {
            let done = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(leader.as_mut().poll(cx).is_ready())
            })
            .await;
            if done {
                break;
            }
            advance(Duration::from_millis(1)).await;
        }
        drop(leader);
        assert_eq!(text(&source).await, Ok("1".into()), "after {polls} polls");
        assert_eq!(fetches(), 1, "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_the_callers_and_poisons_nothing() {
    let (source, _) = source(0.1, |number| match number {
        1 => panic!("a bug in the fetch function"),
        _ => token(number, 3600),
    });
    let other = {
        let source = Arc::clone(&source);
        tokio::spawn(async move { text(&source).await })
    };
    assert_eq!(text(&source).await, Err(AuthErrorKind::Panicked));
    assert_eq!(
        other.await.expect("no panic here"),
        Err(AuthErrorKind::Panicked)
    );
    assert_eq!(text(&source).await, Ok("2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_in_the_background_delays_nobody() {
    let (source, fetches) = source(5.0, |number| token(number, 3600));
    assert_eq!(text(&source).await, Ok("1".into()));
    pass(3_400).await;
    let before = Instant::now();
    for _ in 0..100 {
        assert_eq!(text(&source).await, Ok("1".into()));
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    pass(6).await;
    assert_eq!(text(&source).await, Ok("2".into()));
    assert_eq!(fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_seen_by_nobody() {
    let (source, fetches) = source(0.5, |number| match number {
        1 => token(number, 3600),
        _ => down(),
    });
    assert_eq!(text(&source).await, Ok("1".into()));
    pass(3_360).await;
    for _ in 0..235 {
        let before = Instant::now();
        assert_eq!(text(&source).await, Ok("1".into()));
        assert_eq!(before.elapsed(), Duration::ZERO);
        pass(1).await;
    }
    assert!(
        (9..=22).contains(&fetches()),
        "{} fetches: the pauses grow to half a minute",
        fetches()
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_call_after_an_outage_succeeds() {
    let recovers = Instant::now() + Duration::from_secs(600);
    let source = Cached::new(move || async move {
        match Instant::now() < recovers {
            true => down(),
            false => token(1, 3600),
        }
    });
    while Instant::now() < recovers {
        let before = Instant::now();
        let result = source.token().await;
        assert!(before.elapsed() <= Duration::from_secs(30));
        if let Err(error) = result {
            assert_eq!(error.kind(), AuthErrorKind::Unavailable);
        }
    }
    let before = Instant::now();
    source.token().await.expect("the endpoint works again");
    assert!(
        before.elapsed() <= Duration::from_secs(2),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_waited_out() {
    let (source, fetches) = source(0.1, |number| match number {
        1..=3 => down(),
        _ => token(number, 3600),
    });
    assert_eq!(text(&source).await, Ok("4".into()));
    assert_eq!(fetches(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_call_fails_when_its_patience_ends() {
    let (source, _) = source_with(
        60.0,
        |number| token(number, 3600),
        Timing::default().patience(Duration::from_secs(7)),
    );
    let before = Instant::now();
    assert_eq!(text(&source).await, Err(AuthErrorKind::Timeout));
    assert!(
        before.elapsed() <= Duration::from_secs(7) + Duration::from_millis(10),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_if_patience_allows() {
    let (source, fetches) = source(0.0, |number| match number {
        1 => Err(AuthError::new(AuthErrorKind::RateLimited, "busy")
            .with_retry_after(Duration::from_secs(20))),
        _ => token(number, 3600),
    });
    let before = Instant::now();
    assert_eq!(text(&source).await, Ok("2".into()));
    let waited = before.elapsed().as_secs_f64();
    assert!((20.0..=22.01).contains(&waited), "{waited}");
    assert_eq!(fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_late_rejections_cost_one_fetch() {
    let (source, fetches) = source(0.1, |number| token(number, 3600));
    let rejected = source.token().await.expect("a token");
    pass(100).await;
    for _ in 0..500 {
        source.invalidate(&rejected);
    }
    assert!(source.cached().is_none());
    assert_eq!(text(&source).await, Ok("2".into()));
    for _ in 0..500 {
        source.invalidate(&rejected);
    }
    assert_eq!(text(&source).await, Ok("2".into()));
    assert_eq!(fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rejects_everything_makes_no_storm() {
    let (source, fetches) = source(0.0, |number| token(number, 3600));
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let token = source.token().await.expect("a token");
        source.invalidate(&token);
    }
    assert!(fetches() <= 10, "{} fetches in a minute", fetches());
}

#[tokio::test(start_paused = true)]
async fn tokens_of_one_second_work_without_a_busy_loop() {
    let (source, fetches) = source(0.0, |number| token(number, 1));
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        source.token().await.expect("a token");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(
        (50..=61).contains(&fetches()),
        "{} fetches in a minute",
        fetches()
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_source_fetches_nothing() {
    let (source, fetches) = source(0.0, |number| token(number, 60));
    assert_eq!(fetches(), 0);
    source.token().await.expect("a token");
    pass(86_400).await;
    assert_eq!(fetches(), 1);
    assert_eq!(text(&source).await, Ok("2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_had_expired_when_issued_is_refused() {
    let (source, _) = source(0.0, |number| token(number, 0));
    assert_eq!(text(&source).await, Err(AuthErrorKind::InvalidResponse));
}

#[tokio::test(start_paused = true)]
async fn a_source_works_behind_every_kind_of_pointer() {
    let (source, _) = source(0.0, |number| token(number, 3600));
    let shared: Arc<dyn TokenSource> = source;
    let boxed: Box<dyn TokenSource> = Box::new(Arc::clone(&shared));
    async fn through(source: impl TokenSource) -> String {
        source
            .token()
            .await
            .expect("a token")
            .expose_secret()
            .to_owned()
    }
    assert_eq!(through(&shared).await, "1");
    assert_eq!(through(boxed).await, "1");
    assert!(shared.cached().is_some());
}
