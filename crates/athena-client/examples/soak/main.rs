//! A long run against an emulator that misbehaves every second, behind a network that does so too.
//! Fails unless every image is accounted for and memory, descriptors and tasks stay flat.
//!
//! `cargo run --release -p athena-client --example soak [IMAGES]`; 100,000 unless said otherwise.
//! The emulator lives in the same process and what it takes up counts as well.

mod process;
mod relay;

use std::error::Error;
use std::time::{Duration, Instant};

use athena_client::auth::OAuthClientCredentials;
use athena_client::{Client, Image, Payload, RAW_FRAME_BYTES};
use athena_emulator::{Delay, Emulator, Faults, TokenFault, When};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use process::{descriptors, peak_kib, tasks};
use relay::Relay;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let images: usize = std::env::args().nth(1).map_or(Ok(100_000), |n| n.parse())?;
    let emulator = Emulator::builder().start().await?;
    let stranger = Emulator::builder().start().await?;
    let relay = Relay::to(emulator.host()).await?;
    let credentials =
        OAuthClientCredentials::builder(emulator.client_id(), emulator.client_secret())
            .token_url(emulator.token_url())
            .audience(emulator.audience())
            .ca_certificate(emulator.ca_pem())
            .build()?;
    let client = Client::builder()
        .endpoint(relay.endpoint())
        .token_source(credentials)
        .affiliate(emulator.affiliate())
        .ca_certificate(emulator.ca_pem())
        .no_proxy()
        .build()?;
    let session = client
        .session()
        .max_resends(20)
        .no_progress_timeout(Duration::from_secs(2))
        .resend_grace(Duration::from_millis(500))
        .open()?;

    let begin = Instant::now();
    let work = async {
        let mut results = session.classify_all(stream::iter(0..images).map(|n| (n, image(n))));
        let mut seen = vec![false; images];
        let (mut done, mut failed, mut early) = (0, 0, Takes::default());
        while let Some((number, result)) = results.next().await {
            assert!(
                !std::mem::replace(&mut seen[number], true),
                "{number} came twice"
            );
            failed += usize::from(result.is_err());
            done += 1;
            if done == images / 10 {
                early = Takes::now();
            }
            if done % (images / 20).max(1) == 0 {
                let stats = session.stats();
                println!(
                    "{done} done, {failed} failed, {} resent, {} duplicates, {} disconnects, peak {} MiB",
                    stats.resent,
                    stats.duplicates,
                    stats.disconnects,
                    peak_kib() >> 10,
                );
            }
        }
        assert_eq!(done, images, "every image has a result");
        (failed, early, Takes::now())
    };
    let world = World {
        emulator: &emulator,
        stranger: &stranger,
        relay: &relay,
        client: &client,
    };
    let (failed, early, late) = tokio::select! {
        outcome = work => outcome,
        never = world.misbehaves() => match never {},
    };
    let stats = session.close().await?;
    assert_eq!(
        stats.accepted,
        stats.verdicts + stats.errors() + stats.cancelled
    );
    println!(
        "{images} images in {:?}, {failed} failed: {stats:#?}",
        begin.elapsed()
    );
    println!("after a tenth {early:?}, at the end {late:?}");
    let growth = late.peak_kib as f64 / early.peak_kib as f64;
    assert!(growth < 1.2, "memory grows by {growth:.2}");
    // Connections come and go all the time: what counts is that they do not pile up.
    assert!(late.descriptors < early.descriptors + 30, "descriptors");
    assert!(late.tasks < early.tasks + 60, "tasks");
    Ok(())
}

/// What this process takes up.
#[derive(Debug, Default)]
struct Takes {
    peak_kib: u64,
    descriptors: usize,
    tasks: usize,
}

impl Takes {
    fn now() -> Self {
        Self {
            peak_kib: peak_kib(),
            descriptors: descriptors(),
            tasks: tasks(),
        }
    }
}

/// Mostly hashes, and now and then a raw frame: large enough to matter, few enough to be quick.
fn image(number: usize) -> Image {
    static FRAME: std::sync::LazyLock<Bytes> =
        std::sync::LazyLock::new(|| vec![9; RAW_FRAME_BYTES].into());
    Image::from_payload(if number.is_multiple_of(20) {
        Payload::raw_bgr(FRAME.clone())
    } else {
        let mut digest = [1; 16];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        Payload::hashes_only().md5(digest)
    })
}

struct World<'a> {
    emulator: &'a Emulator,
    /// Has a certificate of its own.
    stranger: &'a Emulator,
    relay: &'a Relay,
    client: &'a Client,
}

impl World<'_> {
    /// A fault every second, each time another.
    async fn misbehaves(&self) -> std::convert::Infallible {
        let delay = Faults::none().delay(Delay::Exponential(Duration::from_millis(5)));
        for round in 0u64.. {
            let plan = delay.clone().seed(round);
            match round % 12 {
                0 => self.emulator.set_faults(plan.cut(When::Rate(0.05))),
                1 => {
                    let plan = plan.swallow(When::Rate(0.01));
                    self.emulator.set_faults(plan.duplicate(When::Rate(0.05)));
                }
                2 => self.emulator.set_faults(plan.lose(When::Rate(0.05))),
                3 => self.emulator.disconnect(),
                4 => self.emulator.goaway(),
                5 => drop(self.emulator.restart(Duration::from_millis(200)).await),
                6 => {
                    self.emulator.set_faults(plan);
                    self.new_tokens();
                }
                7 => self.relay.set_rate(300_000),
                8 => {
                    self.relay.set_rate(0);
                    let slow = Delay::Exponential(Duration::from_millis(500));
                    self.emulator.set_faults(plan.delay(slow));
                }
                9 => {
                    let nonsense = plan.token(When::Rate(1.0), TokenFault::Error);
                    self.emulator.set_faults(nonsense);
                    self.new_tokens();
                }
                10 => {
                    self.emulator.set_faults(plan);
                    self.relay.redirect(self.stranger.host());
                }
                _ => {
                    self.relay.redirect(self.emulator.host());
                    self.loses_a_runtime().await;
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        unreachable!("rounds do not end")
    }

    fn new_tokens(&self) {
        self.emulator.revoke_tokens();
        self.emulator.cut_streams();
    }

    /// A session on a runtime that goes away under it: every image ends all the same.
    async fn loses_a_runtime(&self) {
        let client = self.client.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let session = client.session().open().expect("a session");
                let mut pending = Vec::new();
                for number in 0..4 {
                    pending.push(session.submit(image(number)).await.expect("taken on"));
                }
                (session, pending)
            })
        });
        let (session, pending) = opened.await.expect("no panic");
        for pending in pending {
            // A verdict, or the word that the runtime is gone.
            drop(pending.await);
        }
        let stats = session.stats();
        assert_eq!((stats.accepted, stats.pending), (4, 0));
    }
}
