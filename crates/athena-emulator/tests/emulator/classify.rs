//! The three methods.

use crate::support::{Session, client, frame, input, weight};
use athena_emulator::Emulator;

const BENIGN: [&str; 6] = [
    "Lakeside",
    "Mountains",
    "Trees",
    "Seashore",
    "Ducks",
    "Goose",
];

#[tokio::test]
async fn a_raw_frame_gets_all_labels_and_category_weights_sum_to_one() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut client = client(&emulator).await;
    let output = client
        .classify_single(input(&emulator, "a", frame(1)))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(output.error, None);
    assert_eq!(output.correlation_id, "a");
    let weights: Vec<f32> = BENIGN
        .iter()
        .map(|c| weight(&output, &format!("UnknownCSAM-{c}")).unwrap())
        .collect();
    assert!(
        (weights.iter().sum::<f32>() - 1.0).abs() < 1e-5,
        "{weights:?}"
    );
    let overall = weight(&output, "UnknownCSAM-PCSAM").unwrap();
    assert!((0.0..=1.0).contains(&overall));
    assert!(weight(&output, "UnknownCSAM-Entropy").unwrap() > 0.0);
    assert_eq!(
        output.classifications.len(),
        8,
        "no hash was sent, so no KnownCSAM label"
    );
}

#[tokio::test]
async fn a_stream_answers_each_input_and_ends_after_the_last_one() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut client = client(&emulator).await;
    let mut session = Session::open(&mut client, "d").await;
    session.send(vec![]).await;
    session
        .send(vec![
            input(&emulator, "a", frame(1)),
            input(&emulator, "b", frame(2)),
        ])
        .await;
    session.send(vec![input(&emulator, "c", frame(3))]).await;
    let mut ids = session.ids(3).await;
    ids.sort();
    assert_eq!(ids, ["a", "b", "c"]);
    let (closed, _) = tokio::sync::mpsc::channel(1);
    session.requests = closed;
    assert!(session.message().await.unwrap().is_none());
    let stats = emulator.stats();
    assert_eq!(
        (stats.keepalives, stats.messages, stats.results_sent),
        (1, 2, 3)
    );
}
