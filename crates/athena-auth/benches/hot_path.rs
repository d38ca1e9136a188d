//! What a cached token costs: next to a bare `Arc` clone, with more and more threads, and in the
//! layer next to the same service without it.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use athena_auth::{AuthorizationLayer, Cached, Fetch, Token, TokenSource};
use divan::{AllocProfiler, Bencher, black_box};
use http::{Request, Response};
use tower::{Layer, Service};

const THREADS: [usize; 4] = [1, 2, 4, 16];

/// Shows what each hit allocates.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A cache that holds a token for an hour.
fn warm() -> Arc<Cached<impl Fetch>> {
    let source = Cached::new(|| async {
        Ok(Token::bearer("x".repeat(800))?.with_lifetime(std::time::Duration::from_secs(3600)))
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime
        .block_on(async { source.token().await })
        .expect("a token");
    Arc::new(source)
}

/// Polls a future that is ready at once.
fn finish<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the token was not cached"),
    }
}

#[divan::bench(threads = THREADS, sample_size = 1000)]
fn arc_clone(bencher: Bencher<'_, '_>) {
    let shared = Arc::new(0_u64);
    bencher.bench(|| Arc::clone(black_box(&shared)));
}

#[divan::bench(threads = THREADS, sample_size = 1000)]
fn cached(bencher: Bencher<'_, '_>) {
    let source = warm();
    bencher.bench(|| black_box(&source).cached().expect("cached"));
}

#[divan::bench(threads = THREADS, sample_size = 1000)]
fn token(bencher: Bencher<'_, '_>) {
    let source = warm();
    bencher.bench(|| finish(black_box(&source).token()).expect("cached"));
}

/// The two clock readings that every hit needs.
#[divan::bench]
fn clock_readings() -> (std::time::Instant, std::time::SystemTime) {
    (std::time::Instant::now(), std::time::SystemTime::now())
}

#[derive(Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        // Otherwise there would be nothing to compare with.
        *response.headers_mut() = request.into_parts().0.headers;
        ready(Ok(response))
    }
}

fn request() -> Request<()> {
    Request::post("https://api.example.com/athena.ClassifierService/Classify")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

#[divan::bench(sample_size = 1000)]
fn service_alone(bencher: Bencher<'_, '_>) {
    let mut service = Inner;
    bencher
        .with_inputs(request)
        .bench_local_values(|request| finish(service.call(request)));
}

#[divan::bench(sample_size = 1000)]
fn service_with_layer(bencher: Bencher<'_, '_>) {
    let mut service = AuthorizationLayer::new(warm()).layer(Inner);
    bencher
        .with_inputs(request)
        .bench_local_values(|request| finish(service.call(request)));
}
