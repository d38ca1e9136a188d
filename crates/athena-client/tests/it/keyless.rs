//! Every way for a client to show who it is, against the emulator's token endpoint, which verifies
//! each for real; and what is refused, with an error that says why.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use athena_client::Client;
use athena_client::auth::{
    AuthError, AuthErrorKind, ClientAuthentication, Identity, JwtAssertion, OAuthClientCredentials,
    Secret, SecretFile, SigningAlgorithm, TokenSource,
};
use athena_emulator::{ClientConfig, Emulator, RateLimit};
use rcgen::{CertificateParams, KeyPair};

use crate::support::{hash, start};

fn key(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    std::fs::read_to_string(folder.join(name)).expect(name)
}

async fn emulator(client: ClientConfig) -> Emulator {
    start(Emulator::builder().client(client.affiliate("acme"))).await
}

fn source(
    emulator: &Emulator,
    authentication: impl Into<ClientAuthentication>,
) -> OAuthClientCredentials {
    OAuthClientCredentials::builder("keyless", authentication)
        .token_url(emulator.token_url())
        .audience(emulator.audience())
        .ca_certificate(emulator.ca_pem())
        .build()
        .expect("good settings")
}

async fn refused(
    emulator: &Emulator,
    authentication: impl Into<ClientAuthentication>,
) -> AuthError {
    let error = source(emulator, authentication).token().await;
    let error = error.expect_err("refused");
    assert_eq!(error.kind(), AuthErrorKind::Denied, "{error:?}");
    assert_eq!(error.oauth_code(), Some("invalid_client"), "{error:?}");
    error
}

#[tokio::test]
async fn a_private_key_in_every_form_signs_for_its_owner() {
    let pems = ClientConfig::keyless("keyless")
        .key(key("rsa-public.pem"))
        .key(key("p256-public.pem"))
        .key(key("ed25519-public.pem"));
    let set = ClientConfig::keyless("keyless").key(key("public.jwks"));
    for registered in [pems, set] {
        let emulator = emulator(registered).await;
        for name in [
            "rsa.pem",
            "rsa-pkcs1.pem",
            "rsa.jwk",
            "p256.pem",
            "p256-sec1.pem",
            "p256.jwk",
            "ed25519.pem",
            "ed25519.jwk",
        ] {
            let source = source(&emulator, JwtAssertion::private_key_jwt(key(name)));
            source.token().await.expect(name);
        }
        for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Ps256] {
            let assertion = JwtAssertion::private_key_jwt(key("rsa.pem")).algorithm(algorithm);
            source(&emulator, assertion).token().await.expect("RSA");
        }
        let issuer = emulator.token_url().replace("oauth/token", "");
        let assertion = JwtAssertion::private_key_jwt(key("p256.pem")).audience(issuer);
        source(&emulator, assertion).token().await.expect("issuer");
    }
}

#[tokio::test]
async fn the_service_takes_what_a_signed_assertion_was_exchanged_for() {
    let emulator = emulator(ClientConfig::keyless("keyless").key(key("p256-public.pem"))).await;
    let client = Client::builder()
        .endpoint(emulator.endpoint())
        .ca_certificate(emulator.ca_pem())
        .affiliate("acme")
        .token_source(source(
            &emulator,
            JwtAssertion::private_key_jwt(key("p256.pem")),
        ))
        .build()
        .expect("a client");
    client.classify(hash(1)).await.expect("a verdict");
}

#[tokio::test]
async fn a_client_secret_signs_and_stays_at_home() {
    let emulator = emulator(ClientConfig::new("keyless", "the-secret")).await;
    let own = source(&emulator, JwtAssertion::client_secret_jwt("the-secret"));
    own.token().await.expect("a token");
    let error = refused(&emulator, JwtAssertion::client_secret_jwt("another")).await;
    assert!(error.to_string().contains("not signed by a key"), "{error}");
    // Nobody without a secret can sign with an empty one.
    let emulator =
        self::emulator(ClientConfig::keyless("keyless").key(key("p256-public.pem"))).await;
    refused(&emulator, JwtAssertion::client_secret_jwt("guess")).await;
}

#[tokio::test]
async fn what_is_wrong_with_an_assertion_is_named() {
    let emulator = emulator(ClientConfig::keyless("keyless").key(key("public.jwks"))).await;
    let wrong = KeyPair::generate().expect("a key").serialize_pem();
    for (assertion, cause) in [
        (
            JwtAssertion::private_key_jwt(wrong.clone()),
            "not signed by a key",
        ),
        (
            JwtAssertion::private_key_jwt(key("p256.pem")).key_id("of-last-year"),
            "not signed by a key",
        ),
        (
            JwtAssertion::private_key_jwt(key("p256.pem")).audience("https://elsewhere.example"),
            "another audience",
        ),
    ] {
        let error = refused(&emulator, assertion).await;
        assert!(error.to_string().contains(cause), "{error}");
    }
    // Assertions that somebody else made: one that was used, one of yesterday, one of tomorrow.
    let assertion = signed(&emulator, 0);
    let handed_on = || ClientAuthentication::assertion(assertion.clone());
    source(&emulator, handed_on()).token().await.expect("new");
    let error = refused(&emulator, handed_on()).await;
    assert!(error.to_string().contains("used before"), "{error}");
    for offset in [-86_400, 86_400] {
        let error = refused(
            &emulator,
            ClientAuthentication::assertion(signed(&emulator, offset)),
        )
        .await;
        assert!(
            error.to_string().contains("not valid at this time"),
            "{error}"
        );
    }
}

/// An assertion by the P-256 key, made this many seconds from now, with the library's own clock
/// taken out of it: written and signed here.
fn signed(emulator: &Emulator, offset: i64) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use ring::signature::Ed25519KeyPair;
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use rustls_pki_types::pem::PemObject;

    let pem = key("ed25519.pem");
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).expect("a key");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_secs()).expect("small") + offset;
    let claims = format!(
        r#"{{"iss":"keyless","sub":"keyless","aud":"{}","jti":"{offset}","iat":{now},"exp":{}}}"#,
        emulator.token_url(),
        now + 60
    );
    let header = r#"{"alg":"EdDSA","kid":"ed-1"}"#;
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    format!("{message}.{}", BASE64.encode(pair.sign(message.as_bytes())))
}

#[tokio::test]
async fn a_workload_token_from_a_file_or_a_callback_is_handed_on() {
    let emulator =
        Arc::new(emulator(ClientConfig::keyless("keyless").key(key("public.jwks"))).await);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{}\n", signed(&emulator, 1))).expect("written");
    let in_file = source(
        &emulator,
        ClientAuthentication::assertion(SecretFile::new(&path)),
    );
    in_file.token().await.expect("from the file");

    let signer = Arc::clone(&emulator);
    let callback = move || {
        let assertion = signed(&signer, 2);
        async move { Ok(Secret::new(assertion)) }
    };
    let called = source(&emulator, ClientAuthentication::assertion(callback));
    called.token().await.expect("from the callback");
}

#[tokio::test]
async fn a_key_that_was_replaced_is_used_without_a_restart() {
    let new = KeyPair::generate().expect("a key");
    let emulator = emulator(ClientConfig::keyless("keyless").key(new.public_key_pem())).await;
    // The store already has the new key; the copy that is good for an hour is the old one.
    let store = Arc::new(Mutex::new(vec![new.serialize_pem(), key("p256.pem")]));
    let keys = move || {
        let pem = store.lock().expect("no panic").pop().expect("asked twice");
        async move { Ok(Secret::new(pem).valid_for(Duration::from_secs(3600))) }
    };
    let source = source(&emulator, JwtAssertion::private_key_jwt(keys));
    source.token().await.expect("with the new key");
    assert_eq!(source.usage().requests, 2);
}

#[tokio::test]
async fn a_certificate_authenticates_and_may_be_renewed() {
    let make = || {
        let pair = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["client.example".into()]).expect("a name");
        let certificate = params.self_signed(&pair).expect("a certificate");
        (certificate.pem(), pair.serialize_pem())
    };
    let (first, renewed, strange) = (make(), make(), make());
    let emulator = emulator(
        ClientConfig::keyless("keyless")
            .certificate(first.0.as_str())
            .certificate(renewed.0.as_str()),
    )
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, private) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let put = |(chain, key): &(String, String)| {
        std::fs::write(&certificate, chain).expect("written");
        std::fs::write(&private, key).expect("written");
    };
    put(&first);
    let identity = Identity::from_files(&certificate, &private).expect("a pair");
    let source = source(&emulator, ClientAuthentication::certificate(identity));
    let token = source.token().await.expect("the first certificate");
    source.invalidate(&token);
    put(&renewed);
    let token = source.token().await.expect("the renewed one");
    source.invalidate(&token);
    put(&strange);
    let error = source.token().await.expect_err("not registered");
    assert_eq!(error.oauth_code(), Some("invalid_client"));
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn an_endpoint_tells_of_its_quota() {
    let limit = RateLimit {
        requests: 2,
        per: Duration::from_secs(3600),
    };
    let client = ClientConfig::new("keyless", "the-secret");
    let emulator = start(Emulator::builder().client(client).token_rate_limit(limit)).await;
    let source = source(&emulator, "the-secret");
    let token = source.token().await.expect("the first");
    let quota = |name: &str| {
        let told = source.usage().quota;
        let found = told.into_iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value)
    };
    assert_eq!(quota("x-ratelimit-remaining").as_deref(), Some("1"));
    let auth0 = quota("auth0-client-quota-limit").expect("told");
    assert!(auth0.contains(";q=2;r=1;"), "{auth0}");
    source.invalidate(&token);
    let token = source.token().await.expect("the second");
    source.invalidate(&token);
    let error = source.token().await.expect_err("no third");
    assert_eq!(error.kind(), AuthErrorKind::RateLimited);
    assert_eq!(quota("x-ratelimit-remaining").as_deref(), Some("0"));
}
