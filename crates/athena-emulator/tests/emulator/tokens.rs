//! The token endpoint.

use std::time::Duration;

use athena_emulator::{ClientConfig, Emulator, RateLimit};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{client_with, http};

async fn emulator() -> Emulator {
    let client = ClientConfig::new("id", "s3cr:t&x")
        .scope("read")
        .scope("write")
        .affiliate("acme");
    Emulator::builder()
        .client(client)
        .client(ClientConfig::new("other", "thing"))
        .token_lifetime(Duration::from_secs(90))
        .start()
        .await
        .unwrap()
}

fn parameters(emulator: &Emulator) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "client_credentials"),
        ("client_id", emulator.client_id()),
        ("client_secret", emulator.client_secret()),
        ("audience", emulator.audience()),
    ]
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status(), response.json().await.unwrap())
}

fn claims(answer: &Value) -> Value {
    let token = answer["access_token"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD
        .decode(token.split('.').nth(1).unwrap())
        .unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn form_json_and_basic_requests_get_a_token_that_the_service_takes() {
    let emulator = emulator().await;
    let http = http(&emulator);
    let form = http.post(emulator.token_url()).form(&parameters(&emulator));
    let object: std::collections::HashMap<_, _> = parameters(&emulator).into_iter().collect();
    let json = http.post(emulator.token_url()).json(&object);
    let basic = http
        .post(emulator.token_url())
        .basic_auth("id", Some("s3cr%3At%26x"))
        .form(&[
            ("grant_type", "client_credentials"),
            ("audience", emulator.audience()),
        ]);
    for request in [form, json, basic] {
        let (status, answer) = answer(request).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 90);
        assert_eq!(answer["scope"], "read write");
        let claims = claims(&answer);
        assert_eq!(claims["aud"], emulator.audience());
        assert_eq!(
            claims["iss"],
            emulator.token_url().replace("oauth/token", "")
        );
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            90
        );
        let token = answer["access_token"].as_str().unwrap();
        client_with(&emulator, &format!("Bearer {token}"))
            .await
            .list_deployments(())
            .await
            .unwrap();
    }
}

/// As the public clients ask, read from their code: Python and .NET post JSON, and .NET reads no
/// answer without `scope`; Node.js (openid-client) posts a form, with a scope where one is set.
#[tokio::test]
async fn the_requests_of_the_public_clients_get_what_each_of_them_needs() {
    let emulator = Emulator::builder().start().await.unwrap();
    let http = http(&emulator);
    let python_and_dotnet = http.post(emulator.token_url()).json(&json!({
        "client_id": emulator.client_id(),
        "client_secret": emulator.client_secret(),
        "audience": emulator.audience(),
        "grant_type": "client_credentials",
    }));
    let mut with_scope = parameters(&emulator);
    let node = http.post(emulator.token_url()).form(&with_scope);
    with_scope.push(("scope", "manage:classify"));
    let node_with_scope = http.post(emulator.token_url()).form(&with_scope);
    for request in [python_and_dotnet, node, node_with_scope] {
        let (status, answer) = answer(request).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["scope"], "manage:classify");
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 3600);
        assert!(answer["access_token"].is_string());
        assert_eq!(claims(&answer)["scope"], "manage:classify");
    }
}

#[tokio::test]
async fn errors_have_the_bodies_of_rfc_6749() {
    let emulator = emulator().await;
    let http = http(&emulator);
    let with = |name: &'static str, value: &'static str| {
        let mut parameters = parameters(&emulator);
        parameters.retain(|(n, _)| *n != name);
        parameters.push((name, value));
        parameters
    };
    let twice = [parameters(&emulator), vec![("audience", "again")]].concat();
    let cases = [
        (with("client_secret", "wrong"), 401, "invalid_client"),
        (with("client_id", "nobody"), 401, "invalid_client"),
        (with("client_secret", ""), 400, "invalid_request"),
        (
            with("grant_type", "password"),
            400,
            "unsupported_grant_type",
        ),
        (with("grant_type", ""), 400, "invalid_request"),
        (with("scope", "read admin"), 400, "invalid_scope"),
        (with("audience", "elsewhere"), 403, "access_denied"),
        (with("audience", ""), 403, "access_denied"),
        (twice, 400, "invalid_request"),
    ];
    for (parameters, status, error) in cases {
        let (actual, body) = answer(http.post(emulator.token_url()).form(&parameters)).await;
        assert_eq!(
            (actual.as_u16(), &body["error"]),
            (status, &json!(error)),
            "{body}"
        );
        let description = body["error_description"].as_str().unwrap();
        assert!(!description.contains("s3cr"), "{description}");
    }
    let (_, body) = answer(
        http.post(emulator.token_url())
            .body("x")
            .header("content-type", "text/plain"),
    )
    .await;
    assert_eq!(body["error"], "invalid_request");
    let both = http
        .post(emulator.token_url())
        .basic_auth("id", Some("x"))
        .form(&parameters(&emulator));
    assert_eq!(answer(both).await.1["error"], "invalid_request");

    // A challenge is for those who authenticate by header; client libraries trip over others.
    let wrong = [("grant_type", "client_credentials")];
    let basic = http
        .post(emulator.token_url())
        .basic_auth("id", Some("x"))
        .form(&wrong)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            basic.status(),
            basic.headers().contains_key("www-authenticate")
        ),
        (StatusCode::UNAUTHORIZED, true)
    );
    let body = http
        .post(emulator.token_url())
        .form(&with("client_secret", "x"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            body.status(),
            body.headers().contains_key("www-authenticate")
        ),
        (StatusCode::UNAUTHORIZED, false)
    );
    assert_eq!(emulator.stats().tokens_granted, 0);
}

#[tokio::test]
async fn clients_need_an_id_of_their_own_and_a_secret() {
    for clients in [
        [("a", "1"), ("a", "2")],
        [("a", "1"), ("b", "")],
        [("", "1"), ("b", "2")],
    ] {
        let [first, second] = clients.map(|(id, secret)| ClientConfig::new(id, secret));
        let error = Emulator::builder()
            .client(first)
            .client(second)
            .start()
            .await
            .unwrap_err();
        assert_eq!(
            error.kind(),
            athena_emulator::EmulatorErrorKind::Setting,
            "{error}"
        );
    }
}

#[tokio::test]
async fn discovery_leads_to_the_token_endpoint_and_the_key_that_signed() {
    let emulator = emulator().await;
    let http = http(&emulator);
    let issuer = emulator.token_url().replace("oauth/token", "");
    for path in [
        ".well-known/openid-configuration",
        ".well-known/oauth-authorization-server",
    ] {
        let discovery: Value = http
            .get(format!("{issuer}{path}"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(discovery["issuer"], issuer);
        assert_eq!(discovery["token_endpoint"], emulator.token_url());
        let keys: Value = http
            .get(discovery["jwks_uri"].as_str().unwrap())
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let public = URL_SAFE_NO_PAD
            .decode(keys["keys"][0]["x"].as_str().unwrap())
            .unwrap();
        let token = emulator.mint(athena_emulator::TokenKind::Valid).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public)
            .verify(
                message.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .unwrap();
        let header = URL_SAFE_NO_PAD
            .decode(message.split('.').next().unwrap())
            .unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header["kid"], keys["keys"][0]["kid"]);
    }
}

#[tokio::test]
async fn too_many_requests_of_one_client_get_429_and_a_time_to_wait() {
    let emulator = Emulator::builder()
        .client(ClientConfig::new("id", "secret"))
        .client(ClientConfig::new("other", "thing"))
        .token_rate_limit(RateLimit {
            requests: 2,
            per: Duration::from_secs(3600),
        })
        .start()
        .await
        .unwrap();
    let http = http(&emulator);
    let ask = || {
        http.post(emulator.token_url())
            .form(&parameters(&emulator))
            .send()
    };
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    let others = [
        ("grant_type", "client_credentials"),
        ("client_id", "other"),
        ("client_secret", "thing"),
        ("audience", emulator.audience()),
    ];
    let other = http
        .post(emulator.token_url())
        .form(&others)
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), StatusCode::OK, "the limit is per client");
    let stats = emulator.stats();
    assert_eq!((stats.tokens_granted, stats.tokens_refused), (3, 1));
}

#[tokio::test]
async fn a_plain_token_endpoint_needs_no_ca() {
    let emulator = Emulator::builder()
        .plain_token_endpoint()
        .start()
        .await
        .unwrap();
    assert!(emulator.token_url().starts_with("http://"));
    let response = reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .unwrap()
        .post(emulator.token_url())
        .form(&parameters(&emulator))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
