//! The laws of the seam and of the worker, over a queue that does everything wrong that a queue may do.
//!
//! Time is virtual. Workers are dropped at any moment, leases end, settlements and answers are lost on the way,
//! the service goes away for minutes.

mod fake;

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::time::Duration;

use athena_outcome::Status;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use self::fake::{Fake, class, context};
use crate::machine::{ABANDONED, Patience};

/// What each job must come to.
fn check(fake: &Fake, keys: &[String]) {
    let state = fake.lock();
    assert_eq!(state.broken, Vec::<String>::new());
    assert!(state.jobs.is_empty(), "nothing is left: {:?}", state.jobs);
    let mut dead = BTreeSet::new();
    for key in keys {
        let record = state.outcomes.get(key).expect("each job has an outcome");
        // Whoever has made it, even where no worker came to an end with it.
        let is_job = class(key) != 'F';
        assert_eq!(record.context, is_job.then(|| context(key)), "{key}");
        match class(key) {
            'g' => assert_eq!(record.status, Status::Classified, "{key}"),
            'n' => assert_eq!(
                (record.status, record.dead),
                (Status::Failed, None),
                "{key}"
            ),
            's' | 'x' | 'F' => assert_eq!(record.dead, Some(true), "{key}"),
            _ => {}
        }
        if record.dead == Some(true) {
            dead.insert(key.clone());
        }
    }
    assert_eq!(state.outcomes.len(), keys.len(), "one outcome for each");
    assert_eq!(
        state.dead, dead,
        "the dead letters are those of the dead outcomes"
    );
}

fn quiet() -> impl Future<Output = ()> {
    pending()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_lost_and_nothing_has_two_outcomes(
        seed: u64,
        classes in proptest::collection::vec(prop_oneof![6 => Just('g'), 1 => Just('n'), 1 => Just('s'), 1 => Just('x'), 1 => Just('f')], 1..40),
        faults in prop_oneof![Just(None), (4u32..40).prop_map(Some)],
        delay: bool,
        lives in proptest::collection::vec(1u64..20_000, 0..12),
        away in proptest::option::of((0u64..20_000, 1u64..300_000)),
        window in 1usize..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("runtime");
        runtime.block_on(async {
            let fake = Fake::new(seed, faults, delay);
            let mut keys: Vec<String> = (classes.iter().enumerate())
                .map(|(number, class)| format!("{class}{number}"))
                .collect();
            for key in &keys {
                fake.key(key);
            }
            fake.submit(&b"{no job"[..]);
            // Submitted twice.
            fake.key(&keys[0]);
            keys.push(format!("FAKE:{}", classes.len()));
            let patience = Patience {
                window,
                attempts: 5,
                ..Patience::default()
            };
            if let Some((from, long)) = away {
                let fake = fake.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(from)).await;
                    fake.lock().away = Some(Instant::now() + Duration::from_millis(long));
                });
            }
            // Two at a time, each killed in the middle of whatever it does.
            for lifetimes in lives.chunks(2) {
                let killed = lifetimes.iter().map(|&life| {
                    timeout(Duration::from_millis(life), fake.worker(patience.clone()).run(quiet()))
                });
                futures_util::future::join_all(killed).await;
            }
            let done = async {
                while !fake.lock().jobs.is_empty() {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            let last = fake.worker(patience).run(done);
            timeout(Duration::from_secs(48 * 3600), last).await.expect("it comes to an end");
            check(&fake, &keys);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_not_used_up_while_the_service_is_away() {
    let fake = Fake::new(1, None, true);
    let keys: Vec<String> = (0..200).map(|number| format!("g{number}")).collect();
    for key in &keys {
        fake.key(key);
    }
    fake.lock().away = Some(Instant::now() + Duration::from_secs(3600));
    let worker = fake.worker(Patience::default());
    let figures = worker.figures();
    let done = async {
        sleep(Duration::from_secs(60)).await;
        assert!(figures.snapshot().away, "and it says so");
        while !fake.lock().jobs.is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    worker.run(done).await;
    check(&fake, &keys);
    let state = fake.lock();
    let attempts: BTreeSet<_> = state
        .outcomes
        .values()
        .map(|record| record.attempts)
        .collect();
    assert_eq!(attempts, BTreeSet::from([Some(1)]));
    let asked: u32 = state.judged.values().sum();
    assert!(
        asked < 200 + 64 + 130,
        "one job at a time is tried, not all of them: {asked}"
    );
}

#[tokio::test(start_paused = true)]
async fn poison_is_judged_once_and_what_always_fails_as_often_as_said() {
    let fake = Fake::new(2, None, true);
    let keys = ["n0", "s1", "x2", "g3"].map(str::to_owned);
    for key in &keys {
        fake.key(key);
    }
    let patience = Patience {
        attempts: 4,
        ..Patience::default()
    };
    let started = Instant::now();
    let done = async {
        while !fake.lock().jobs.is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    fake.worker(patience).run(done).await;
    check(&fake, &keys);
    // 1 + 2 + 4 seconds at most, half of it at least.
    let took = started.elapsed();
    assert!(
        (Duration::from_millis(3500)..Duration::from_secs(15)).contains(&took),
        "{took:?}"
    );
    let state = fake.lock();
    let judged: Vec<u32> = keys.iter().map(|key| state.judged[key]).collect();
    assert_eq!(judged, [1, 4, 4, 1]);
    assert_eq!(state.outcomes["s1"].attempts, Some(4));
    assert_eq!(
        state.outcomes["s1"]
            .error
            .as_ref()
            .expect("the last error")
            .kind,
        "test"
    );
}

#[tokio::test(start_paused = true)]
async fn what_each_worker_dies_of_has_an_outcome_that_tells_what_it_was() {
    let fake = Fake::new(4, None, true);
    let keys = ["g0".to_owned()];
    fake.key(&keys[0]);
    let patience = Patience {
        attempts: 3,
        ..Patience::default()
    };
    while fake.lock().jobs[&0].attempts < patience.attempts * ABANDONED {
        let taken = async {
            let before = fake.lock().jobs[&0].attempts;
            while fake.lock().jobs[&0].attempts == before {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            () = taken => {}
            _ = fake.worker(patience.clone()).run(quiet()) => {}
        }
    }
    let done = async {
        while !fake.lock().jobs.is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    fake.worker(patience).run(done).await;
    let state = fake.lock();
    let record = &state.outcomes["g0"];
    assert_eq!(record.error.as_ref().expect("an error").kind, "abandoned");
    assert_eq!(record.dead, Some(true));
    assert_eq!(record.context, Some(context("g0")));
    assert_eq!(state.judged.get("g0"), None);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_gives_back_what_it_has_not_begun() {
    let fake = Fake::new(3, None, true);
    for number in 0..100 {
        fake.key(&format!("g{number}"));
    }
    fake.lock().away = Some(Instant::now() + Duration::from_secs(3600));
    let patience = Patience::default();
    let drain = patience.drain;
    let worker = fake.worker(patience);
    let stopped = Instant::now() + Duration::from_secs(20);
    worker.run(tokio::time::sleep_until(stopped)).await;
    assert!(
        stopped.elapsed() < drain,
        "at once: {:?}",
        stopped.elapsed()
    );
    let state = fake.lock();
    assert_eq!(state.jobs.len(), 100);
    assert!(
        state.jobs.values().all(|job| job.lease.is_none()),
        "all are given back"
    );
    assert!(state.jobs.values().all(|job| job.attempts <= 1));
}
