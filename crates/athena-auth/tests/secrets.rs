//! No secret in any log event, debug output or error, at any level, of any crate involved.
#![cfg(feature = "oauth")]

mod support;

use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_auth::{
    AuthorizationLayer, OAuthBuilder, OAuthClientCredentials, Static, Token, TokenSource,
};
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{Endpoint, Reply, answer, json, token};
use tower::{Layer, ServiceExt};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

const SECRET: &str = "Secret/With+Signs";
const TOKEN: &str = "TokenTokenToken.Payload-Payload.Signature_Signature";

/// Every form in which the secret or the token travels.
const NEEDLES: [&str; 6] = [
    SECRET,
    "Secret%2FWith%2BSigns",
    // base64 of the-id:Secret%2FWith%2BSigns, from a place where it is aligned.
    "U2VjcmV0JTJG",
    "Signs",
    "TokenToken",
    "Signature_",
];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps all that a value shows of itself, sources included.
fn show(shown: &mut String, value: &dyn Debug) {
    writeln!(shown, "{value:?}\n{value:#?}").expect("a string");
}

fn show_error(shown: &mut String, error: &dyn std::error::Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        writeln!(shown, "{error}\n{error:?}\n{error:#?}").expect("a string");
        next = error.source();
    }
}

fn builder(endpoint: &Endpoint) -> OAuthBuilder {
    OAuthClientCredentials::builder("the-id", SECRET)
        .token_url(endpoint.url())
        .audience("an-audience")
        .ca_certificate(endpoint.ca_pem())
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged_or_shown() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish()
        .init();
    let mut shown = String::new();

    // Success, in both ways to authenticate; a refresh; a rejection.
    let endpoint = Endpoint::start(|_| token(TOKEN, 60)).await;
    for builder in [builder(&endpoint), builder(&endpoint).basic_auth()] {
        show(&mut shown, &builder);
        let source = builder.build().expect("good settings");
        let token = source.token().await.expect("a token");
        show(&mut shown, &token);
        show(&mut shown, &source);
        tokio::time::sleep(Duration::from_secs(50)).await;
        source.token().await.expect("a token");
        source.invalidate(&token);
        show(&mut shown, &Static::new(token));
    }

    // Every kind of failure, with bodies and headers that echo all they can.
    let echo = format!(
        r#"{{"error":"{SECRET}","error_description":"{SECRET} {TOKEN}","access_token":["{TOKEN}"]}}"#
    );
    let location = format!("location: https://localhost/?{SECRET}{TOKEN}");
    for reply in [
        json(400, &echo),
        json(
            401,
            &format!(r#"{{"error":"invalid_client","error_description":"{SECRET}"}}"#),
        ),
        json(200, &echo),
        json(200, &format!(r#"{{"access_token":"{TOKEN}","#)),
        json(200, &format!(r#"{{"access_token":"{TOKEN}\n{TOKEN}"}}"#)),
        json(
            200,
            &format!(r#"{{"access_token":"{TOKEN}","expires_in":0}}"#),
        ),
        json(
            200,
            &format!(r#"{{"access_token":"{TOKEN}","token_type":"a {SECRET}"}}"#),
        ),
        answer(200, &["content-type: text/html"], &echo),
        answer(302, &[&location], &echo),
        answer(503, &["retry-after: 3600"], &echo),
        answer(404, &[], &echo),
        Reply::Reset,
        Reply::Hang,
    ] {
        let endpoint = Endpoint::start(move |_| reply.clone()).await;
        let source = builder(&endpoint).build().expect("good settings");
        show_error(&mut shown, &source.token().await.expect_err("a failure"));
    }
    // A URL may hold something that is nobody's business.
    for reply in [Reply::Reset, Reply::Hang, answer(500, &[], "")] {
        let endpoint = Endpoint::start(move |_| reply.clone()).await;
        let builder = builder(&endpoint).token_url(format!("{}?key={TOKEN}", endpoint.url()));
        let source = builder.build().expect("good settings");
        show_error(&mut shown, &source.token().await.expect_err("a failure"));
    }
    for url in [
        format!("https://user:{SECRET}@example.com/"),
        format!("http://example.com/?{TOKEN}"),
    ] {
        let refused = builder(&endpoint).token_url(url).build();
        show_error(&mut shown, &refused.expect_err("a bad URL"));
    }
    let refused = builder(&endpoint).proxy(format!("http://user:{SECRET}@"));
    show_error(&mut shown, &refused.build().expect_err("no proxy"));

    // A request with the token on it.
    let api = Endpoint::start_plain(|_| answer(401, &[], "")).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let layer = AuthorizationLayer::new(Static::new(Token::bearer(TOKEN).expect("a good token")));
    show(&mut shown, &layer);
    let service = layer.layer(client);
    show(&mut shown, &service);
    let response = service
        .oneshot(
            Request::get(api.url())
                .body(String::new())
                .expect("a request"),
        )
        .await
        .expect("an answer");
    show(&mut shown, &response);

    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    for source in ["athena_auth::", "hyper_util::", "reqwest::"] {
        assert!(log.contains(source), "nothing was logged by {source}");
    }
    for needle in NEEDLES {
        for text in [&log, &shown] {
            let line = text.lines().find(|line| line.contains(needle));
            assert_eq!(line, None, "{needle} was shown");
        }
    }
}
