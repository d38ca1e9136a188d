//! Tests that share an emulator without seeing each other.

use std::time::Duration;

use athena_emulator::{
    ClientConfig, Emulator, Expectation, Faults, Namespace, Rule, Selector, TokenKind, When,
};
use athena_proto::ClassificationInput;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Grpc, PATIENCE, Session, client, client_with, frame, hash_input, http, input, weight,
};

async fn client_in(emulator: &Emulator, namespace: &Namespace) -> Grpc {
    let token = namespace.mint(TokenKind::Valid).unwrap();
    client_with(emulator, &format!("Bearer {token}")).await
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let emulator = Emulator::builder().start().await.unwrap();
    let (one, other) = (emulator.namespace().unwrap(), emulator.namespace().unwrap());
    assert_ne!(one.client_id(), other.client_id());
    one.add_rule(Rule::when(Selector::any()).weight("mine", 1.0))
        .unwrap();
    one.add_known_hash("0123456789abcdef0123456789abcdef")
        .unwrap();
    other.set_faults(Faults::none().swallow(When::Every(1)));

    let mut grpc = client_in(&emulator, &one).await;
    let output = grpc
        .classify_single(hash_input(&emulator, "a"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(weight(&output, "mine"), Some(1.0));
    assert_eq!(weight(&output, "KnownCSAM-MD5"), Some(1.0));
    let mut first = Session::open(&mut grpc, "same").await;
    first.send(vec![hash_input(&emulator, "a")]).await;
    assert_eq!(first.ids(1).await, ["a"]);

    let mut others = client_in(&emulator, &other).await;
    let mut second = Session::open(&mut others, "same").await;
    second.send(vec![hash_input(&emulator, "b")]).await;
    second.finish();
    assert!(
        second.message().await.unwrap().is_none(),
        "the fault is its own"
    );

    let mut usual = client(&emulator).await;
    let output = usual
        .classify_single(hash_input(&emulator, "c"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(weight(&output, "KnownCSAM-MD5"), Some(0.0));

    assert_eq!((one.stats().inputs, other.stats().inputs), (2, 1));
    assert_eq!(emulator.stats().inputs, 1);
    assert_eq!(one.inputs()[0].correlation_id, "a");
    assert_eq!(one.deployments().len(), 1);
    assert_eq!(emulator.deployments().len(), 0);
    assert_eq!(one.rules()[0].matches, 2);

    one.revoke_tokens();
    let refused = grpc.list_deployments(()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    others.list_deployments(()).await.unwrap();
    usual.list_deployments(()).await.unwrap();
}

#[tokio::test]
async fn connections_and_streams_break_in_their_own_namespace_only() {
    let emulator = Emulator::builder().start().await.unwrap();
    let (one, other) = (emulator.namespace().unwrap(), emulator.namespace().unwrap());
    let mut mine = Session::open(&mut client_in(&emulator, &one).await, "d").await;
    let mut theirs = Session::open(&mut client_in(&emulator, &other).await, "d").await;
    for session in [&mut mine, &mut theirs] {
        session.send(vec![hash_input(&emulator, "a")]).await;
        session.ids(1).await;
    }
    one.disconnect();
    assert!(mine.message().await.is_err());
    let mut mine = Session::open(&mut client_in(&emulator, &one).await, "d").await;
    mine.send(vec![]).await;
    one.cut_streams();
    assert!(mine.message().await.is_err());
    theirs.send(vec![hash_input(&emulator, "b")]).await;
    assert_eq!(theirs.ids(1).await, ["b"]);
}

#[tokio::test]
async fn a_reset_brings_back_how_it_began() {
    let emulator = Emulator::builder()
        .rule(Rule::when(Selector::any().correlation_id("a")).weight("configured", 1.0))
        .known_hash("0123456789abcdef0123456789abcdef")
        .start()
        .await
        .unwrap();
    let mut grpc = client(&emulator).await;
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![hash_input(&emulator, "a")]).await;
    session.ids(1).await;
    emulator.set_rules([]).unwrap();
    emulator.set_faults(Faults::none().swallow(When::Every(1)));
    emulator.add_known_hash(&"ab".repeat(16)).unwrap();

    emulator.reset().unwrap();
    assert_eq!(
        session.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    assert_eq!(emulator.deployments(), []);
    assert_eq!((emulator.stats().inputs, emulator.inputs().len()), (0, 0));
    let output = grpc
        .classify_single(hash_input(&emulator, "a"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(weight(&output, "configured"), Some(1.0));
    assert_eq!(weight(&output, "KnownCSAM-MD5"), Some(1.0));
    assert_eq!(emulator.rules()[0].matches, 1);
}

#[tokio::test]
async fn the_admin_api_makes_names_resets_and_deletes_namespaces() {
    let emulator = Emulator::builder()
        .client(ClientConfig::new("id", "secret").affiliate("acme"))
        .start()
        .await
        .unwrap();
    let http = http(&emulator);
    let url = |path: &str| format!("{}{path}", emulator.admin_url());
    let made = http.post(url("/namespaces")).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    let named = json!({"name": "suite-7", "affiliates": ["acme"]});
    let named = http
        .post(url("/namespaces"))
        .json(&named)
        .send()
        .await
        .unwrap();
    let named: Value = named.json().await.unwrap();
    assert_eq!(
        (&named["name"], &named["affiliate"]),
        (&json!("suite-7"), &json!("acme"))
    );
    let all: Value = http
        .get(url("/namespaces"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(all, json!(["default", made["name"], "suite-7"]));

    // Its credentials get a token, and its API is its own.
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", named["client_id"].as_str().unwrap()),
        ("client_secret", named["client_secret"].as_str().unwrap()),
        ("audience", named["audience"].as_str().unwrap()),
    ];
    let token = http
        .post(named["token_url"].as_str().unwrap())
        .form(&form)
        .send()
        .await
        .unwrap();
    let token: Value = token.json().await.unwrap();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let mut grpc = client_with(&emulator, &bearer).await;
    let own = |path: &str| format!("{}{path}", named["admin_url"].as_str().unwrap());
    let rule = json!({"answer": {"weights": {"own": 1.0}}});
    http.post(own("/rules")).json(&rule).send().await.unwrap();
    let hash = ClassificationInput {
        affiliate: "acme".into(),
        ..hash_input(&emulator, "a")
    };
    let output = grpc
        .classify_single(hash.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(weight(&output, "own"), Some(1.0));
    let stats: Value = http
        .get(own("/stats"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&stats["inputs"], &stats["tokens_granted"]),
        (&json!(1), &json!(1))
    );

    // A snapshot can be put back.
    let snapshot: Value = http
        .get(own("/snapshot"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for path in [
        "/stats",
        "/inputs",
        "/deployments",
        "/known-hashes",
        "/faults",
        "/rules",
    ] {
        assert_eq!(
            http.delete(own(path)).send().await.unwrap().status(),
            204,
            "{path}"
        );
    }
    let restored = http
        .put(own("/snapshot"))
        .json(&snapshot)
        .send()
        .await
        .unwrap();
    assert_eq!(restored.status(), 204);
    let output = grpc
        .classify_single(hash.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(weight(&output, "own"), Some(1.0));
    assert_eq!(http.post(own("/reset")).send().await.unwrap().status(), 204);
    let rules: Value = http
        .get(own("/rules"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(rules, json!([]));

    for (body, status) in [
        (json!({"name": "suite-7"}), 422),
        (json!({"name": "a b"}), 422),
    ] {
        let answer = http
            .post(url("/namespaces"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{body}");
    }
    assert_eq!(
        http.delete(url("/namespaces/suite-7"))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let refused = grpc.classify_single(hash).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    for (path, status) in [
        ("/namespaces/suite-7/stats", 404),
        ("/namespaces/default/stats", 200),
    ] {
        assert_eq!(
            http.get(url(path)).send().await.unwrap().status(),
            status,
            "{path}"
        );
    }
    for path in ["/namespaces/suite-7", "/namespaces/default"] {
        assert_eq!(
            http.delete(url(path)).send().await.unwrap().status(),
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn expected_inputs_are_waited_for_and_a_miss_shows_what_came() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut grpc = client(&emulator).await;
    let expected = Expectation::of(Selector::any().correlation_id("upload-*"));
    let (found, _) = tokio::join!(emulator.expect(expected.clone().within(PATIENCE)), async {
        grpc.classify_single(hash_input(&emulator, "other"))
            .await
            .unwrap();
        grpc.classify_single(hash_input(&emulator, "upload-1"))
            .await
            .unwrap();
    });
    assert_eq!(found.unwrap()[0].correlation_id, "upload-1");

    let brief = Duration::from_millis(30);
    let unmet = emulator
        .expect(expected.clone().exactly(2).within(brief))
        .await
        .unwrap_err();
    let text = unmet.to_string();
    for part in [
        "expected 2 inputs within 30ms, 1 came",
        "wanted correlation_id = \"upload-*\"",
        "✗correlation_id other",
        " correlation_id upload-1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    grpc.classify_single(input(&emulator, "upload-2", frame(1)))
        .await
        .unwrap();
    grpc.classify_single(input(&emulator, "upload-3", frame(1)))
        .await
        .unwrap();
    assert!(
        emulator
            .expect(expected.clone().exactly(2).within(brief))
            .await
            .is_err()
    );
    assert_eq!(
        emulator.expect(expected.at_least(2)).await.unwrap().len(),
        3
    );

    let http = http(&emulator);
    let url = |query: &str| format!("{}/inputs?{query}", emulator.admin_url());
    let get = async |query: &str| {
        let answer = http.get(url(query)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, body) = get("format=RAW_UINT8_BGR").await;
    let inputs: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, inputs.as_array().unwrap().len()), (200, 2));
    assert_eq!(
        get("correlation_id=upload-*&at_least=3&wait=5s").await.0,
        200
    );
    let (status, text) = get("affiliate=acme&count=1&wait=20ms").await;
    assert_eq!(status, 417);
    assert!(text.contains("✗affiliate emulator"), "{text}");
    assert_eq!(get("typo=1").await.0, 400);
    assert_eq!(get("md5=1").await.0, 422);
}
