//! The service breaks in every way while callers go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use athena_emulator::Emulator;
use athena_gateway::Limits;

use crate::support::{HASHES_SUFFICE, POLICY, Running, small};

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_uploads_through_cuts_restarts_and_revoked_tokens() {
    const UPLOADS: usize = 500;
    let running = Arc::new(
        Running::with(Emulator::builder(), |g| {
            let mut limits = Limits::default();
            // Debug builds prepare a few images a second on a busy machine.
            limits.image_time = Duration::from_secs(60);
            let policy = format!("{POLICY}{HASHES_SUFFICE}");
            g.policy(policy.parse().expect("policy")).limits(limits)
        })
        .await,
    );
    let mut known = Vec::new();
    for number in (0..UPLOADS).step_by(5) {
        let digests = running.post("/v1/hash", &[], &small(number)).await.json();
        let md5 = digests["md5"].as_str().expect("a digest").to_owned();
        running.emulator.add_known_hash(&md5).expect("a digest");
        known.push(number);
    }
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|number| {
            let running = Arc::clone(&running);
            tokio::spawn(async move {
                // Spread over the faults, not all before the first of them.
                tokio::time::sleep(Duration::from_millis((number * 7) as u64 % 1500)).await;
                let key = format!("upload-{number}");
                let headers = [("Idempotency-Key", key.as_str())];
                // Pixels cost debug builds a second each: every tenth has them.
                let path = match number % 10 {
                    1 => "/v1/classify",
                    _ => "/v1/classify?hash_only=true",
                };
                running.post(path, &headers, &small(number)).await
            })
        })
        .collect();
    let revocations = 4;
    for _ in 0..revocations {
        tokio::time::sleep(Duration::from_millis(150)).await;
        running.emulator.cut_streams();
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.emulator.revoke_tokens();
        running.emulator.disconnect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        running
            .emulator
            .restart(Duration::from_millis(50))
            .await
            .expect("comes back");
    }
    let mut codes = BTreeMap::new();
    for (number, upload) in uploads.into_iter().enumerate() {
        let answer = upload.await.expect("no panic");
        *codes.entry(answer.status).or_insert(0) += 1;
        let decision = answer.header("athena-decision");
        if answer.status == 200 {
            // A success is a verdict, and it is that of this image.
            let record = answer.json();
            assert_eq!(record["status"], "classified");
            assert!(record["known_match"].is_boolean(), "{record}");
            assert_eq!(record["pcsam"].is_number(), number % 10 == 1, "{record}");
            assert_eq!(
                record["known_match"],
                known.contains(&number),
                "{number}: {record}"
            );
            assert_eq!(
                decision,
                Some(if known.contains(&number) {
                    "block"
                } else {
                    "allow"
                })
            );
        } else {
            assert!(matches!(answer.status, 502..=504), "{answer:?}");
            assert_ne!(decision, Some("allow"), "{answer:?}");
        }
    }
    assert_eq!(codes.values().sum::<usize>(), UPLOADS);
    assert!(codes[&200] > UPLOADS / 2, "{codes:?}");
    // One token at first, and one for each time that the service had refused it.
    let tokens = running.emulator.stats().tokens_granted;
    assert!(tokens <= 1 + revocations, "{tokens} tokens");
}
