//! The laws of the seam and of the worker, over a queue that does everything wrong that a queue may do.
//!
//! Time is virtual. Workers are dropped at any moment, leases end, settlements and answers are lost on the way,
//! the service goes away for minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use athena_outcome::Status;
use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::seam::{Capabilities, Room};

const LEASE: Duration = Duration::from_secs(30);

/// How a job of the fake fares, by the first letter of its key.
fn class(key: &str) -> char {
    key.chars().next().unwrap_or('?')
}

#[derive(Debug)]
struct Queued {
    body: Bytes,
    attempts: u32,
    visible: Instant,
    /// Names the delivery that has it.
    lease: Option<u64>,
}

#[derive(Debug)]
struct State {
    jobs: BTreeMap<u64, Queued>,
    outcomes: BTreeMap<String, Record>,
    dead: BTreeSet<String>,
    random: fastrand::Rng,
    leases: u64,
    /// One operation in so many goes wrong.
    faults: Option<u32>,
    delay: bool,
    /// The service does not answer until then.
    away: Option<Instant>,
    judged: BTreeMap<String, u32>,
    broken: Vec<String>,
}

/// A queue, its outcomes and a service.
#[derive(Clone, Debug)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn new(seed: u64, faults: Option<u32>, delay: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            jobs: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            dead: BTreeSet::new(),
            random: fastrand::Rng::with_seed(seed),
            leases: 0,
            faults,
            delay,
            away: None,
            judged: BTreeMap::new(),
            broken: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, body: impl Into<Bytes>) {
        let mut state = self.lock();
        let number = state.jobs.len() as u64;
        let job = Queued {
            body: body.into(),
            attempts: 0,
            visible: Instant::now(),
            lease: None,
        };
        state.jobs.insert(number, job);
    }

    fn key(&self, key: &str) {
        self.submit(Job::of_bytes(key, key.as_bytes().to_vec()).to_json());
    }

    fn fault(&self) -> bool {
        let state = &mut *self.lock();
        state
            .faults
            .is_some_and(|one_in| state.random.u32(..one_in) == 0)
    }

    /// Waits for as long as the other side takes.
    async fn far_away(&self) {
        let pause = self.lock().random.u64(..20);
        sleep(Duration::from_millis(pause)).await;
    }

    fn worker(&self, patience: Patience) -> Worker<Self, Self, Self> {
        let mut worker = Worker::builder(self.clone(), self.clone())
            .live(self.clone())
            .patience(patience)
            .build();
        worker.seed = 7;
        worker
    }
}

#[derive(Debug)]
struct Lease {
    fake: Fake,
    number: u64,
    lease: u64,
    message: Message,
}

impl Lease {
    fn with<T>(&self, change: impl FnOnce(&mut State, u64) -> T) -> Option<T> {
        let mut state = self.fake.lock();
        let held = (state.jobs.get(&self.number)).is_some_and(|job| job.lease == Some(self.lease));
        held.then(|| change(&mut state, self.number))
    }
}

impl Delivery for Lease {
    fn message(&self) -> &Message {
        &self.message
    }

    async fn extend(&self) -> Result<(), QueueError> {
        self.fake.far_away().await;
        if self.fake.fault() {
            return Err(QueueError::new("lost"));
        }
        self.with(|state, number| {
            let job = state.jobs.get_mut(&number).expect("held");
            job.visible = Instant::now() + LEASE;
        });
        Ok(())
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), QueueError> {
        self.fake.far_away().await;
        if self.fake.fault() {
            return Err(QueueError::new("lost"));
        }
        let key = match Job::read(&self.message, &JobLimits::default()) {
            Ok(job) => job.key,
            Err(_) => self.message.name.clone(),
        };
        // The law of laws.
        if !matches!(settlement, Settlement::Retry { .. })
            && !self.fake.lock().outcomes.contains_key(&key)
        {
            let text = format!("{key} is settled without an outcome: {settlement:?}");
            self.fake.lock().broken.push(text);
        }
        self.with(|state, number| match settlement {
            Settlement::Done => {
                state.jobs.remove(&number);
            }
            Settlement::Dead { .. } => {
                state.dead.insert(key);
                state.jobs.remove(&number);
            }
            Settlement::Retry { after } => {
                if !state.delay && after > Duration::ZERO {
                    state
                        .broken
                        .push("a queue without delays was told to delay".to_owned());
                }
                let job = state.jobs.get_mut(&number).expect("held");
                job.visible = Instant::now() + after;
                job.lease = None;
            }
        });
        Ok(())
    }
}

impl Intake for Fake {
    type Delivery = Lease;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            lease: Some(LEASE),
            delay: self.lock().delay,
        }
    }

    async fn receive(&mut self, room: Room) -> Result<Vec<Lease>, QueueError> {
        for _ in 0..20 {
            self.far_away().await;
            if self.fault() {
                return Err(QueueError::new("no answer"));
            }
            let mut taken = Vec::new();
            {
                let state = &mut *self.lock();
                for (&number, job) in &mut state.jobs {
                    if taken.len() < room.jobs && job.visible <= Instant::now() {
                        state.leases += 1;
                        job.lease = Some(state.leases);
                        job.visible = Instant::now() + LEASE;
                        job.attempts += 1;
                        taken.push(Lease {
                            fake: Self(Arc::clone(&self.0)),
                            number,
                            lease: state.leases,
                            message: Message {
                                name: format!("FAKE:{number}"),
                                body: job.body.clone(),
                                key: None,
                                affiliate: None,
                                frames: None,
                                context: None,
                                trace: None,
                                attempt: job.attempts,
                                first_seen: SystemTime::UNIX_EPOCH,
                            },
                        });
                    }
                }
            }
            // Handed out, and lost on the way.
            if self.fault() {
                taken.pop();
            }
            if !taken.is_empty() {
                return Ok(taken);
            }
            sleep(Duration::from_millis(150)).await;
        }
        Ok(Vec::new())
    }

    async fn close(self) -> Vec<Lease> {
        Vec::new()
    }
}

impl Outcomes for Fake {
    async fn find(&self, key: &str) -> Result<Option<Record>, QueueError> {
        self.far_away().await;
        match self.fault() {
            true => Err(QueueError::new("no answer")),
            false => Ok(self.lock().outcomes.get(key).cloned()),
        }
    }

    async fn put_once(
        &self,
        key: &str,
        record: &Record,
        _: Option<&str>,
    ) -> Result<Put, QueueError> {
        self.far_away().await;
        if self.fault() {
            return Err(QueueError::new("it did not get there"));
        }
        let there = {
            let mut state = self.lock();
            let there = state.outcomes.get(key).cloned();
            if there.is_none() {
                state.outcomes.insert(key.to_owned(), record.clone());
            }
            there
        };
        self.far_away().await;
        if self.fault() {
            return Err(QueueError::new("its answer did not get here"));
        }
        Ok(there.map_or(Put::Stored, |record| Put::AlreadyThere(Box::new(record))))
    }
}

impl Judge for Fake {
    async fn judge(&self, job: Job) -> Judgement {
        self.far_away().await;
        let away = |fake: &Self| fake.lock().away.is_some_and(|until| until > Instant::now());
        let mut record = Record::with_key(&*job.key);
        *self.lock().judged.entry(job.key.clone()).or_default() += 1;
        record.fail("test", "x");
        let end = match class(&job.key) {
            // It never gets as far as the service.
            'n' => End::Final,
            // Its store is down for good.
            's' => End::Failed { after: None },
            _ if away(self) => End::Away { after: None },
            // Whatever it is, the service goes away from it.
            'x' => End::Away { after: None },
            // Sometimes.
            'f' if self.lock().random.u32(..3) > 0 => End::Failed { after: None },
            'f' | 'g' => {
                record.error = None;
                record.status = Status::Classified;
                End::Answered
            }
            other => panic!("no class {other}"),
        };
        Judgement { record, end }
    }

    async fn probe(&self) -> bool {
        self.far_away().await;
        self.lock().away.is_none_or(|until| until <= Instant::now())
    }
}

/// What each job must come to.
fn check(fake: &Fake, keys: &[String]) {
    let state = fake.lock();
    assert_eq!(state.broken, Vec::<String>::new());
    assert!(state.jobs.is_empty(), "nothing is left: {:?}", state.jobs);
    let mut dead = BTreeSet::new();
    for key in keys {
        let record = state.outcomes.get(key).expect("each job has an outcome");
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
