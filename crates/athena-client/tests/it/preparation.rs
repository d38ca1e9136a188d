//! Images are prepared off the runtime, on a bounded number of threads, in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use athena_client::imaging::Preprocessor;
use athena_client::{ErrorKind, Image, Payload, Prepared, Preprocess};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::script::{Play, Script};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn payload() -> Prepared {
    Payload::hashes_only().md5([0; 16]).into()
}

/// Waits for a word from the test: were it on the runtime's only thread, none could come.
#[derive(Debug)]
struct Gate(Mutex<mpsc::Receiver<()>>);

impl Preprocess for Gate {
    fn prepare(&self, _: Bytes, _: &dyn Fn() -> bool) -> Result<Prepared> {
        let gate = self.0.lock().map_err(|_| "a panic")?;
        gate.recv_timeout(Duration::from_secs(20))?;
        Ok(payload())
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_runtime_stays_free_while_images_are_prepared() {
    let (open, gate) = mpsc::channel();
    let script = Script::new(Play::Answer);
    let client = script
        .client()
        .preprocessor(Gate(gate.into()))
        .build()
        .unwrap();
    let session = client.session().open().unwrap();
    let pending = session
        .submit(Image::from_bytes(&b"file"[..]))
        .await
        .unwrap();
    let call = tokio::spawn(async move { client.classify(Image::from_bytes(&b"file"[..])).await });
    while session.stats().preparing == 1 {
        tokio::task::yield_now().await;
        // From the runtime's own thread.
        let _ = open.send(());
    }
    pending.await.unwrap();
    open.send(()).unwrap();
    call.await.unwrap().unwrap();
}

/// Notes the order of files, and how many are prepared at once.
#[derive(Debug, Default)]
struct Observer {
    order: Mutex<Vec<u8>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Preprocess for Observer {
    fn prepare(&self, file: Bytes, _: &dyn Fn() -> bool) -> Result<Prepared> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.order.lock().map_err(|_| "a panic")?.push(file[0]);
        std::thread::yield_now();
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(payload())
    }
}

async fn prepare_fifty(threads: usize) -> Arc<Observer> {
    let observer = Arc::new(Observer::default());
    let script = Script::new(Play::Answer);
    let client = script
        .client()
        .preprocessor(Arc::clone(&observer))
        .preparation_threads(threads)
        .build()
        .expect("a client");
    let images = stream::iter((0..50u8).map(|n| (n, Image::from_bytes(vec![n]))));
    let results: Vec<_> = client.classify_all(images).collect().await;
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    observer
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_are_bounded_and_turns_are_taken_in_order() {
    let observer = prepare_fifty(1).await;
    assert_eq!(
        *observer.order.lock().unwrap(),
        (0..50).collect::<Vec<u8>>()
    );
    let observer = prepare_fifty(3).await;
    assert!(observer.most.load(Ordering::SeqCst) <= 3);
}

#[derive(Debug)]
struct Panics;

impl Preprocess for Panics {
    fn prepare(&self, _: Bytes, _: &dyn Fn() -> bool) -> Result<Prepared> {
        panic!("a fault in the caller's code")
    }
}

#[tokio::test]
async fn a_panic_of_the_preprocessor_is_the_images_error() {
    let client = Script::new(Play::Answer)
        .client()
        .preprocessor(Panics)
        .build()
        .unwrap();
    let session = client.session().open().unwrap();
    for _ in 0..3 {
        let pending = session
            .submit(Image::from_bytes(&b"file"[..]))
            .await
            .unwrap();
        assert_eq!(pending.await.unwrap_err().kind(), ErrorKind::Undecodable);
    }
}

/// Works until it is told that nobody waits.
#[derive(Debug)]
struct Endless(mpsc::SyncSender<()>);

impl Preprocess for Endless {
    fn prepare(&self, _: Bytes, given_up: &dyn Fn() -> bool) -> Result<Prepared> {
        while !given_up() {
            std::thread::yield_now();
        }
        self.0.send(())?;
        Err("given up".into())
    }
}

#[tokio::test]
async fn an_image_whose_time_is_up_frees_its_thread() {
    let (stopped, thread) = mpsc::sync_channel(8);
    let client = Script::new(Play::Answer)
        .client()
        .preprocessor(Endless(stopped))
        .preparation_threads(1)
        .build()
        .unwrap();
    let image = || Image::from_bytes(&b"file"[..]).timeout(Duration::from_millis(200));
    let freed = || thread.recv_timeout(Duration::from_secs(20)).unwrap();
    let session = client.session().open().unwrap();
    let timed_out = session.submit(image()).await.unwrap();
    assert_eq!(timed_out.await.unwrap_err().kind(), ErrorKind::Timeout);
    freed();
    drop(session.submit(image()).await.unwrap());
    let called = client.classify(image()).await.unwrap_err();
    assert_eq!(called.kind(), ErrorKind::Timeout);
    freed();
    session.close().await.unwrap();
}

#[tokio::test]
async fn what_is_known_of_a_file_stays_with_its_verdict_or_error() {
    use sha2::Digest;

    let script = Script::new(Play::Answer);
    let frame_digest = Preprocessor::builder().frame_digest(true).build().unwrap();
    let client = script
        .client()
        .preprocessor(frame_digest)
        .sha256(true)
        .build()
        .unwrap();
    let session = client.session().open().unwrap();
    let file = crate::support::png(32);
    let sha256 = <[u8; 32]>::from(sha2::Sha256::digest(&file));

    let image = || Image::from_bytes(file.clone());
    let prepared = client.prepare(image()).await.unwrap();
    let frame = prepared.provenance().frame_sha256().unwrap();
    let sent = session
        .submit(Image::from_prepared(prepared))
        .await
        .unwrap();
    let streamed = session.submit(image()).await.unwrap();
    let verdicts = [
        sent.await.unwrap(),
        streamed.await.unwrap(),
        client.classify(image()).await.unwrap(),
    ];
    for verdict in verdicts {
        let known = verdict.provenance().unwrap();
        assert_eq!(known.format(), Some("png"));
        assert_eq!(known.dimensions(), Some((32, 32)));
        assert_eq!(known.bytes(), Some(file.len() as u64));
        assert_eq!(known.sha256(), Some(sha256));
        assert_eq!(known.frame_sha256(), Some(frame));
        assert!(known.md5().is_some() && known.sha1().is_some());
    }

    let broken = Image::from_bytes(file[..100].to_vec());
    let prepared = client.prepare(broken.clone()).await.unwrap();
    assert_eq!(prepared.failure().unwrap().kind(), ErrorKind::Undecodable);
    for image in [broken, Image::from_prepared(prepared)] {
        let error = session.submit(image).await.unwrap().await.unwrap_err();
        assert!(error.hash_verdict().is_some());
        let known = error.provenance().unwrap();
        assert_eq!((known.format(), known.bytes()), (None, Some(100)));
        assert!(known.md5().is_some() && known.sha256().is_some());
    }
}

#[tokio::test]
async fn a_sha256_is_there_only_when_somebody_reads_it() {
    let client = Script::new(Play::Answer).client().build().unwrap();
    let file = Image::from_bytes(crate::support::png(32));
    let verdict = client.classify(file.clone()).await.unwrap();
    assert_eq!(verdict.provenance().unwrap().sha256(), None);
    let prepared = client.prepare(file).await.unwrap();
    let read = prepared.provenance().sha256();
    assert!(read.is_some());
    let verdict = client
        .classify(Image::from_prepared(prepared))
        .await
        .unwrap();
    assert_eq!(verdict.provenance().unwrap().sha256(), read);
}

/// Prepares forty images, and no more until it is told to.
fn gated() -> (athena_client::Client, mpsc::Sender<()>) {
    let (open, gate) = mpsc::channel();
    for _ in 0..40 {
        open.send(()).expect("the gate is there");
    }
    let client = Script::new(Play::Answer)
        .client()
        .preprocessor(Gate(gate.into()));
    (client.build().expect("a client"), open)
}

/// So that a session knows its images to be small, and only memory is in the way.
async fn warm_up(session: &athena_client::Session) {
    for _ in 0..40 {
        let image = Image::from_bytes(&b"file"[..]);
        let pending = session.submit(image).await.expect("open");
        pending.await.expect("a verdict");
    }
}

/// Images of 8 MiB where there is memory for two: no more than those and the next are read.
#[tokio::test]
async fn bytes_bound_what_classify_all_reads_ahead() {
    let (client, _open) = gated();
    let session = client.session().max_in_flight_bytes(16 << 20);
    let session = session.open().unwrap();
    warm_up(&session).await;
    let read = AtomicUsize::new(0);
    let images = stream::iter(0..256).map(|number| {
        read.fetch_add(1, Ordering::Relaxed);
        (number, Image::from_bytes(vec![0; 8 << 20]))
    });
    let mut results = session.classify_all(images);
    let mut polled_since = 0;
    // However long it takes to get there; and a while longer, to see that it goes no further.
    while polled_since < 1_000 {
        assert!(futures_util::poll!(results.next()).is_pending());
        tokio::task::yield_now().await;
        polled_since += usize::from(read.load(Ordering::Relaxed) >= 3);
    }
    assert_eq!(read.load(Ordering::Relaxed), 3);
}

/// Files count as well, although they are read later.
#[tokio::test]
async fn files_take_up_the_memory_that_they_will_need() {
    let (client, _open) = gated();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::write(&path, vec![0; 8 << 20]).unwrap();
    let session = client.session().max_in_flight_bytes(12 << 20);
    let session = session.open().unwrap();
    warm_up(&session).await;
    let first = session.submit(Image::from_file(&path)).await.unwrap();
    let second = session.submit(Image::from_file(&path));
    let second = tokio::time::timeout(Duration::from_millis(50), second).await;
    assert!(second.is_err(), "there is no memory for it");
    drop(first);
    let _second = session.submit(Image::from_file(&path)).await.unwrap();
}
