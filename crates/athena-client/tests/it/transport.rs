//! Ways to the service, and what is said when there is none.

use std::error::Error as _;
use std::time::Duration;

use athena_client::auth::{OAuthClientCredentials, Static};
use athena_client::{Client, Delivery, ErrorKind};
use athena_emulator::{Emulator, TokenKind};
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;

use crate::doors::{ConnectProxy, MutualTls, Sidecar};
use crate::relay::{Mode, Relay};
use crate::support::{builder, emulator, hash, hasty, start};

#[tokio::test]
async fn an_unknown_authority_is_not_trusted_and_the_remedy_is_named() {
    let emulator = emulator().await;
    let token = Static::bearer(emulator.mint(TokenKind::Valid).unwrap()).unwrap();
    let strict = Client::builder()
        .endpoint(emulator.endpoint())
        .token_source(token)
        .no_proxy()
        .build()
        .unwrap();
    let error = strict.classify(hash(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.to_string().contains("ca_certificate"), "{error}");

    // A session does not wait for what cannot come.
    let session = hasty(&strict).open().unwrap();
    let error = session.submit(hash(2)).await.unwrap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn the_certificate_must_cover_the_expected_name() {
    let emulator = emulator().await;
    let expecting = |name: &str| builder(&emulator).server_name(name).build().unwrap();
    let error = expecting("elsewhere.test")
        .list_deployments()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("host name"), "{error}");
    expecting("127.0.0.1").list_deployments().await.unwrap();
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_a_connect_error() {
    let emulator = emulator().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", free.local_addr().unwrap().port());
    drop(free);
    let nowhere = builder(&emulator).endpoint(&endpoint).build().unwrap();
    let error = nowhere.classify(hash(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.to_string().contains("localhost"), "{error}");
    assert!(error.is_transient());

    // A session that never reached anything gives up soon, rather than at the images' deadline.
    let session = hasty(&nowhere).open().unwrap();
    let error = session.submit(hash(2)).await.unwrap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_a_timeout() {
    let emulator = emulator().await;
    let relay = Relay::to(emulator.host()).await;
    relay.set(Mode::Stall);
    let client = builder(&emulator)
        .endpoint(relay.endpoint())
        .connect_timeout(Duration::from_millis(100))
        .timeout(Duration::from_millis(350))
        .build()
        .unwrap();
    let error = client.classify(hash(1)).await.unwrap_err();
    let kinds = [ErrorKind::Connect, ErrorKind::Timeout];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_server_without_http2_is_recognised() {
    // The token endpoint speaks HTTP/1.1 over the same certificate.
    let emulator = emulator().await;
    let url: http::Uri = emulator.token_url().parse().unwrap();
    let wrong = format!("https://{}", url.authority().unwrap());
    let client = builder(&emulator).endpoint(wrong).build().unwrap();
    let error = client.list_deployments().await.unwrap_err();
    assert!(
        [ErrorKind::Tls, ErrorKind::Protocol].contains(&error.kind()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_channel_of_the_callers_own_carries_calls_and_sessions() {
    let emulator = emulator().await;
    let sidecar = Sidecar::before(emulator.host(), emulator.ca_pem()).await;
    let channel = tonic::transport::Endpoint::from_shared(sidecar.endpoint())
        .unwrap()
        .connect_lazy();
    let client = builder(&emulator).service(channel).build().unwrap();
    client.classify(hash(1)).await.unwrap();
    let images = stream::iter((0..50).map(|number| (number, hash(number))));
    let results: Vec<_> = client.classify_all(images).collect().await;
    assert!(results.iter().all(|(_, result)| result.is_ok()));
}

#[tokio::test]
async fn calls_and_streams_pass_through_a_connect_proxy() {
    let emulator = emulator().await;
    let proxy = ConnectProxy::start().await;
    // The name exists for the proxy alone.
    let client = builder(&emulator)
        .endpoint(emulator.endpoint().replace("localhost", "athena.test"))
        .server_name("localhost")
        .proxy(format!("http://user:hunter2@{}", proxy.address))
        .build()
        .unwrap();
    client.classify(hash(1)).await.unwrap();
    let session = client.session().open().unwrap();
    session.submit(hash(2)).await.unwrap().await.unwrap();
    session.close().await.unwrap();
    let requests = proxy.requests();
    assert_eq!(
        requests.len(),
        2,
        "one connection for calls, one for the stream"
    );
    for request in requests {
        assert!(request.starts_with("CONNECT athena.test:"), "{request}");
        // user:hunter2 in base64, for the proxy only.
        assert!(
            request
                .to_lowercase()
                .contains("proxy-authorization: basic dxnlcjpodw50zxiy")
        );
    }
    let shown = format!("{client:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn the_environment_names_service_account_and_proxy() {
    let emulator = start(Emulator::builder().subject_name("athena.test")).await;
    let proxy = ConnectProxy::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, emulator.ca_pem()).unwrap();
    // Names that exist for the proxy alone.
    let (service, token_url) = (emulator.endpoint(), emulator.token_url());
    let elsewhere = |url: &str| url.replace("localhost", "athena.test");
    // Variables belong to a process, so another one is made: this program, for one test.
    let call = async |service: &str, token_url: &str, variables: &[(&str, &str)]| {
        let status = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "transport::call_as_the_environment_says",
                "--ignored",
            ])
            .envs(
                emulator
                    .environment(&ca)
                    .lines()
                    .filter_map(|line| line.split_once('=')),
            )
            .env("ATHENA_HOST", service)
            .env("OAUTH_AUTH_URL", token_url)
            .env("ATHENA_CA_FILE", &ca)
            .env_remove("SSL_CERT_FILE")
            .envs(variables.iter().copied())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .await
            .unwrap();
        (status.success(), proxy.requests().len())
    };
    let address = format!("http://{}", proxy.address);
    let named: [(&str, &str); 1] = [("HTTPS_PROXY", &address)];
    let (far_service, far_url) = (elsewhere(&service), elsewhere(token_url));
    let reached = call(&far_service, &far_url, &named).await;
    assert_eq!(reached, (true, 2), "the token endpoint, and the service");
    let reached = call(&service, token_url, &named).await;
    assert_eq!(reached, (true, 2), "never to this machine's loopback");
    let all: [(&str, &str); 1] = [("ALL_PROXY", &address)];
    let reached = call(&service, token_url, &all).await;
    assert_eq!(reached, (true, 2), "nor as ALL_PROXY says");
    let garbage: [(&str, &str); 1] = [("HTTPS_PROXY", "ftp://proxy")];
    let reached = call(&service, token_url, &garbage).await;
    assert_eq!(reached, (false, 2), "a proxy that is none is an error");
}

#[tokio::test]
#[ignore = "run by the_environment_names_service_account_and_proxy, in an environment of its own"]
async fn call_as_the_environment_says() {
    let client = athena_client::ClientBuilder::from_env()
        .unwrap()
        .build()
        .unwrap();
    client.classify(hash(1)).await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_is_no_passing_trouble() {
    let emulator = emulator().await;
    let proxy = ConnectProxy::refusing("407 Proxy Authentication Required").await;
    let client = builder(&emulator)
        .proxy(format!("http://{}", proxy.address))
        .build()
        .unwrap();
    let error = client.list_deployments().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(!error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("credentials"), "{error}");
    assert_eq!(proxy.requests().len(), 1, "asked once");
}

#[tokio::test]
async fn the_token_endpoint_is_reached_as_the_service_is() {
    let emulator = emulator().await;
    let proxy = ConnectProxy::start().await;
    let credentials =
        OAuthClientCredentials::builder(emulator.client_id(), emulator.client_secret())
            .token_url(emulator.token_url())
            .audience(emulator.audience());
    let client = Client::builder()
        .endpoint(emulator.endpoint())
        .affiliate(emulator.affiliate())
        .credentials(credentials)
        .ca_certificate(emulator.ca_pem())
        .proxy(format!("http://{}", proxy.address))
        .build()
        .unwrap();
    client.classify(hash(1)).await.unwrap();
    assert_eq!(proxy.requests().len(), 2);
}

#[test]
fn a_proxy_that_is_none_is_refused_at_build() {
    for proxy in [
        "",
        "not a proxy",
        "http://",
        "ftp://proxy:3128",
        "socks5://proxy:1080",
        "http://proxy:99999",
        "http://user:hunter2@",
    ] {
        let error = Client::builder().proxy(proxy).build().unwrap_err();
        assert_eq!(error.setting(), "proxy", "{proxy}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let emulator = emulator().await;
    let nobody = Relay::to(emulator.host()).await;
    nobody.set(Mode::Refuse);
    let address = nobody.endpoint().replace("https://", "");
    let client = builder(&emulator)
        .proxy(format!("http://user:hunter2@{address}"))
        .build()
        .unwrap();
    let error = client.list_deployments().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    let text = format!("{error} {error:?}");
    assert!(text.contains("proxy") && text.contains(&address), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_server_may_demand_a_certificate() {
    let emulator = emulator().await;
    let door = MutualTls::before(emulator.host(), emulator.ca_pem()).await;
    let at_the_door = || {
        builder(&emulator)
            .endpoint(door.endpoint())
            .ca_certificate(&door.ca)
    };
    let stranger = at_the_door().build().unwrap();
    let error = stranger.list_deployments().await.unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Timeout, "{error:?}");
    let guest = at_the_door()
        .identity(&door.certificate, &door.key)
        .build()
        .unwrap();
    guest.list_deployments().await.unwrap();
    let session = guest.session().open().unwrap();
    session.submit(hash(1)).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn keys_and_certificates_that_do_not_fit_are_refused_at_build() {
    let error = Client::builder().identity("no", "pem").build().unwrap_err();
    assert_eq!(error.setting(), "identity");
    let error = Client::builder()
        .ca_certificate("no pem")
        .build()
        .unwrap_err();
    assert_eq!(error.setting(), "ca_certificate");
}

#[tokio::test]
async fn errors_chain_without_repeating_themselves() {
    let emulator = emulator().await;
    let token = Static::bearer(emulator.mint(TokenKind::Valid).unwrap()).unwrap();
    let client = builder(&emulator).token_source(token).build().unwrap();
    emulator.shutdown().await;
    let error = client.list_deployments().await.unwrap_err();
    let (text, source) = (error.to_string(), error.source());
    assert!(source.is_none_or(|source| !text.contains(&source.to_string())));
}
