//! The layer over hand-made services: what reaches them, and what does not.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use athena_auth::{
    AuthError, AuthErrorKind, AuthorizationLayer, BoxError, BoxFuture, Cached, Fetch, Static,
    Token, TokenSource,
};
use http::{Request, Response, Uri};
use tower::{Layer, Service, ServiceExt, service_fn};

const SAFE: &str = "https://api.example.com/";

fn fixed() -> Static {
    Static::bearer("a-token").expect("a good token")
}

/// A source that counts its fetches, which take a while.
fn counting() -> (Arc<Cached<impl Fetch>>, Arc<AtomicU32>) {
    let fetches = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&fetches);
    let source = Cached::new(move || {
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Token::bearer(format!("token-{number}"))
        }
    });
    (Arc::new(source), fetches)
}

/// Answers with the authorization header that it got.
async fn echo(request: Request<&'static str>) -> Result<Response<String>, Infallible> {
    assert_eq!(*request.body(), "body", "the body comes through");
    let header = request.headers().get("authorization");
    let text = header.map(|value| {
        assert!(value.is_sensitive() || value == "their own");
        value.to_str().expect("text").to_owned()
    });
    Ok(Response::new(text.unwrap_or_default()))
}

fn request(uri: &str) -> Request<&'static str> {
    Request::post(uri).body("body").expect("a request")
}

async fn sent(
    layer: AuthorizationLayer,
    request: Request<&'static str>,
) -> Result<String, AuthErrorKind> {
    match layer.layer(service_fn(echo)).oneshot(request).await {
        Ok(response) => Ok(response.into_body()),
        Err(error) => Err(error
            .downcast::<AuthError>()
            .expect("an error of this crate")
            .kind()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_gets_the_token() {
    assert_eq!(
        sent(AuthorizationLayer::new(fixed()), request(SAFE)).await,
        Ok("Bearer a-token".into())
    );
    let (source, _) = counting();
    let layer = AuthorizationLayer::new(source);
    for _ in 0..2 {
        assert_eq!(
            sent(layer.clone(), request(SAFE)).await,
            Ok("Bearer token-1".into())
        );
    }
}

#[tokio::test]
async fn a_header_of_the_callers_own_is_left_alone_unless_told_otherwise() {
    let own = || {
        let mut request = request(SAFE);
        request
            .headers_mut()
            .insert("authorization", "their own".parse().expect("a value"));
        request
    };
    let layer = AuthorizationLayer::new(fixed());
    assert_eq!(sent(layer.clone(), own()).await, Ok("their own".into()));
    assert_eq!(
        sent(layer.overwrite(true), own()).await,
        Ok("Bearer a-token".into())
    );
}

#[tokio::test]
async fn plaintext_is_refused_before_a_token_is_fetched() {
    let (source, fetches) = counting();
    let layer = AuthorizationLayer::new(source);
    for uri in [
        "http://api.example.com/",
        "http://10.0.0.7:50051/",
        "http://localhost.example.com/",
        "/no/scheme",
    ] {
        assert_eq!(
            sent(layer.clone(), request(uri)).await,
            Err(AuthErrorKind::Insecure),
            "{uri}"
        );
    }
    let plain = Uri::from_static("http://api.example.com");
    assert_eq!(
        sent(layer.clone().origin(&plain), request("/no/scheme")).await,
        Err(AuthErrorKind::Insecure)
    );
    let safe = Uri::from_static(SAFE);
    let full = request("http://api.example.com/");
    assert_eq!(
        sent(layer.origin(&safe), full).await,
        Err(AuthErrorKind::Insecure),
        "the request's own URL counts"
    );
    assert_eq!(fetches.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn encrypted_loopback_and_allowed_requests_pass() {
    let layer = AuthorizationLayer::new(fixed());
    for uri in [
        SAFE,
        "http://localhost:8080/",
        "http://127.0.0.1/",
        "http://[::1]:50051/",
    ] {
        assert_eq!(
            sent(layer.clone(), request(uri)).await,
            Ok("Bearer a-token".into()),
            "{uri}"
        );
    }
    for origin in [SAFE, "http://localhost:8080"] {
        let layer = layer.clone().origin(&Uri::from_static(origin));
        assert_eq!(
            sent(layer, request("/no/scheme")).await,
            Ok("Bearer a-token".into()),
            "{origin}"
        );
    }
    for uri in ["http://api.example.com/", "/no/scheme"] {
        let layer = layer.clone().allow_plaintext(true);
        assert_eq!(
            sent(layer, request(uri)).await,
            Ok("Bearer a-token".into()),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn without_a_token_the_request_is_not_sent() {
    #[derive(Debug)]
    struct Broken;
    impl TokenSource for Broken {
        fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>> {
            Box::pin(async { Err(AuthError::new(AuthErrorKind::Denied, "no")) })
        }
    }
    assert_eq!(
        sent(AuthorizationLayer::new(Broken), request(SAFE)).await,
        Err(AuthErrorKind::Denied)
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_dropped_and_the_next_request_has_a_new_one() {
    for (status, header, dropped) in [
        (401, "0", true),
        (200, "16", true),
        (403, "7", false),
        (200, "0", false),
    ] {
        let (source, _) = counting();
        let answers = service_fn(move |_: Request<&'static str>| async move {
            Response::builder()
                .status(status)
                .header("grpc-status", header)
                .body(())
        });
        let mut service = AuthorizationLayer::new(Arc::clone(&source)).layer(answers);
        let response = service
            .ready()
            .await
            .expect("ready")
            .call(request(SAFE))
            .await
            .expect("an answer");
        let used = response
            .extensions()
            .get::<Token>()
            .expect("the token that was used");
        assert_eq!(used.expose_secret(), "token-1");
        assert_eq!(source.cached().is_none(), dropped, "{status} {header}");
    }
}

/// A service that insists on being polled ready, each instance for itself.
#[derive(Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<&'static str>> for Strict {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<&'static str>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        std::future::ready(Ok(Response::new(())))
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_the_one_called() {
    let (source, _) = counting();
    let mut service = AuthorizationLayer::new(Arc::clone(&source)).layer(Strict::default());
    // The first has to wait for its token; meanwhile the second is made ready, and sent.
    let first = service.ready().await.expect("ready").call(request(SAFE));
    let second = service.ready().await.expect("ready").call(request(SAFE));
    second.await.expect("an answer");
    first.await.expect("an answer");
    assert!(source.cached().is_some());
    service
        .ready()
        .await
        .expect("ready")
        .call(request(SAFE))
        .await
        .expect("an answer, from the cache");
}

/// What reaches a service, and what the layer says, when one stack meets several origins.
async fn origins_met(
    layer: AuthorizationLayer,
    uris: &[&str],
) -> Vec<Result<String, (AuthErrorKind, String)>> {
    let service = layer.layer(service_fn(echo));
    let mut met = Vec::new();
    for uri in uris {
        // Clones of one service, as a client makes them.
        met.push(match service.clone().oneshot(request(uri)).await {
            Ok(response) => Ok(response.into_body()),
            Err(error) => {
                let error = error.downcast::<AuthError>().expect("of this crate");
                Err((error.kind(), error.to_string()))
            }
        });
    }
    met
}

#[tokio::test]
async fn a_token_goes_to_the_first_origin_and_to_no_other() {
    let there = "https://api.example.com/a";
    let met = origins_met(
        AuthorizationLayer::new(fixed()),
        &[
            there,
            "https://evil.example.com/",
            "https://api.example.com:8443/",
            "http://api.example.com/",
            "https://API.example.com:443/b",
        ],
    )
    .await;
    assert_eq!(met[0], Ok("Bearer a-token".into()));
    for other in &met[1..3] {
        let (kind, text) = other.as_ref().expect_err("another origin");
        assert_eq!(*kind, AuthErrorKind::ForeignOrigin);
        assert!(text.contains("https://api.example.com:443"), "{text}");
    }
    let (_, text) = met[1].as_ref().expect_err("another host");
    assert!(text.contains("https://evil.example.com:443"), "{text}");
    assert_eq!(
        met[3].as_ref().expect_err("plain").0,
        AuthErrorKind::Insecure
    );
    assert_eq!(met[4], Ok("Bearer a-token".into()), "the same origin");
}

#[tokio::test]
async fn a_refused_request_does_not_decide_where_tokens_go() {
    let uris = ["http://plain.example.com/", SAFE];
    let met = origins_met(AuthorizationLayer::new(fixed()), &uris).await;
    assert!(met[0].is_err());
    assert_eq!(met[1], Ok("Bearer a-token".into()));
    // A relative request went somewhere unknown: an absolute one may lead elsewhere.
    let layer = AuthorizationLayer::new(fixed()).allow_plaintext(true);
    let met = origins_met(layer, &["/relative", SAFE, "/relative"]).await;
    assert_eq!(met[0], Ok("Bearer a-token".into()));
    assert_eq!(
        met[1].as_ref().expect_err("elsewhere").0,
        AuthErrorKind::ForeignOrigin
    );
    assert_eq!(met[2], Ok("Bearer a-token".into()));
}

#[tokio::test]
async fn several_origins_may_be_named() {
    let uris = [
        "https://one.example.com/",
        "https://two.example.com/",
        "/relative",
        "https://three.example.com/",
        "three.example.com:443",
    ];
    let layer = || {
        AuthorizationLayer::new(fixed())
            .origin(&Uri::from_static("https://one.example.com"))
            .origin(&Uri::from_static("https://two.example.com:443/path"))
    };
    let met = origins_met(layer(), &uris).await;
    for own in &met[..3] {
        assert_eq!(*own, Ok("Bearer a-token".into()));
    }
    for other in &met[3..] {
        let (_, text) = other.as_ref().expect_err("not named");
        for name in ["one", "two", "three"] {
            assert!(text.contains(&format!("https://{name}.example.com:443")));
        }
    }
    let met = origins_met(layer().forward_other_origins(true), &uris).await;
    assert_eq!(met[1], Ok("Bearer a-token".into()));
    assert_eq!(met[3], Ok(String::new()), "without a token");
    // What is not an origin is not taken for permission to go anywhere.
    let layer = AuthorizationLayer::new(fixed()).origin(&Uri::from_static("one.example.com"));
    for met in origins_met(layer, &uris).await {
        met.expect_err("no origin at all");
    }
}
