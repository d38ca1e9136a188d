//! Deployments: created on first use, shared, with a backlog.

use std::collections::HashSet;
use std::time::Duration;

use athena_emulator::{ClientConfig, Delay, DeploymentInfo, Emulator, Faults, Limits};
use athena_proto::{ClassifyRequest, ErrorCode};
use tonic::Code;

use crate::support::{Session, client, client_of, hash_input, settle};

fn backlog(deployments: &[DeploymentInfo], id: &str) -> Option<usize> {
    deployments
        .iter()
        .find(|deployment| deployment.id == id)
        .map(|deployment| deployment.backlog)
}

#[tokio::test]
async fn a_stream_answers_each_input_and_ends_after_the_last_one() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session.send(vec![]).await;
    session
        .send(vec![hash_input(&emulator, "a"), hash_input(&emulator, "b")])
        .await;
    session.send(vec![hash_input(&emulator, "c")]).await;
    session.finish();
    let ids: HashSet<_> = session.ids(3).await.into_iter().collect();
    assert_eq!(ids.len(), 3);
    assert!(session.message().await.unwrap().is_none());
    let stats = emulator.stats();
    assert_eq!(
        (stats.keepalives, stats.messages, stats.results_sent),
        (1, 2, 3)
    );
}

#[tokio::test]
async fn streams_of_a_deployment_share_its_results_and_other_deployments_see_none() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut grpc = client(&emulator).await;
    let mut sender = Session::open(&mut grpc, "shared").await;
    let mut sharer = Session::open(&mut client(&emulator).await, "shared").await;
    let mut stranger = Session::open(&mut grpc, "other").await;
    sharer.send(vec![]).await;
    stranger.send(vec![]).await;
    settle(|| emulator.deployments().len() == 2).await;
    let (mut seen, mut by_sharer) = (HashSet::new(), 0);
    for n in 0..100 {
        sender
            .send(vec![hash_input(&emulator, &n.to_string())])
            .await;
        let (response, shared) = tokio::select! {
            response = sender.message() => (response, false),
            response = sharer.message() => (response, true),
        };
        by_sharer += usize::from(shared);
        seen.extend(
            response
                .unwrap()
                .unwrap()
                .outputs
                .into_iter()
                .map(|output| output.correlation_id),
        );
    }
    assert_eq!(seen.len(), 100);
    assert!(
        (1..100).contains(&by_sharer),
        "{by_sharer} of 100 results came on the other stream"
    );
    stranger.finish();
    assert!(stranger.message().await.unwrap().is_none());
}

#[tokio::test]
async fn clients_do_not_see_the_deployments_of_others() {
    let emulator = Emulator::builder()
        .client(ClientConfig::new("one", "1").affiliate("a"))
        .client(ClientConfig::new("two", "2").affiliate("a"))
        .start()
        .await
        .unwrap();
    let mut one = client_of(&emulator, "one").await;
    let mut two = client_of(&emulator, "two").await;
    let mut session = Session::open(&mut one, "d").await;
    session.send(vec![hash_input(&emulator, "a")]).await;
    assert_eq!(session.ids(1).await, ["a"]);
    assert!(
        two.list_deployments(())
            .await
            .unwrap()
            .into_inner()
            .deployments
            .is_empty()
    );
    let mut other = Session::open(&mut two, "d").await;
    session.send(vec![hash_input(&emulator, "b")]).await;
    other.send(vec![hash_input(&emulator, "c")]).await;
    assert_eq!(
        (session.ids(1).await, other.ids(1).await),
        (vec!["b".into()], vec!["c".into()])
    );
    assert_eq!(
        one.list_deployments(())
            .await
            .unwrap()
            .into_inner()
            .deployments
            .len(),
        1
    );
    assert_eq!(emulator.deployments().len(), 2);
}

#[tokio::test]
async fn results_of_a_broken_stream_wait_for_the_next_one() {
    // The window holds the results back until the stream is gone for certain.
    for fault in ["cut", "disconnect"] {
        let faults = format!("{fault} = {{ next = 1 }}\nreorder = \"300ms\"")
            .parse()
            .unwrap();
        let emulator = Emulator::builder().faults(faults).start().await.unwrap();
        let mut broken = Session::open(&mut client(&emulator).await, "d").await;
        broken
            .send(
                (0..60)
                    .map(|n| hash_input(&emulator, &n.to_string()))
                    .collect(),
            )
            .await;
        assert!(broken.message().await.is_err());
        settle(|| backlog(&emulator.deployments(), "d") == Some(60)).await;

        let mut grpc = client(&emulator).await;
        let listed = grpc
            .list_deployments(())
            .await
            .unwrap()
            .into_inner()
            .deployments;
        assert_eq!(
            (listed[0].deployment_id.as_str(), listed[0].backlog),
            ("d", 60)
        );
        let mut next = Session::open(&mut grpc, "d").await;
        next.send(vec![]).await;
        let collected: HashSet<_> = next.ids(60).await.into_iter().collect();
        assert_eq!(collected.len(), 60);
        assert_eq!(backlog(&emulator.deployments(), "d"), Some(0));
    }
}

#[tokio::test]
async fn a_stream_cannot_switch_its_deployment() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "one").await;
    session.send(vec![]).await;
    let switched = ClassifyRequest {
        deployment_id: "two".into(),
        inputs: vec![],
    };
    session.requests.send(switched).await.unwrap();
    let status = session.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("\"one\"") && status.message().contains("\"two\""),
        "{status}"
    );
    assert_eq!(backlog(&emulator.deployments(), "two"), None);
}

#[tokio::test]
async fn an_invalid_deployment_id_is_a_global_error() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut grpc = client(&emulator).await;
    for id in ["", &"d".repeat(65)] {
        let mut session = Session::open(&mut grpc, id).await;
        session.send(vec![hash_input(&emulator, "a")]).await;
        let response = session.message().await.unwrap().unwrap();
        assert_eq!(
            response.global_error.unwrap().code(),
            ErrorCode::DeploymentIdInvalid
        );
        assert!(response.outputs.is_empty());
    }
    assert!(emulator.deployments().is_empty());
}

#[tokio::test]
async fn a_full_backlog_drops_the_oldest_and_counts() {
    let mut limits = Limits::default();
    limits.backlog = 10;
    let emulator = Emulator::builder()
        .limits(limits)
        .deployment_latency(Duration::from_secs(3600))
        .start()
        .await
        .unwrap();
    let mut grpc = client(&emulator).await;
    let session = Session::open(&mut grpc, "d").await;
    session
        .send(
            (0..25)
                .map(|n| hash_input(&emulator, &n.to_string()))
                .collect(),
        )
        .await;
    settle(|| emulator.stats().results_dropped == 15).await;
    assert_eq!(backlog(&emulator.deployments(), "d"), Some(10));
}

#[tokio::test]
async fn uncollected_results_and_idle_deployments_expire() {
    let emulator = Emulator::builder()
        .backlog_retention(Duration::ZERO)
        .deployment_expiry(Duration::ZERO)
        .faults("cut = { next = 1 }".parse().unwrap())
        .start()
        .await
        .unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session.send(vec![hash_input(&emulator, "a")]).await;
    assert_eq!(
        session.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    settle(|| emulator.stats().results_expired == 1).await;
    settle(|| emulator.deployments().is_empty()).await;
}

#[tokio::test]
async fn too_many_deployments_are_refused() {
    let mut limits = Limits::default();
    limits.deployments = 1;
    let emulator = Emulator::builder().limits(limits).start().await.unwrap();
    let mut grpc = client(&emulator).await;
    let first = Session::open(&mut grpc, "one").await;
    first.send(vec![]).await;
    settle(|| emulator.deployments().len() == 1).await;
    let mut second = Session::open(&mut grpc, "two").await;
    second.send(vec![]).await;
    assert_eq!(
        second.message().await.unwrap_err().code(),
        Code::ResourceExhausted
    );
}

#[tokio::test]
async fn correlation_ids_that_are_in_flight_twice_are_counted() {
    let faults = "reorder = \"50ms\"".parse().unwrap();
    let emulator = Emulator::builder().faults(faults).start().await.unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    for _ in 0..2 {
        session
            .send(["a", "b", "a"].map(|id| hash_input(&emulator, id)).into())
            .await;
        // Both are answered: which is which, nobody can tell.
        let mut ids = session.ids(3).await;
        ids.sort();
        assert_eq!(ids, ["a", "a", "b"]);
    }
    assert_eq!(
        emulator.stats().correlation_ids_reused,
        2,
        "once in each round"
    );
}

#[tokio::test]
async fn thousands_of_idle_streams_cost_the_others_nothing() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut grpc = client(&emulator).await;
    let mut idle = Vec::new();
    for n in 0..1_000 {
        let session = Session::open(&mut grpc, &format!("d{}", n % 100)).await;
        session.send(vec![]).await;
        idle.push(session);
    }
    settle(|| emulator.stats().keepalives == 1_000).await;
    assert_eq!(
        (emulator.stats().streams_open, emulator.deployments().len()),
        (1_000, 100)
    );
    let mut busy = Session::open(&mut grpc, "busy").await;
    busy.send(vec![hash_input(&emulator, "a")]).await;
    assert_eq!(busy.ids(1).await, ["a"]);
    drop(idle);
    settle(|| emulator.stats().streams_open == 1).await;
}

#[tokio::test]
async fn durations_without_end_do_not_overflow() {
    let emulator = Emulator::builder()
        .backlog_retention(Duration::MAX)
        .deployment_expiry(Duration::MAX)
        .token_lifetime(Duration::MAX)
        .drain(Duration::MAX)
        .faults(
            Faults::none()
                .delay(Delay::Exponential(Duration::MAX))
                .reorder(Duration::MAX),
        )
        .start()
        .await
        .unwrap();
    let mut session = Session::open(&mut client(&emulator).await, "d").await;
    session
        .send(vec![hash_input(&emulator, "held back for ever")])
        .await;
    settle(|| backlog(&emulator.deployments(), "d") == Some(1)).await;
    emulator.set_faults(Faults::none());
    session.send(vec![hash_input(&emulator, "at once")]).await;
    assert_eq!(session.ids(1).await, ["at once"]);
}
