//! What can be seen of the emulator from outside.

use athena_emulator::{Emulator, RecordedInput, TokenKind};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{
    FRAME, Session, channel, client, client_with, frame, hash_input, http, input,
};

async fn get(emulator: &Emulator, path: &str) -> Value {
    let response = http(emulator)
        .get(format!("{}{path}", emulator.admin_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

async fn post(emulator: &Emulator, path: &str) -> StatusCode {
    http(emulator)
        .post(format!("{}{path}", emulator.admin_url()))
        .send()
        .await
        .unwrap()
        .status()
}

#[tokio::test]
async fn stats_count_what_came_and_how_it_was_answered() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut grpc = client(&emulator).await;
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![]).await;
    session
        .send(vec![
            input(&emulator, "a", frame(1)),
            hash_input(&emulator, "b"),
            input(&emulator, "c", vec![1]),
        ])
        .await;
    session.outputs(3).await;
    let mut request = tonic::Request::new(());
    request
        .metadata_mut()
        .insert("x-client-language", "rust".parse().unwrap());
    request
        .metadata_mut()
        .insert("x-client-version", "athena-rust-client/1".parse().unwrap());
    grpc.list_deployments(request).await.unwrap();

    let stats = get(&emulator, "/stats").await;
    assert_eq!(stats["calls"], json!({"Classify": 1, "ListDeployments": 1}));
    assert_eq!(
        (&stats["messages"], &stats["keepalives"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&stats["inputs"], &stats["inputs_without_hashes"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(stats["input_bytes"], FRAME + 1);
    assert_eq!(
        stats["formats"],
        json!({"RAW_UINT8_BGR": 2, "UNSPECIFIED": 1})
    );
    assert_eq!(stats["hashes"], json!({"MD5": 1}));
    assert_eq!(
        (&stats["classified"], &stats["errors"]),
        (&json!(2), &json!({"MODEL_ERROR": 1}))
    );
    assert_eq!(
        stats["deployments"],
        json!([{"client": "athena-emulator", "id": "d", "backlog": 0, "streams": 1}])
    );
    let clients: Vec<_> = stats["clients"].as_object().unwrap().keys().collect();
    assert!(
        clients
            .iter()
            .any(|client| client.starts_with("rust athena-rust-client/1 ")),
        "{clients:?}"
    );

    let url = format!("{}/metrics", emulator.admin_url());
    let metrics = http(&emulator)
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for line in [
        "athena_emulator_inputs_total 3",
        "athena_emulator_errors_total{code=\"MODEL_ERROR\"} 1",
        "athena_emulator_streams_open 1",
        "# TYPE athena_emulator_backlog gauge",
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "{line} is not in\n{metrics}"
        );
    }
}

#[tokio::test]
async fn inputs_are_recorded_without_their_images_or_any_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let emulator = Emulator::builder()
        .record(file.path())
        .start()
        .await
        .unwrap();
    let mut grpc = client(&emulator).await;
    grpc.classify_single(input(&emulator, "a", frame(1)))
        .await
        .unwrap();
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![hash_input(&emulator, "b")]).await;
    session.outputs(1).await;

    let recorded = emulator.inputs();
    assert_eq!(recorded.len(), 2);
    assert_eq!(
        (recorded[0].correlation_id.as_str(), recorded[0].bytes),
        ("a", FRAME)
    );
    assert_eq!(recorded[0].deployment, None);
    assert_eq!(recorded[1].deployment.as_deref(), Some("d"));
    assert_eq!(recorded[1].hashes, ["MD5:0123456789abcdef0123456789abcdef"]);
    let shown: Vec<RecordedInput> =
        serde_json::from_value(get(&emulator, "/inputs").await).unwrap();
    assert_eq!(shown, recorded);
    let lines = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.len() < 2000);
    for secret in [emulator.client_secret(), "Bearer"] {
        assert!(!lines.contains(secret));
        assert!(!format!("{emulator:?}").contains(secret));
    }
}

#[tokio::test]
async fn the_admin_api_changes_faults_hashes_and_tokens() {
    let emulator = Emulator::builder().start().await.unwrap();
    let http = http(&emulator);
    let url = |path: &str| format!("{}{path}", emulator.admin_url());

    let faults = json!({"reject": {"when": {"next": 1}, "status": "unavailable"}});
    assert_eq!(
        http.put(url("/faults"))
            .json(&faults)
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    assert_eq!(
        get(&emulator, "/faults").await["reject"]["when"],
        json!({"next": 1})
    );
    let mut grpc = client(&emulator).await;
    assert_eq!(
        grpc.list_deployments(()).await.unwrap_err().code(),
        Code::Unavailable
    );
    let wrong = http
        .put(url("/faults"))
        .json(&json!({"typo": 1}))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        http.delete(url("/faults")).send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(get(&emulator, "/faults").await, json!({"seed": 0}));

    let hashes = json!(["0123456789abcdef0123456789abcdef"]);
    assert_eq!(
        http.post(url("/known-hashes"))
            .json(&hashes)
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    let output = grpc
        .classify_single(hash_input(&emulator, "a"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(output.classifications[0].weight, 1.0);
    let wrong = http
        .post(url("/known-hashes"))
        .json(&json!(["xyz"]))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let mint = async |kind: &str| {
        let answer = http
            .post(url(&format!("/tokens?kind={kind}")))
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        format!("Bearer {}", answer["access_token"].as_str().unwrap())
    };
    let valid = mint("valid").await;
    client_with(&emulator, &valid)
        .await
        .list_deployments(())
        .await
        .unwrap();
    for kind in [
        "expired",
        "wrong_audience",
        "foreign",
        "unsigned",
        "malformed",
    ] {
        let status = client_with(&emulator, &mint(kind).await)
            .await
            .list_deployments(())
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{kind}");
    }
    assert_eq!(
        post(&emulator, "/tokens/revoke").await,
        StatusCode::NO_CONTENT
    );
    assert!(
        client_with(&emulator, &valid)
            .await
            .list_deployments(())
            .await
            .is_err()
    );

    let mut grpc = client(&emulator).await;
    for path in [
        "/streams/cut",
        "/connections/drop",
        "/listener/restart?downtime=10ms",
    ] {
        let mut session = Session::open(&mut grpc, "d").await;
        assert_eq!(post(&emulator, path).await, StatusCode::NO_CONTENT);
        assert!(session.message().await.is_err(), "{path}");
        grpc = client(&emulator).await;
    }
    assert_eq!(
        post(&emulator, "/connections/goaway").await,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn the_admin_api_is_on_loopback_and_not_for_web_pages() {
    let emulator = Emulator::builder()
        .address([0, 0, 0, 0].into())
        .start()
        .await
        .unwrap();
    assert!(emulator.admin_url().starts_with("http://127.0.0.1:"));
    let http = http(&emulator);
    let url = format!("{}/stats", emulator.admin_url());
    let from_page = http
        .get(&url)
        .header("origin", "https://example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(from_page.status(), StatusCode::FORBIDDEN);
    let rebound = http
        .get(&url)
        .header("host", "example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(rebound.status(), StatusCode::FORBIDDEN);
    for host in ["localhost", "127.0.0.1:80", "[::1]:80"] {
        let own = http.get(&url).header("host", host).send().await.unwrap();
        assert_eq!(own.status(), StatusCode::OK, "{host}");
    }

    let config: athena_emulator::Config =
        "admin_address = \"0.0.0.0\"\npublic_host = \"athena.test\""
            .parse()
            .unwrap();
    let reachable = Emulator::builder().config(config).start().await.unwrap();
    let (name, port) = reachable.admin_url().rsplit_once(':').unwrap();
    assert_eq!(name, "http://athena.test");
    let url = format!("http://127.0.0.1:{port}/stats");
    let by_name = http
        .get(url)
        .header("host", format!("athena.test:{port}"))
        .send()
        .await
        .unwrap();
    assert_eq!(by_name.status(), StatusCode::OK);
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let emulator = Emulator::builder().start().await.unwrap();
    let connection = channel(&emulator).await;
    let service = "athena.ClassifierService".to_owned();
    let check = tonic_health::pb::HealthCheckRequest {
        service: service.clone(),
    };
    let health = HealthClient::new(connection.clone())
        .check(check)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);

    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(connection)
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    assert!(list.service.iter().any(|listed| listed.name == service));
}

#[tokio::test]
async fn a_shutdown_hands_out_what_is_in_progress_and_says_that_it_is_one() {
    let faults = "delay = { constant = \"50ms\" }".parse().unwrap();
    let emulator = Emulator::builder().faults(faults).start().await.unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session.send(vec![hash_input(&emulator, "a")]).await;
    crate::support::settle(|| emulator.stats().inputs == 1).await;
    let (_, ids) = tokio::join!(emulator.shutdown(), session.ids(1));
    assert_eq!(ids, ["a"]);
    let status = session.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("shutting down"), "{status}");
}

#[tokio::test]
async fn the_environment_file_is_private_and_names_everything_a_client_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("athena.env");
    let emulator = Emulator::builder().env_file(&path).start().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let ca_file = emulator.ca_file().unwrap();
    assert_eq!(std::fs::read_to_string(ca_file).unwrap(), emulator.ca_pem());
    for line in [
        format!("ATHENA_HOST={}", emulator.host()),
        format!("OAUTH_AUTH_URL={}", emulator.token_url()),
        format!("OAUTH_CLIENT_SECRET={}", emulator.client_secret()),
        format!("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={}", ca_file.display()),
        format!("SSL_CERT_FILE={}", ca_file.display()),
        format!("NODE_EXTRA_CA_CERTS={}", ca_file.display()),
        format!("CURL_CA_BUNDLE={}", ca_file.display()),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}

#[tokio::test]
async fn emulators_with_environment_files_in_one_folder_keep_their_own_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |name| {
        let path = folder.path().join(name);
        Emulator::builder().env_file(path).start().await.unwrap()
    };
    let (one, other) = (start("one.env").await, start("other.env").await);
    for emulator in [&one, &other] {
        let ca_file = emulator.ca_file().unwrap();
        assert_eq!(std::fs::read_to_string(ca_file).unwrap(), emulator.ca_pem());
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let emulator = Emulator::builder().start().await.unwrap();
    let port = emulator.host().rsplit(':').next().unwrap().to_owned();
    let config: athena_emulator::Config = format!("[ports]\ngrpc = {port}").parse().unwrap();
    let error = Emulator::builder()
        .config(config)
        .start()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), athena_emulator::EmulatorErrorKind::Bind);
    assert!(error.to_string().contains(&port), "{error}");
    // Dropping the first one frees the port.
    let _ = emulator.mint(TokenKind::Valid);
}

#[test]
fn a_configuration_error_names_its_line_and_quotes_no_secret() {
    let text = "token_lifetime = \"1h\"\n[[clients]]\nid = \"a\"\nsecret = [\"hunter2\"]\n";
    let error = text
        .parse::<athena_emulator::Config>()
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 4"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_documented_settings_are_the_settings() {
    let document = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/emulator.md"
    ))
    .unwrap();
    let example_of = |heading: &str| {
        let (_, section) = document.split_once(heading).unwrap();
        let (_, rest) = section.split_once("```toml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        example.parse::<athena_emulator::Config>().unwrap()
    };
    assert_eq!(example_of("\n## Rules\n").rules.len(), 1);
    let config = example_of("\n## Settings\n");
    assert_eq!(config.clients[0].affiliates, ["acme"]);
    // What the example shows as a default is one.
    let default = athena_emulator::Config::default();
    assert_eq!(config.audience, default.audience);
    assert_eq!(config.address, default.address);
    assert_eq!(
        (config.token_lifetime, config.drain),
        (default.token_lifetime, default.drain)
    );
    assert_eq!(
        (config.backlog_retention, config.deployment_expiry),
        (default.backlog_retention, default.deployment_expiry)
    );
    assert_eq!(
        format!("{:?}", config.limits),
        format!("{:?}", default.limits)
    );
    assert_eq!(config.ports, athena_emulator::Ports::FIXED);
}
