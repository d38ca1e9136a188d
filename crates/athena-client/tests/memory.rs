//! That nothing is kept of images that have ended, by the client or by the emulator. A program of its own: it counts
//! what the whole process allocates.

#[allow(dead_code)]
#[path = "it/support.rs"]
mod support;

use std::time::Duration;

use athena_client::auth::BoxError;
use athena_client::{Client, Image, Payload, Prepared, Preprocess};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use peak_alloc::PeakAlloc;

use support::{builder, emulator};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Takes no pixels, for which threads keep what they need.
#[derive(Debug)]
struct Hashes;

impl Preprocess for Hashes {
    fn prepare(&self, file: Bytes, _: &dyn Fn() -> bool) -> Result<Prepared, BoxError> {
        let mut digest = [0; 16];
        digest.copy_from_slice(&file[..16]);
        Ok(Payload::hashes_only().md5(digest).into())
    }
}

/// Streams that end, each with as many images.
async fn streams(client: &Client, streams: usize) {
    const IMAGES: usize = 2_000;
    for _ in 0..streams {
        let session = client.session().deployment("memory").open();
        let session = session.expect("a session");
        let images = (0..IMAGES).map(|number| (number, Image::from_bytes(vec![1; 100])));
        let mut results = session.classify_all(stream::iter(images));
        while let Some((number, result)) = results.next().await {
            result.unwrap_or_else(|error| panic!("{number}: {error}"));
        }
        session.close().await.expect("all images have ended");
    }
}

/// What is in use, once that of what was spawned is given back.
async fn in_use(at_most: usize) -> usize {
    for _ in 0..200 {
        if MEMORY.current_usage() <= at_most {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    MEMORY.current_usage()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_an_image_that_has_ended() {
    let emulator = emulator().await;
    let client = builder(&emulator).preprocessor(Hashes).build();
    let client = client.expect("a valid client");
    // The emulator shows the last thousand inputs.
    streams(&client, 4).await;
    let before = MEMORY.current_usage();
    streams(&client, 6).await;
    // Less than three bytes of each of 12,000 images.
    let allowed = before + (32 << 10);
    let after = in_use(allowed).await;
    assert!(after <= allowed, "{before} bytes before, {after} after");
}
