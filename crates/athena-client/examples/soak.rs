//! A long run against an emulator that misbehaves every few seconds. Fails unless every image is
//! accounted for and memory stays flat.
//!
//! `cargo run --release -p athena-client --example soak [IMAGES]`; 100,000 unless said otherwise.
//! The emulator lives in the same process and its memory counts as well.

use std::error::Error;
use std::time::{Duration, Instant};

use athena_client::auth::OAuthClientCredentials;
use athena_client::{Client, Image, Payload, RAW_FRAME_BYTES};
use athena_emulator::{Delay, Emulator, Faults, When};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let images: usize = std::env::args().nth(1).map_or(Ok(100_000), |n| n.parse())?;
    let emulator = Emulator::builder().start().await?;
    let credentials =
        OAuthClientCredentials::builder(emulator.client_id(), emulator.client_secret())
            .token_url(emulator.token_url())
            .audience(emulator.audience())
            .ca_certificate(emulator.ca_pem())
            .build()?;
    let client = Client::builder()
        .endpoint(emulator.endpoint())
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
        let (mut done, mut failed, mut early_peak) = (0, 0, 0);
        while let Some((number, result)) = results.next().await {
            assert!(
                !std::mem::replace(&mut seen[number], true),
                "{number} came twice"
            );
            failed += usize::from(result.is_err());
            done += 1;
            if done == images / 10 {
                early_peak = peak_kib();
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
        (failed, early_peak)
    };
    let (failed, early_peak) = tokio::select! {
        outcome = work => outcome,
        never = misbehave(&emulator) => match never {},
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
    let growth = peak_kib() as f64 / early_peak as f64;
    println!("peak memory after all images / after a tenth: {growth:.2}");
    assert!(growth < 1.2, "memory grows");
    Ok(())
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

/// A fault every second, each time another.
async fn misbehave(emulator: &Emulator) -> std::convert::Infallible {
    let delay = Faults::none().delay(Delay::Exponential(Duration::from_millis(5)));
    for round in 0u64.. {
        let plan = delay.clone().seed(round);
        match round % 7 {
            0 => emulator.set_faults(plan.cut(When::Rate(0.05))),
            1 => emulator.set_faults(plan.swallow(When::Rate(0.01)).duplicate(When::Rate(0.05))),
            2 => emulator.set_faults(plan.lose(When::Rate(0.05))),
            3 => emulator.disconnect(),
            4 => emulator.goaway(),
            5 => drop(emulator.restart(Duration::from_millis(200)).await),
            _ => {
                emulator.set_faults(plan);
                emulator.revoke_tokens();
                emulator.cut_streams();
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    unreachable!("rounds do not end")
}

/// The most memory that this process has held so far (Linux; 1 elsewhere, so that nothing grows).
fn peak_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(1)
}
