//! Images that are queued, with a queue of which the test says how it stands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_client::BoxError;
use athena_gateway::{
    AddressRules, Fetch, FetchError, Fetched, Guard, Keys, Queue, QueuedImage, QueuedSource,
    Standing, Submission,
};
use athena_outcome::{Record, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sha2::Digest;

use crate::support::{Running, form, small};

#[derive(Debug, Default)]
struct Kept {
    queued: HashMap<String, QueuedImage>,
    outcomes: HashMap<String, Record>,
    away: bool,
}

#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Kept>>);

impl Fake {
    fn end(&self, key: &str, change: impl FnOnce(&mut Record)) {
        let mut kept = self.0.lock().expect("no panic");
        let image = kept.queued.remove(key).expect("queued");
        let mut record = Record::with_key(key);
        record.affiliate = image.affiliate;
        if let QueuedSource::Bytes(bytes) = image.source {
            record.sha1 = Some(athena_client::imaging::Hashes::of(&bytes).sha1_hex());
        }
        record.status = Status::Classified;
        change(&mut record);
        kept.outcomes.insert(key.to_owned(), record);
    }

    fn queued(&self, key: &str) -> QueuedImage {
        self.0.lock().expect("no panic").queued[key].clone()
    }
}

impl Queue for Fake {
    fn largest(&self) -> usize {
        1000
    }

    fn is_connected(&self) -> bool {
        !self.0.lock().expect("no panic").away
    }

    fn submit(&self, image: QueuedImage) -> BoxFuture<'_, Result<Submission, BoxError>> {
        let mut kept = self.0.lock().expect("no panic");
        let answer = match kept.queued.get(&image.key) {
            _ if kept.away => Err("nats://secret.internal is away".into()),
            Some(there) if there.source == image.source => Ok(Submission::Queued),
            Some(_) => Ok(Submission::KeyTaken),
            None => {
                kept.queued.insert(image.key.clone(), image);
                Ok(Submission::Queued)
            }
        };
        std::future::ready(answer).boxed()
    }

    fn find<'a>(
        &'a self,
        key: &'a str,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Standing, BoxError>> {
        async move {
            let until = tokio::time::Instant::now() + wait;
            loop {
                {
                    let kept = self.0.lock().expect("no panic");
                    if kept.away {
                        return Err("nats://secret.internal is away".into());
                    }
                    if let Some(record) = kept.outcomes.get(key) {
                        return Ok(Standing::Done(Box::new(record.clone())));
                    }
                    match kept.queued.contains_key(key) {
                        false => return Ok(Standing::Unknown),
                        true if tokio::time::Instant::now() >= until => {
                            return Ok(Standing::Pending);
                        }
                        true => {}
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        .boxed()
    }
}

async fn start() -> (Running, Fake) {
    let fake = Fake::default();
    let running = Running::start(|g| g.queue(Arc::new(fake.clone()))).await;
    (running, fake)
}

const QUEUE: &str = "/v1/classify?queue=true";

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_image_is_judged_elsewhere_and_its_outcome_is_found_here() {
    let (running, fake) = start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("Idempotency-Key", "upload-7"),
        ("Athena-Affiliate", "acme"),
        ("Athena-Frames", "8"),
        ("traceparent", trace),
        ("tracestate", "vendor=a:1,other=2"),
    ];
    let answer = running.post(QUEUE, &headers, &small(1)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("location"), Some("/v1/outcomes/upload-7"));
    let image = fake.queued("upload-7");
    assert_eq!(image.affiliate.as_deref(), Some("acme"));
    assert_eq!(image.frames, 8);
    let trace = image.trace.expect("a trace");
    assert!(trace.parent().contains("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(trace.state(), Some("vendor=a:1,other=2"));
    assert_eq!(image.name, None);
    assert_eq!(running.emulator.inputs().len(), 0, "nothing is judged here");

    // Again, and by another way to say so.
    let mut again = headers.to_vec();
    again.push(("Athena-Queue", "1"));
    let answer = running.post("/v1/classify", &again, &small(1)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let other = running.post(QUEUE, &headers, &small(2)).await;
    assert_eq!((other.status, &*other.problem()), (409, "key-reused"));

    assert_eq!(running.get("/v1/outcomes/upload-7").await.status, 202);
    let waiting = running.get("/v1/outcomes/upload-7?wait=20");
    let (answer, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fake.end("upload-7", |_| {});
    });
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["key"], "upload-7");

    let replayed = running.post(QUEUE, &headers, &small(1)).await;
    assert_eq!(replayed.status, 200);
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    let other = running.post(QUEUE, &headers, &small(2)).await;
    assert_eq!((other.status, &*other.problem()), (409, "key-reused"));
    assert_eq!(running.get("/v1/outcomes/upload-8").await.status, 404);
    let figures = running.get("/metrics").await.body;
    let figures = String::from_utf8_lossy(&figures);
    for (result, count) in [("queued", 2), ("there", 1), ("refused", 2)] {
        let line = format!("athena_queue_submissions_total{{result=\"{result}\"}} {count}\n");
        assert!(figures.contains(&line), "{line}{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_no_verdict_is_no_success() {
    let (running, fake) = start().await;
    let headers = [("Idempotency-Key", "k")];
    let image = small(1);
    let waiting = running.post("/v1/classify?queue=true&wait=20", &headers, &image);
    let (answer, ()) = tokio::join!(waiting, async {
        while fake.0.lock().expect("no panic").queued.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fake.end("k", |record| record.fail("truncated", "it ends too soon"));
    });
    assert_eq!((answer.status, &*answer.problem()), (422, "not-classified"));
    assert_eq!(answer.json()["outcome"]["error"]["kind"], "truncated");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_say_of_an_image_has_the_status_that_it_has_here() {
    let (running, fake) = start().await;
    for (kind, status) in [
        ("not_found", 400),
        ("malformed", 400),
        ("refused", 403),
        ("too_large", 413),
        ("unreadable", 502),
        ("abandoned", 500),
    ] {
        let headers = [("Idempotency-Key", kind)];
        assert_eq!(running.post(QUEUE, &headers, &small(1)).await.status, 202);
        fake.end(kind, |record| {
            record.fail(kind, "as a worker has it");
            record.error.as_mut().expect("failed").transient = Some(true);
            record.dead = Some(true);
        });
        let answer = running.get(&format!("/v1/outcomes/{kind}")).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, "not-classified"),
            "{kind}"
        );
        // It is given up: asking again changes nothing.
        assert_eq!(answer.header("retry-after"), None, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_away_takes_nothing_and_says_so() {
    let (running, fake) = start().await;
    fake.0.lock().expect("no panic").away = true;
    for answer in [
        running.post(QUEUE, &[], &small(1)).await,
        running.get("/v1/outcomes/k").await,
    ] {
        assert_eq!(
            (answer.status, &*answer.problem()),
            (503, "queue-unavailable")
        );
        assert!(answer.header("retry-after").is_some());
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret.internal"));
    }
    let ready = running.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["queue"]), (503, &false.into()));
    // What is judged here needs no queue.
    assert_eq!(
        running.post("/v1/classify", &[], &small(1)).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_are_several_jobs() {
    let (running, fake) = start().await;
    let (kind, body) = form(&[("a.bmp", &small(1)), ("b", &[7; 2000]), ("é c", &small(3))]);
    let headers = [("Content-Type", &*kind), ("Idempotency-Key", "k")];
    let answer = running.post(QUEUE, &headers, &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let outcomes = answer.json()["outcomes"].clone();
    assert_eq!(outcomes[0]["location"], "/v1/outcomes/k-0");
    assert_eq!(outcomes[1]["error"]["kind"], "too_large");
    assert_eq!(outcomes[2]["location"], "/v1/outcomes/k-2");
    assert_eq!(fake.0.lock().expect("no panic").queued.len(), 2);
    assert_eq!(fake.queued("k-0").name.as_deref(), Some("a.bmp"));
    assert_eq!(fake.queued("k-2").name.as_deref(), Some("é c"));

    // One as well, whose name is as long as one may be.
    let name = "\u{10000}".repeat(300);
    let (kind, body) = form(&[(&name, &small(4))]);
    let headers = [("Content-Type", &*kind), ("Idempotency-Key", "one")];
    assert_eq!(running.post(QUEUE, &headers, &body).await.status, 202);
    let kept = fake.queued("one").name.expect("a name");
    assert!(name.starts_with(&kept) && (1000..=1024).contains(&kept.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_queue_cannot_keep_is_refused() {
    let (running, fake) = start().await;
    for more in ["hash_only=true", "timeout=5", "webhook=http://a.example/"] {
        let answer = running
            .post(&format!("{QUEUE}&{more}"), &[], &small(1))
            .await;
        assert!(matches!(answer.status, 400 | 403), "{more}: {answer:?}");
    }
    let large = running.post(QUEUE, &[], &[7; 1001]).await;
    assert_eq!((large.status, &*large.problem()), (413, "too-large"));
    let empty = running.post(QUEUE, &[], b"").await;
    assert_eq!((empty.status, &*empty.problem()), (400, "bad-request"));
    let batch = running
        .post("/v1/classify:batch?queue=true", &[], &small(1))
        .await;
    assert_eq!(batch.status, 400, "{batch:?}");
    assert!(fake.0.lock().expect("no panic").queued.is_empty());

    let without = Running::start(|g| g).await;
    let answer = without.post(QUEUE, &[], &small(1)).await;
    assert_eq!((answer.status, &*answer.problem()), (403, "forbidden"));
    assert_eq!(without.emulator.inputs().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_do_not_see_each_others_outcomes_in_the_queue() {
    let fake = Fake::default();
    let entries: Vec<String> = ["one", "two"]
        .map(|name| {
            let sha256 = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(name));
            format!("[[key]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\n")
        })
        .into();
    let keys: Keys = entries.concat().parse().expect("valid");
    let running = Running::start(|g| g.queue(Arc::new(fake.clone())).keys(keys)).await;
    let one = [("Authorization", "Bearer one"), ("Idempotency-Key", "k")];
    assert_eq!(running.post(QUEUE, &one, &small(1)).await.status, 202);
    fake.end("one:k", |_| {});
    let find = async |key: &str, name: &str| {
        let bearer = format!("Bearer {name}");
        let path = format!("/v1/outcomes/{key}");
        running
            .request("GET", &path, &[("Authorization", &bearer)], b"")
            .await
    };
    let found = find("k", "one").await;
    assert_eq!((found.status, &found.json()["key"]), (200, &"k".into()));
    assert_eq!(find("k", "two").await.status, 404);
    assert_eq!(find("one:k", "two").await.status, 404);
}

#[derive(Debug)]
struct Never;

impl Fetch for Never {
    fn fetch<'a>(
        &'a self,
        _: &'a url::Url,
        _: &'a Guard,
        _: usize,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        unreachable!("whoever judges it fetches it")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_queued_as_it_is_if_it_is_on_the_list() {
    let fake = Fake::default();
    let guard = Guard::new(AddressRules::default())
        .allow("https://img.example/u/")
        .and_then(|guard| guard.allow("s3://uploads/"));
    let running = Running::start(|g| {
        g.queue(Arc::new(fake.clone()))
            .fetch(Never, guard.expect("a URL"))
    })
    .await;
    let json = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "k"),
    ];
    let named = br#"{"url": "https://img.example/u/7.jpg?sig=1"}"#;
    assert_eq!(running.post(QUEUE, &json, named).await.status, 202);
    let url = "https://img.example/u/7.jpg?sig=1".to_owned();
    assert_eq!(fake.queued("k").source, QueuedSource::Url(url));
    // As the store has it: whoever judges it takes keys as they are.
    let json = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "s"),
    ];
    let named = br#"{"url": "s3://uploads/a%20photo%20%231.jpg"}"#;
    assert_eq!(running.post(QUEUE, &json, named).await.status, 202);
    let url = "s3://uploads/a photo #1.jpg".to_owned();
    assert_eq!(fake.queued("s").source, QueuedSource::Url(url.clone()));
    fake.end("s", |record| record.url = Some(url));
    assert_eq!(running.post(QUEUE, &json, named).await.status, 200);
    let another = br#"{"url": "s3://uploads/other.jpg"}"#;
    assert_eq!(running.post(QUEUE, &json, another).await.status, 409);
    let other = br#"{"url": "https://img.example/v/7.jpg"}"#;
    let answer = running.post(QUEUE, &json, other).await;
    assert_eq!((answer.status, &*answer.problem()), (403, "forbidden"));
}
