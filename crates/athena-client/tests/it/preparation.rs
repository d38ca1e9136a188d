//! Images are prepared off the runtime, on a bounded number of threads, in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use athena_client::{ErrorKind, Image, Payload, Preprocess};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::script::{Play, Script};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn payload() -> Payload {
    Payload::hashes_only().md5([0; 16])
}

/// Waits for a word from the test: were it on the runtime's only thread, none could come.
#[derive(Debug)]
struct Gate(Mutex<mpsc::Receiver<()>>);

impl Preprocess for Gate {
    fn prepare(&self, _: Bytes) -> Result<Payload> {
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
    fn prepare(&self, file: Bytes) -> Result<Payload> {
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
    fn prepare(&self, _: Bytes) -> Result<Payload> {
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
