//! Faults on purpose, by builder, handle and configuration.

use std::collections::HashSet;
use std::time::Duration;

use athena_emulator::{
    Config, Delay, Emulator, EmulatorErrorKind, Faults, RejectStatus, TokenFault, When,
};
use athena_proto::ErrorCode;
use tokio::time::Instant;
use tonic::Code;

use crate::support::{PATIENCE, Session, channel, client, hash_input, http, settle};

async fn with(faults: Faults) -> Emulator {
    Emulator::builder().faults(faults).start().await.unwrap()
}

/// Sends messages of one input each, named by its number, and waits for each one's fate.
async fn send_one_by_one(emulator: &Emulator, session: &Session, count: u64) {
    for n in 1..=count {
        let before = emulator.stats().inputs;
        session
            .send(vec![hash_input(emulator, &n.to_string())])
            .await;
        settle(|| emulator.stats().inputs > before).await;
    }
}

#[tokio::test]
async fn calls_are_rejected_with_a_status_and_pushback() {
    let emulator = with(Faults::none().reject(
        When::Next(2),
        RejectStatus::ResourceExhausted,
        Some(Duration::from_millis(250)),
    ))
    .await;
    let mut grpc = client(&emulator).await;
    for _ in 0..2 {
        let status = grpc.list_deployments(()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(
            status.metadata().get("grpc-retry-pushback-ms").unwrap(),
            "250"
        );
    }
    grpc.list_deployments(()).await.unwrap();
    assert_eq!(emulator.faults_struck(), 2);
}

#[tokio::test]
async fn every_third_result_is_swallowed_and_every_fourth_sent_twice() {
    let emulator = with(
        Faults::none()
            .swallow(When::Every(3))
            .duplicate(When::Every(4)),
    )
    .await;
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session
        .send(
            (1..=8)
                .map(|n| hash_input(&emulator, &n.to_string()))
                .collect(),
        )
        .await;
    session.finish();
    let mut ids = session.ids(8).await;
    ids.sort();
    assert_eq!(ids, ["1", "2", "4", "4", "5", "7", "8", "8"]);
    assert!(session.message().await.unwrap().is_none());
    assert_eq!(emulator.stats().results_swallowed, 2);
}

#[tokio::test]
async fn images_fail_with_the_chosen_code() {
    let emulator = with(Faults::none().image_error(When::Only(2), ErrorCode::ImageTooLarge)).await;
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session
        .send(
            (1..=3)
                .map(|n| hash_input(&emulator, &n.to_string()))
                .collect(),
        )
        .await;
    for output in session.outputs(3).await {
        let code = output.error.map(|error| error.code());
        assert_eq!(
            code,
            (output.correlation_id == "2").then_some(ErrorCode::ImageTooLarge)
        );
    }
}

#[tokio::test]
async fn a_lost_message_leaves_nothing_behind() {
    let emulator = with(Faults::none().lose(When::Only(2))).await;
    let mut grpc = client(&emulator).await;
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![hash_input(&emulator, "kept")]).await;
    assert_eq!(session.ids(1).await, ["kept"]);
    session.send(vec![hash_input(&emulator, "lost")]).await;
    assert_eq!(
        session.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    let mut next = Session::open(&mut grpc, "d").await;
    next.send(vec![hash_input(&emulator, "after")]).await;
    assert_eq!(next.ids(1).await, ["after"]);
    assert_eq!(emulator.stats().inputs, 2);
}

#[tokio::test]
async fn a_global_error_names_no_image_and_the_stream_goes_on() {
    let emulator = with(Faults::none().global_error(When::Next(1))).await;
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session.send(vec![hash_input(&emulator, "a")]).await;
    let response = session.message().await.unwrap().unwrap();
    assert!(response.global_error.is_some() && response.outputs.is_empty());
    session.send(vec![hash_input(&emulator, "b")]).await;
    assert_eq!(session.ids(1).await, ["b"]);
}

#[tokio::test]
async fn goaway_lets_streams_finish_and_closes_the_connection_to_new_calls() {
    let emulator = with(Faults::none()).await;
    let connection = channel(&emulator).await;
    let mut grpc = crate::support::on(connection, &emulator);
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![hash_input(&emulator, "before")]).await;
    assert_eq!(session.ids(1).await, ["before"]);
    emulator.goaway();
    session.send(vec![hash_input(&emulator, "after")]).await;
    assert_eq!(session.ids(1).await, ["after"]);
    session.finish();
    assert!(session.message().await.unwrap().is_none());
    // The channel connects anew for the next call.
    grpc.list_deployments(()).await.unwrap();
}

#[tokio::test]
async fn streams_are_cut_and_connections_dropped_by_hand() {
    let emulator = with(Faults::none()).await;
    let mut grpc = client(&emulator).await;
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![]).await;
    emulator.cut_streams();
    assert_eq!(
        session.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![]).await;
    settle(|| emulator.stats().streams_open == 1).await;
    emulator.disconnect();
    assert!(session.message().await.is_err());
    settle(|| emulator.stats().streams_open == 0).await;
}

#[tokio::test]
async fn the_listener_comes_back_at_the_same_address() {
    let emulator = with(Faults::none()).await;
    let mut grpc = client(&emulator).await;
    let mut session = Session::open(&mut grpc, "d").await;
    session.send(vec![]).await;
    let (restarted, broken) = tokio::join!(
        emulator.restart(Duration::from_millis(50)),
        session.message()
    );
    restarted.unwrap();
    assert!(broken.is_err());
    // The first call may find out that the old connection is gone.
    let _ = grpc.list_deployments(()).await;
    grpc.list_deployments(()).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_restart() {
    let emulator = with(Faults::none()).await;
    let url = format!("{}/listener/restart?downtime=1h", emulator.admin_url());
    let restart = tokio::spawn(http(&emulator).post(url).send());
    // The old port is closed once the restart has begun.
    while tokio::net::TcpStream::connect(emulator.host())
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::timeout(PATIENCE, emulator.shutdown())
        .await
        .expect("it waited");
    // Whether the answer still got out does not matter.
    let _ = restart.await;
}

#[tokio::test]
async fn results_are_delayed_and_shuffled() {
    let emulator = with(Faults::none().delay(Delay::Constant(Duration::from_millis(80)))).await;
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    let start = Instant::now();
    session.send(vec![hash_input(&emulator, "a")]).await;
    session.ids(1).await;
    assert!(start.elapsed() >= Duration::from_millis(80));

    let sent: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let slow = Duration::from_millis(40);
    for faults in [
        Faults::none().reorder(slow),
        Faults::none().delay(Delay::Uniform {
            min: Duration::ZERO,
            max: slow,
        }),
    ] {
        emulator.set_faults(faults);
        session
            .send(sent.iter().map(|id| hash_input(&emulator, id)).collect())
            .await;
        let received = session.ids(40).await;
        assert_ne!(received, sent);
        assert_eq!(
            received.into_iter().collect::<HashSet<_>>(),
            sent.iter().cloned().collect()
        );
    }
}

#[tokio::test]
async fn a_seed_repeats_a_run_and_another_one_does_not() {
    let run = async |seed| {
        let emulator = with(Faults::none().seed(seed).swallow(When::Rate(0.5))).await;
        let mut session = Session::open(&mut client(&emulator).await, "d").await;
        send_one_by_one(&emulator, &session, 64).await;
        session.finish();
        let mut ids = Vec::new();
        while let Some(response) = session.message().await.unwrap() {
            ids.extend(
                response
                    .outputs
                    .into_iter()
                    .map(|output| output.correlation_id),
            );
        }
        ids
    };
    let first = run(1).await;
    assert!((1..64).contains(&first.len()));
    assert_eq!(first, run(1).await);
    assert_ne!(first, run(2).await);
}

#[tokio::test]
async fn the_token_endpoint_misbehaves() {
    let emulator = with(Faults::none()).await;
    let http = http(&emulator);
    let ask = async || {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", emulator.client_id()),
            ("client_secret", emulator.client_secret()),
            ("audience", emulator.audience()),
        ];
        http.post(emulator.token_url())
            .form(&form)
            .send()
            .await
            .unwrap()
    };
    let retry_after = Duration::from_millis(1500);
    emulator.set_faults(Faults::none().token(When::Next(1), TokenFault::Throttle { retry_after }));
    let throttled = ask().await;
    assert_eq!(
        (
            throttled.status().as_u16(),
            &throttled.headers()["retry-after"]
        ),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(ask().await.status(), 200);

    emulator.set_faults(Faults::none().token(When::Next(1), TokenFault::Error));
    assert_eq!(ask().await.status(), 500);
    emulator.set_faults(Faults::none().token(When::Next(1), TokenFault::Garbage));
    let garbage = ask().await;
    assert_eq!(garbage.status(), 200);
    assert!(garbage.json::<serde_json::Value>().await.is_err());

    let delay = Duration::from_millis(60);
    emulator.set_faults(Faults::none().token(When::Next(1), TokenFault::Slow { delay }));
    let start = Instant::now();
    assert_eq!(ask().await.status(), 200);
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_plan_that_cannot_be_is_refused_wherever_it_comes_from() {
    let cases = [
        ("cut = { every = 0 }", "cut is invalid: every = 0"),
        ("lose = { only = 0 }", "lose is invalid: only = 0"),
        ("swallow = { rate = 1.5 }", "swallow is invalid: rate = 1.5"),
        (
            "duplicate = { rate = -1.0 }",
            "duplicate is invalid: rate = -1",
        ),
        ("goaway = { rate = nan }", "goaway is invalid: rate = NaN"),
        (
            "delay = { uniform = { min = \"2s\", max = \"1s\" } }",
            "delay is invalid: uniform has min above max",
        ),
        (
            "token = { when = { every = 0 }, fault = \"error\" }",
            "token is invalid: every = 0",
        ),
    ];
    let emulator = with(Faults::none()).await;
    for (plan, message) in cases {
        let error = plan.parse::<Faults>().unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");

        let config: Config = format!("[faults]\n{plan}").parse().unwrap();
        let error = Emulator::builder().config(config).start().await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), EmulatorErrorKind::Setting);
        assert!(error.to_string().starts_with(message), "{error}");
    }
    let answer = http(&emulator)
        .put(format!("{}/faults", emulator.admin_url()))
        .json(&serde_json::json!({"swallow": {"rate": 1.5}}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 422);
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(
        body["error"],
        "swallow is invalid: rate = 1.5 is not a probability from 0 to 1"
    );
}

#[tokio::test]
async fn a_downtime_of_centuries_is_refused_and_another_restart_need_not_wait() {
    let emulator = with(Faults::none()).await;
    let centuries = Duration::from_secs(10_000_000_000);
    let error = emulator.restart(centuries).await.unwrap_err();
    assert_eq!(error.kind(), EmulatorErrorKind::Setting);

    let (hour, at_once) = tokio::time::timeout(PATIENCE, async {
        tokio::join!(
            emulator.restart(Duration::from_secs(3600)),
            emulator.restart(Duration::ZERO)
        )
    })
    .await
    .expect("the second restart waited for the first");
    hour.unwrap();
    at_once.unwrap();
    client(&emulator).await.list_deployments(()).await.unwrap();
}

#[test]
fn a_plan_reads_the_same_from_a_file_and_from_code() {
    let file: Faults = r#"
        seed = 7
        reject = { when = { next = 1 }, status = "unavailable", pushback = "1s" }
        cut = { every = 5 }
        delay = { uniform = { min = "10ms", max = "1s" } }
        image_error = { when = { rate = 0.1 } }
        token = { when = { next = 3 }, fault = { throttle = { retry_after = "2s" } } }
    "#
    .parse()
    .unwrap();
    let code = Faults::none()
        .seed(7)
        .reject(
            When::Next(1),
            RejectStatus::Unavailable,
            Some(Duration::from_secs(1)),
        )
        .cut(When::Every(5))
        .delay(Delay::Uniform {
            min: Duration::from_millis(10),
            max: Duration::from_secs(1),
        })
        .image_error(When::Rate(0.1), ErrorCode::ModelError)
        .token(
            When::Next(3),
            TokenFault::Throttle {
                retry_after: Duration::from_secs(2),
            },
        );
    assert_eq!(file, code);
    assert!(
        "cutt = { every = 5 }"
            .parse::<Faults>()
            .unwrap_err()
            .to_string()
            .contains("cutt")
    );
}

#[tokio::test]
async fn cutting_streams_loses_no_result_and_doubles_none() {
    let emulator = with(
        Faults::none()
            .seed(3)
            .cut(When::Rate(0.3))
            .delay(Delay::Exponential(Duration::from_millis(3))),
    )
    .await;
    let mut grpc = client(&emulator).await;
    let (mut received, mut cuts) = (Vec::new(), 0);
    let mut session = Session::open(&mut grpc, "d").await;
    for message in 0..60 {
        let inputs = (0..3).map(|n| hash_input(&emulator, &format!("{message}-{n}")));
        session.send(inputs.collect()).await;
        // By then it is decided whether this message cuts the stream.
        settle(|| emulator.stats().inputs == 3 * (message + 1)).await;
        if emulator.faults_struck() > cuts {
            cuts = emulator.faults_struck();
            let status = loop {
                match session.message().await {
                    Ok(response) => received.extend(response.expect("a status").outputs),
                    Err(status) => break status,
                }
            };
            assert_eq!(status.code(), Code::Unavailable);
            session = Session::open(&mut grpc, "d").await;
        }
    }
    emulator.set_faults(Faults::none());
    session.send(vec![]).await;
    let missing = 180 - received.len();
    received.extend(session.outputs(missing).await);
    let ids: HashSet<_> = received
        .iter()
        .map(|output| output.correlation_id.clone())
        .collect();
    assert_eq!((received.len(), ids.len()), (180, 180));
    assert!(cuts > 5);
}
