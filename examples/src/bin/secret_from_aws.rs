//! A client secret in AWS Secrets Manager, picked up when it is rotated:
//! `cargo run -p examples --bin secret_from_aws -- SECRET_ID TOKEN_URL CLIENT_ID [SECONDS]`
//!
//! With credentials and region from the variables that AWS's own tools read; `AWS_ENDPOINT_URL`
//! leads elsewhere. Where AWS's SDK for Rust is at hand, its `get_secret_value` takes the place of
//! `get_secret_value` below, and nothing else changes. `examples/rotation/run` tries this program against a
//! Secrets Manager of its own, with rotations in the middle.

use std::env;
use std::time::{Duration, Instant};

use athena_auth::{
    AuthError, AuthErrorKind, ClientAuthentication, Network, OAuthClientCredentials, Secret,
    TokenSource,
};
use data_encoding::HEXLOWER;
use ring::{digest, hmac};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [secret_id, token_url, client_id, rest @ ..] = &arguments[..] else {
        return Err("usage: secret_from_aws SECRET_ID TOKEN_URL CLIENT_ID [SECONDS]".into());
    };
    let seconds = rest.first().map_or(Ok(0), |text| text.parse())?;

    let secret_id = secret_id.clone();
    let secret = move || {
        let secret_id = secret_id.clone();
        // Each read costs money: within five minutes only an endpoint that refuses the copy
        // brings about another one.
        async move {
            let secret = get_secret_value(&secret_id).await?;
            Ok(Secret::new(secret).valid_for(Duration::from_secs(300)))
        }
    };
    let source = OAuthClientCredentials::builder(client_id, ClientAuthentication::secret(secret))
        .token_url(token_url)
        .audience("crisp-athena-live")
        .build()?;

    // A hundred calls a second, to see that no rotation fails one.
    let started = Instant::now();
    let (mut calls, mut failures) = (0, 0);
    while calls == 0 || started.elapsed() < Duration::from_secs(seconds) {
        calls += 1;
        if let Err(error) = source.token().await {
            failures += 1;
            eprintln!("call {calls}: {error}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{calls} calls, {failures} failed");
    match failures {
        0 => Ok(()),
        _ => Err("calls failed".into()),
    }
}

/// The operation GetSecretValue.
async fn get_secret_value(secret_id: &str) -> Result<String, AuthError> {
    let variable = |name: &str| {
        env::var(name)
            .map_err(|_| AuthError::new(AuthErrorKind::Secret, format!("{name} is not set")))
    };
    let region = variable("AWS_REGION").or_else(|_| variable("AWS_DEFAULT_REGION"))?;
    let endpoint = variable("AWS_ENDPOINT_URL")
        .unwrap_or_else(|_| format!("https://secretsmanager.{region}.amazonaws.com"));
    let host = endpoint.split("://").nth(1).unwrap_or(&endpoint);
    let body = json!({ "SecretId": secret_id }).to_string();
    let now = OffsetDateTime::now_utc()
        .format(format_description!(
            "[year][month][day]T[hour][minute][second]Z"
        ))
        .map_err(|error| AuthError::new(AuthErrorKind::Secret, "no date").with_source(error))?;
    let mut headers = vec![
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("host", host.trim_end_matches('/').to_owned()),
        ("x-amz-date", now.clone()),
        ("x-amz-target", "secretsmanager.GetSecretValue".to_owned()),
    ];
    if let Ok(token) = variable("AWS_SESSION_TOKEN") {
        headers.insert(3, ("x-amz-security-token", token));
    }
    let authorization = Signer {
        key_id: &variable("AWS_ACCESS_KEY_ID")?,
        key: &variable("AWS_SECRET_ACCESS_KEY")?,
        region: &region,
        now: &now,
    }
    .sign(&headers, &body);

    let unavailable = || {
        AuthError::new(
            AuthErrorKind::Unavailable,
            "AWS Secrets Manager did not answer",
        )
    };
    let network = Network::builder().build().map_err(|error| {
        AuthError::new(AuthErrorKind::Secret, "no way to AWS Secrets Manager").with_source(error)
    })?;
    let http = network.http_client().await.build();
    let mut request = http
        .map_err(|error| unavailable().with_source(error))?
        .post(&endpoint)
        .header("authorization", authorization);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.body(body).send().await;
    let response = response.map_err(|error| unavailable().with_source(error))?;
    let status = response.status();
    let answer = response.bytes().await;
    let answer = answer.map_err(|error| unavailable().with_source(error))?;
    // A refusal names the secret, not its value.
    let value: Value = serde_json::from_slice(&answer).unwrap_or_default();
    match value["SecretString"].as_str() {
        Some(secret) => Ok(secret.to_owned()),
        None if status.is_server_error() => Err(unavailable()),
        None => Err(AuthError::new(
            AuthErrorKind::Secret,
            format!("AWS Secrets Manager has no such secret for us: {status}"),
        )),
    }
}

/// AWS's signature, version 4.
struct Signer<'a> {
    key_id: &'a str,
    key: &'a str,
    region: &'a str,
    now: &'a str,
}

impl Signer<'_> {
    /// The `authorization` header for a POST to `/`; the headers are in the order of their names.
    fn sign(&self, headers: &[(&str, String)], body: &str) -> String {
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let request = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(body));
        let day = &self.now[..8];
        let scope = format!("{day}/{}/secretsmanager/aws4_request", self.region);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.now,
            sha256(&request)
        );
        let mut key = format!("AWS4{}", self.key).into_bytes();
        for part in [day, self.region, "secretsmanager", "aws4_request", &text] {
            let part_of_key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&part_of_key, part.as_bytes()).as_ref().to_vec();
        }
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.key_id,
            HEXLOWER.encode(&key)
        )
    }
}

fn sha256(text: &str) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}
