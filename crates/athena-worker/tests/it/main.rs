//! The JetStream engine against a real server. Without a nats-server these tests say that they were skipped.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use athena_outcome::{Record, Status};
use athena_worker::jetstream::{Lane, Queue, Submitted};
use athena_worker::{Figures, Job, Outcomes, Patience, Put, Worker};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use support::{ByName, Server};

fn patience() -> Patience {
    let mut patience = Patience::default();
    patience.window = 16;
    patience.attempts = 3;
    patience.retry_first = Duration::from_millis(200);
    patience
}

async fn worker(queue: &Queue, judge: ByName, stop: impl Future<Output = ()>) -> Figures {
    let worker = Worker::builder(judge, queue.outcomes())
        .live(queue.intake(Lane::Live).await.expect("intake"))
        .backfill(queue.intake(Lane::Backfill).await.expect("intake"))
        .patience(patience())
        .build();
    worker.run(stop).await
}

async fn until_empty(queue: &Queue) {
    let empty = async {
        loop {
            // While the server is away nothing is known.
            match queue.status().await {
                Ok(status) if status.lag == 0 => return,
                // 2.9.10 forgets, when it is killed, that it has removed what is done.
                Ok(status) if status.stuck > 0 => drop(queue.release().await),
                _ => {}
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(120), empty)
        .await
        .expect("the queue becomes empty");
}

async fn outcomes(queue: &Queue) -> BTreeMap<String, Record> {
    let mut reader = queue.outcomes().read(1, false).await.expect("reader");
    let mut found = BTreeMap::new();
    while let Some(stored) = reader.next().await.expect("the next one") {
        let record: Record = serde_json::from_slice(&stored.body).expect("a record");
        let key = record.key.clone().expect("a key");
        assert!(found.insert(key, record).is_none(), "one outcome for a key");
    }
    found
}

fn image(key: &str) -> Job {
    Job::of_bytes(key, &b"image"[..])
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_store_an_outcome_one_does() {
    let Some(server) = Server::start().await else {
        return;
    };
    let queue = server.queue().await;
    let other = server.queue().await;
    let mut stored = 0;
    for number in 0..100 {
        let key = format!("a key, with.dots and * {number}");
        let record = |by: &str| {
            let mut record = Record::with_key(&*key);
            record.affiliate = Some(by.to_owned());
            record
        };
        let (ours, theirs) = (record("us"), record("them"));
        let (a, b) = (queue.outcomes(), other.outcomes());
        let (first, second) = tokio::join!(
            a.put_once(&key, &ours, None),
            b.put_once(&key, &theirs, None)
        );
        let (first, second) = (first.expect("first"), second.expect("second"));
        let winner = match (&first, &second) {
            (Put::Stored, Put::AlreadyThere(there)) | (Put::AlreadyThere(there), Put::Stored) => {
                there
            }
            both => panic!("{both:?}"),
        };
        stored += 1;
        let found = a.find(&key).await.expect("an answer").expect("an outcome");
        assert_eq!(&found, &**winner);
    }
    assert_eq!(outcomes(&queue).await.len(), stored);
    assert_eq!(
        queue.outcomes().find("nobody").await.expect("an answer"),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_has_one_outcome_and_the_dead_can_be_revived() {
    let Some(server) = Server::start().await else {
        return;
    };
    let queue = server.queue().await;
    let mut job = image("g-context");
    job.context = Some(serde_json::json!({"post": 7}));
    job.frames = 3;
    let jobs = (0..60).map(|number| image(&format!("g{number}"))).chain([
        image("n1"),
        image("s1"),
        Job::of_url("g-url", "https://example.com/a.jpg"),
        job,
    ]);
    let jobs: Vec<Job> = jobs.collect();
    for (number, job) in jobs.iter().enumerate() {
        let lane = Lane::ALL[number % 2];
        assert_eq!(
            queue.submit(lane, job).await.expect("submit"),
            Submitted::Queued
        );
        let twice = queue.submit(lane, job).await.expect("submit");
        assert_eq!(twice, Submitted::AlreadyQueued);
    }
    // In a foreign program's words, and in nobody's.
    let foreign = async_nats::jetstream::new(queue.client());
    for (subject, body) in [
        (
            "ATHENA_JOBS.live.theirs",
            r#"{"key":"g-theirs","data":"eA=="}"#,
        ),
        ("ATHENA_JOBS.live.broken", r#"{"key":"broken"#),
    ] {
        foreign
            .publish(subject, body.into())
            .await
            .expect("publish")
            .await
            .expect("confirmed");
    }
    let figures = worker(&queue, ByName::default(), until_empty(&queue)).await;
    let found = outcomes(&queue).await;
    assert_eq!(found.len(), jobs.len() + 2);
    assert_eq!(figures.snapshot().stored, found.len() as u64);
    assert_eq!(
        found["g-context"].context,
        Some(serde_json::json!({"post": 7}))
    );
    assert_eq!(found["g-context"].frames, Some(3));
    assert_eq!(found["g-theirs"].status, Status::Classified);
    assert_eq!((found["n1"].dead, found["n1"].attempts), (None, Some(1)));
    assert_eq!(
        (found["s1"].dead, found["s1"].attempts),
        (Some(true), Some(3))
    );
    let malformed = found.values().find(|record| {
        record
            .error
            .as_ref()
            .is_some_and(|error| error.kind == "malformed")
    });
    assert_eq!(malformed.expect("an outcome").dead, Some(true));

    let mut letters = queue.dead_letters().await.expect("letters");
    let mut dead = BTreeMap::new();
    while let Some(letter) = letters.next().await.expect("a letter") {
        dead.insert(letter.reason().to_owned(), letter);
    }
    assert_eq!(
        dead.keys().map(String::as_str).collect::<Vec<_>>(),
        ["malformed", "test"]
    );
    let status = queue.status().await.expect("status");
    assert_eq!((status.dead, status.stuck, status.lag), (2, 0, 0));

    queue.revive(&dead["test"]).await.expect("revived");
    assert_eq!(queue.outcomes().find("s1").await.expect("an answer"), None);
    worker(&queue, ByName::default(), until_empty(&queue)).await;
    assert_eq!(outcomes(&queue).await["s1"].dead, Some(true));
    assert_eq!(queue.status().await.expect("status").dead, 2);

    // What is submitted again after it is done keeps its outcome.
    assert_eq!(
        queue.submit(Lane::Live, &jobs[0]).await.expect("submit"),
        Submitted::Queued
    );
    let figures = worker(&queue, ByName::default(), until_empty(&queue)).await;
    assert_eq!(
        (figures.snapshot().stored, figures.snapshot().received),
        (0, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_workers_and_the_server_are_killed() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let queue = server.queue().await;
    let keys: BTreeSet<String> = (0..400).map(|number| format!("g{number}")).collect();
    for key in &keys {
        queue
            .submit(Lane::Backfill, &image(key))
            .await
            .expect("submit");
    }
    let judge = ByName {
        takes: Duration::from_millis(30),
    };
    for life in [150, 230, 310] {
        let killed = worker(&queue, judge.clone(), std::future::pending());
        let _ = timeout(Duration::from_millis(life), killed).await;
    }
    let working = {
        let (queue, judge) = (queue.clone(), judge.clone());
        tokio::spawn(async move { worker(&queue, judge, until_empty(&queue)).await })
    };
    sleep(Duration::from_millis(150)).await;
    server.kill();
    sleep(Duration::from_millis(500)).await;
    server.restart().await;
    working.await.expect("no panic");
    let found = outcomes(&queue).await;
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), keys);
    assert!(
        found
            .values()
            .all(|record| record.status == Status::Classified)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_leaves_nothing_leased() {
    let Some(server) = Server::start().await else {
        return;
    };
    let queue = server.queue().await;
    for number in 0..100 {
        queue
            .submit(Lane::Live, &image(&format!("g{number}")))
            .await
            .expect("submit");
    }
    let judge = ByName {
        takes: Duration::from_millis(400),
    };
    let figures = worker(&queue, judge, sleep(Duration::from_millis(600))).await;
    queue.client().flush().await.expect("flush");
    let done = figures.snapshot().stored;
    assert!((16..100).contains(&done), "{done}");
    assert_eq!(outcomes(&queue).await.len() as u64, done);
    let status = queue.status().await.expect("status");
    assert_eq!(status.lag, 100 - done);
    // Given back at once: not one of them has to wait for its lease.
    let figures = worker(&queue, ByName::default(), until_empty(&queue)).await;
    assert_eq!(figures.snapshot().stored, 100 - done);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_given_up_is_seen_and_released() {
    let Some(server) = Server::start().await else {
        return;
    };
    let queue = server.queue().await;
    if !queue.client().is_server_compatible(2, 10, 0) {
        eprintln!("SKIPPED: older servers count what they have given up as in flight");
        return;
    }
    let stream = async_nats::jetstream::new(queue.client());
    let stream = stream.get_stream("ATHENA_JOBS").await.expect("stream");
    // Somebody limits the deliveries.
    let limited = pull::Config {
        durable_name: Some("athena-live".to_owned()),
        filter_subject: "ATHENA_JOBS.live.>".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_millis(300),
        max_deliver: 1,
        ..pull::Config::default()
    };
    stream.delete_consumer("athena-live").await.expect("gone");
    let consumer = stream
        .create_consumer(limited.clone())
        .await
        .expect("limited");
    for number in 0..5 {
        queue
            .submit(Lane::Live, &image(&format!("g{number}")))
            .await
            .expect("submit");
    }
    let outcomes_of = queue.outcomes();
    let record = Record::with_key("g3");
    assert_eq!(
        outcomes_of
            .put_once("g3", &record, None)
            .await
            .expect("put"),
        Put::Stored
    );
    // A worker takes them, and is gone.
    let mut taken = consumer
        .fetch()
        .max_messages(5)
        .messages()
        .await
        .expect("jobs");
    while taken.next().await.is_some() {}
    let stuck = async {
        while queue.status().await.expect("status").stuck < 5 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), stuck)
        .await
        .expect("they are seen");
    let unlimited = pull::Config {
        max_deliver: -1,
        ..limited
    };
    stream.create_consumer(unlimited).await.expect("set right");
    let released = queue.release().await.expect("released");
    assert_eq!((released.done, released.queued), (1, 4));
    assert_eq!(queue.status().await.expect("status").stuck, 0);
    worker(&queue, ByName::default(), until_empty(&queue)).await;
    assert_eq!(outcomes(&queue).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_one_whatever_its_headers_are() {
    let Some(server) = Server::start().await else {
        return;
    };
    let queue = server.queue().await;
    let mut theirs = Record::with_key("g");
    theirs.affiliate = Some("them".to_owned());
    let json = serde_json::to_vec(&theirs).expect("a record");
    let headers = b"NATS/1.0\r\nno colon\r\n\r\n";
    server
        .publish_bytes(b"ATHENA_OUTCOMES.g", headers, &json)
        .await;
    let submitted = queue.submit(Lane::Live, &image("g")).await;
    assert_eq!(submitted.expect("submitted"), Submitted::Queued);
    worker(&queue, ByName::default(), until_empty(&queue)).await;
    let found = queue.outcomes().find("g").await.expect("an answer");
    assert_eq!(found, Some(theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_no_client_is_given_end_and_stop_nobody() {
    let Some(server) = Server::start().await else {
        return;
    };
    let queue = server.queue().await;
    // The client panics: its worker has to be started again, and then knows what it is not to ask for.
    let headers = b"NATS/1.0\r\nAthena-Key: n\rn\r\n\r\n";
    server
        .publish_bytes(b"ATHENA_JOBS.live.g", headers, b"no job")
        .await;
    let worked = worker(&queue, ByName::default(), queue.lost());
    timeout(Duration::from_secs(60), worked)
        .await
        .expect("it ends");
    assert_eq!(queue.outcomes().find("x").await.ok(), None);
    let queue = server.queue().await;
    let job = |key: &str| image(key).to_json();
    let good = b"NATS/1.0\r\n\r\n";
    let unreadable = [
        (
            &b"ATHENA_JOBS.live.a"[..],
            &b"NATS/1.0\r\nAthena-Key: g\xff\r\n\r\n"[..],
        ),
        (b"ATHENA_JOBS.live.b", b"NATS/1.0\r\nno colon\r\n\r\n"),
        (
            b"ATHENA_JOBS.live.c",
            b"NATS/1.0 408 Request Timeout\r\n\r\n",
        ),
        (b"ATHENA_JOBS.live.d", b"NATS/1.0 500 Wrong\r\n\r\n"),
        (b"ATHENA_JOBS.backfill.e", b"HTTP/1.1 200 OK\r\n\r\n"),
        (b"ATHENA_JOBS.live.\xff", good),
        (b"ATHENA_JOBS.live.\xc2\xa0", good),
    ];
    for (number, (subject, headers)) in unreadable.into_iter().enumerate() {
        server.publish_bytes(subject, headers, b"no job").await;
        let key = format!("g{number}");
        let subject = format!("ATHENA_JOBS.live.{key}");
        server
            .publish_bytes(subject.as_bytes(), good, &job(&key))
            .await;
    }
    // Its outcome is called by its key, as far as there is one.
    let headers = b"NATS/1.0\r\nA b: c\r\n\r\n";
    server
        .publish_bytes(b"ATHENA_JOBS.live.key", headers, &job("g-key"))
        .await;
    let stop = until_empty(&queue);
    worker(&queue, ByName::default(), stop).await;
    let outcomes = outcomes(&queue).await;
    let kind = |record: &Record| record.error.as_ref().map(|error| error.kind.to_string());
    let malformed: BTreeSet<&str> = (outcomes.iter())
        .filter(|(_, record)| kind(record).as_deref() == Some("malformed"))
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!((outcomes.len(), malformed.len()), (16, 9), "{outcomes:#?}");
    assert!(malformed.contains("g-key"));
    let mut letters = queue.dead_letters().await.expect("letters");
    let mut dead = 0;
    while let Some(letter) = letters.next().await.expect("the next one") {
        assert_eq!(letter.reason(), "malformed");
        dead += 1;
    }
    assert_eq!(dead, 9);
}
