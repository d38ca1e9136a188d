//! A queue, its outcomes and a service, in memory: with every fault that they may have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use athena_outcome::{Record, Status};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::job::{Job, JobLimits};
use crate::judge::{End, Judge, Judgement};
use crate::machine::Patience;
use crate::seam::{
    Capabilities, Delivery, Intake, Message, Outcomes, Put, QueueError, Room, Settlement,
};
use crate::worker::Worker;

const LEASE: Duration = Duration::from_secs(30);

/// How a job of the fake fares, by the first letter of its key.
pub(super) fn class(key: &str) -> char {
    key.chars().next().unwrap_or('?')
}

/// What is submitted with it.
pub(super) fn context(key: &str) -> Value {
    json!({ "post": key })
}

#[derive(Debug)]
pub(super) struct Queued {
    body: Bytes,
    pub(super) attempts: u32,
    visible: Instant,
    /// Names the delivery that has it.
    pub(super) lease: Option<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) jobs: BTreeMap<u64, Queued>,
    pub(super) outcomes: BTreeMap<String, Record>,
    pub(super) dead: BTreeSet<String>,
    random: fastrand::Rng,
    leases: u64,
    /// One operation in so many goes wrong.
    faults: Option<u32>,
    delay: bool,
    /// The service does not answer until then.
    pub(super) away: Option<Instant>,
    pub(super) judged: BTreeMap<String, u32>,
    pub(super) broken: Vec<String>,
}

/// A queue, its outcomes and a service.
#[derive(Clone, Debug)]
pub(super) struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub(super) fn new(seed: u64, faults: Option<u32>, delay: bool) -> Self {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, body: impl Into<Bytes>) {
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

    pub(super) fn key(&self, key: &str) {
        let mut job = Job::of_bytes(key, key.as_bytes().to_vec());
        job.context = Some(context(key));
        self.submit(job.to_json());
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

    pub(super) fn worker(&self, patience: Patience) -> Worker<Self, Self, Self> {
        let mut worker = Worker::builder(self.clone(), self.clone())
            .live(self.clone())
            .patience(patience)
            .build();
        worker.seed = 7;
        worker
    }
}

#[derive(Debug)]
pub(super) struct Lease {
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
                                file: None,
                                trace: None,
                                attempt: job.attempts,
                                first_seen: SystemTime::UNIX_EPOCH,
                                problem: None,
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
        _: Option<&athena_gateway::TraceContext>,
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
        let mut record = job.record();
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
