//! Sources that outlive, share and stray from the runtimes they are used on.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use athena_auth::{AuthError, AuthErrorKind, Cached, Fetch, Token, TokenSource};
use tokio::runtime::{Builder, Runtime};

/// The first fetch never ends, later ones succeed.
fn first_hangs() -> (Arc<Cached<impl Fetch>>, Arc<AtomicU32>) {
    let fetches = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&fetches);
    let source = Cached::new(move || {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        async move {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            Token::bearer(number.to_string())
        }
    });
    (Arc::new(source), fetches)
}

fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn paused() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Starts a call on this runtime and leaves its fetch under way.
fn start_fetch(runtime: &Runtime, source: &Cached<impl Fetch>) {
    runtime.block_on(async {
        let mut call = source.token();
        let polled =
            std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await;
        assert!(polled);
        tokio::task::yield_now().await;
    });
}

#[test]
fn outside_a_runtime_a_call_fails_and_nothing_panics() {
    let source = Cached::new(|| async { Token::bearer("never") });
    let mut call = pin!(source.token());
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), AuthErrorKind::Runtime),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_runtime_without_timers_or_io_is_told_what_to_enable() {
    let source = Cached::new(|| async { Token::bearer("never") });
    let runtime = Builder::new_current_thread().enable_io().build();
    let error = runtime
        .expect("a runtime")
        .block_on(source.token())
        .expect_err("no timers");
    assert_eq!(error.kind(), AuthErrorKind::Runtime);
    assert!(error.to_string().contains("enable_time"), "{error}");

    let source = Cached::new(|| async {
        let connected = tokio::net::TcpStream::connect("127.0.0.1:9").await;
        Err::<Token, _>(
            AuthError::new(AuthErrorKind::Unavailable, "down")
                .with_source(connected.expect_err("nobody listens there")),
        )
    });
    let runtime = Builder::new_current_thread().enable_time().build();
    let error = runtime
        .expect("a runtime")
        .block_on(source.token())
        .expect_err("no IO");
    assert_eq!(error.kind(), AuthErrorKind::Runtime);
    assert!(error.to_string().contains("enable_io"), "{error}");
    // The source itself is sound: on another runtime the fetch is made.
    let error = paused().block_on(source.token()).expect_err("down");
    assert_eq!(error.kind(), AuthErrorKind::Unavailable);
}

#[test]
fn a_source_survives_the_runtime_it_was_first_used_on() {
    let (source, fetches) = first_hangs();
    let first = current_thread();
    start_fetch(&first, &source);
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    drop(first);
    let token = current_thread().block_on(source.token()).expect("a token");
    assert_eq!(token.expose_secret(), "1");
}

#[test]
fn callers_elsewhere_start_over_when_the_runtime_of_the_fetch_goes() {
    let (source, _) = first_hangs();
    let first = current_thread();
    start_fetch(&first, &source);
    let second = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let waiting = {
        let source = Arc::clone(&source);
        second.spawn(async move { source.token().await })
    };
    drop(first);
    let token = second
        .block_on(waiting)
        .expect("no panic")
        .expect("a token");
    assert_eq!(token.expose_secret(), "1");
}

#[test]
fn a_fetch_on_a_runtime_that_nobody_drives_is_replaced() {
    let (source, fetches) = first_hangs();
    let idle = current_thread();
    start_fetch(&idle, &source);
    let token = paused()
        .block_on(async { source.token().await })
        .expect("a token");
    assert_eq!(token.expose_secret(), "1");
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
    idle.block_on(tokio::task::yield_now());
    assert_eq!(
        idle.metrics().num_alive_tasks(),
        0,
        "the old fetch does not come back"
    );
}

#[test]
fn block_on_again_and_again_on_one_thread() {
    let number = AtomicU32::new(0);
    let source = Cached::new(move || {
        let number = number.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok::<_, AuthError>(
                Token::bearer(number.to_string())?.with_lifetime(Duration::from_secs(60)),
            )
        }
    });
    let runtime = paused();
    let mut last = 0;
    for _ in 0..120 {
        let token = runtime
            .block_on(async { source.token().await })
            .expect("a token");
        last = token.expose_secret().parse().expect("a number");
        runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
    }
    assert!(
        (2..=3_u32).contains(&last),
        "{last} refreshes in two minutes"
    );
}

#[test]
fn the_last_handle_takes_its_task_along() {
    struct Guard(Arc<AtomicU32>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let dropped = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&dropped);
    let source = Cached::new(move || {
        let guard = Guard(Arc::clone(&counter));
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Token::bearer("never")
        }
    });
    let runtime = current_thread();
    start_fetch(&runtime, &source);
    assert_eq!(runtime.metrics().num_alive_tasks(), 1);
    drop(source);
    runtime.block_on(tokio::task::yield_now());
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn making_a_source_starts_nothing() {
    let runtime = current_thread();
    let _inside = runtime.enter();
    let _source = Cached::new(|| async { Token::bearer("never") });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}
