//! Whatever ends a session, nobody waits for it.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use athena_client::auth::{AuthError, BoxFuture, Token, TokenSource};
use athena_client::{Client, Error, ErrorKind, Image, Session};
use tonic::body::Body;

use crate::script::{Play, Script};
use crate::support::hash;

/// Far beyond what anything here takes, so that a hang is a failure.
const HANG: Duration = Duration::from_secs(20);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future)
        .await
        .expect("it does not hang")
}

fn assert_closed_because(error: &Error, reason: &str) {
    assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    let cause = error.source().expect("a cause").to_string();
    assert!(cause.contains(reason), "{cause}");
}

/// What was pending ends, and nothing more is taken on.
async fn assert_over(session: &Session, pending: athena_client::Pending, reason: &str) {
    assert_closed_because(&soon(pending).await.expect_err("over"), reason);
    let refused = soon(session.submit(hash(2))).await.expect_err("over");
    assert_closed_because(&refused, reason);
    let stats = session.stats();
    assert_eq!((stats.pending, stats.accepted), (0, 1));
    let unfinished = soon(session.close()).await.expect_err("over");
    assert_eq!(unfinished.images().len(), 1);
}

#[derive(Debug)]
struct Broken;

impl TokenSource for Broken {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>> {
        panic!("a bug in the token source, hunter2");
    }
}

#[tokio::test]
async fn a_token_source_that_panics_ends_the_session() {
    let client = Script::new(Play::Answer).client().token_source(Broken);
    let session = client.build().unwrap().session().open().unwrap();
    let pending = session.submit(hash(1)).await.unwrap();
    assert_over(&session, pending, "panicked").await;
}

/// A service of the caller's that panics when it is called.
#[derive(Debug, Clone)]
struct Trap;

impl tower::Service<http::Request<Body>> for Trap {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        Box::pin(async { panic!("a bug in the service") })
    }
}

#[tokio::test]
async fn a_service_that_panics_ends_the_session() {
    let client = Client::builder().service(Trap).build().unwrap();
    let session = client.session().open().unwrap();
    let pending = session.submit(hash(1)).await.unwrap();
    assert_over(&session, pending, "panicked").await;
}

#[tokio::test]
async fn a_session_whose_runtime_is_gone_is_over() {
    let script = Script::new(Play::Silence);
    let (session, pending) = std::thread::spawn(move || {
        let other = tokio::runtime::Runtime::new().unwrap();
        let opened = other.block_on(async {
            let session = script.client().build().unwrap().session().open().unwrap();
            let pending = session.submit(hash(1)).await.unwrap();
            (session, pending)
        });
        other.shutdown_background();
        opened
    })
    .join()
    .unwrap();
    assert_over(&session, pending, "runtime").await;
}

/// The image waits for its preparation, which will not come, when the runtime goes.
#[tokio::test]
async fn images_that_wait_for_their_turn_end_with_the_runtime_too() {
    let script = Script::new(Play::Answer);
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (session, pending) = std::thread::spawn(move || {
        let opened = other.block_on(async {
            let session = script.client().build().unwrap().session().open().unwrap();
            let image = Image::from_bytes(&b"file"[..]);
            // The session's task has not had a turn yet.
            let pending = session.submit(image).await.unwrap();
            (session, pending)
        });
        drop(other);
        opened
    })
    .join()
    .unwrap();
    assert_over(&session, pending, "runtime").await;
}

#[tokio::test(start_paused = true)]
async fn both_of_two_that_close_learn_what_was_not_finished() {
    let script = Script::new(Play::Silence);
    let session = script.client().build().unwrap().session().open().unwrap();
    let pending = session
        .submit(hash(1).timeout(Duration::MAX))
        .await
        .unwrap();
    let (first, second) = tokio::join!(session.close(), session.close());
    for unfinished in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(unfinished.images().len(), 1);
    }
    let third = session.close().await.unwrap_err();
    assert_eq!(third.images().len(), 1);
    assert_eq!(pending.await.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let client = Client::builder().build().unwrap();
    let mut call = Box::pin(client.classify(hash(1)));
    let mut context = Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(Err(error)) = call.as_mut().poll(&mut context) else {
        panic!("the call waits for something");
    };
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("Tokio runtime"), "{error}");
    let error = client.session().open().unwrap_err();
    assert!(error.to_string().contains("Tokio runtime"), "{error}");
}
