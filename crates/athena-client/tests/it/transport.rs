//! Ways to the service, and what is said when there is none.

use std::error::Error as _;
use std::time::Duration;

use athena_client::auth::Static;
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
    let emulator = start(Emulator::builder().plain_token_endpoint()).await;
    let proxy = ConnectProxy::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, emulator.ca_pem()).unwrap();
    // Variables belong to a process, so another one is made: this program, for one test.
    let call = async |no_proxy: &str| {
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
            .env("TEST_CA", &ca)
            .env("HTTPS_PROXY", format!("http://{}", proxy.address))
            .env("NO_PROXY", no_proxy)
            .stdout(std::process::Stdio::null())
            .status()
            .await
            .unwrap();
        assert!(status.success());
    };
    call("").await;
    assert_eq!(proxy.requests().len(), 1);
    call("localhost").await;
    assert_eq!(
        proxy.requests().len(),
        1,
        "no further connection through the proxy"
    );
}

#[tokio::test]
#[ignore = "run by the_environment_names_service_account_and_proxy, in an environment of its own"]
async fn call_as_the_environment_says() {
    let ca = std::fs::read(std::env::var_os("TEST_CA").unwrap()).unwrap();
    let client = athena_client::ClientBuilder::from_env()
        .unwrap()
        .ca_certificate(ca)
        .build()
        .unwrap();
    client.classify(hash(1)).await.unwrap();
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
