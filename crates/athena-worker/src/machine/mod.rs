//! What a worker does next: pure, told the time, without I/O.

mod breaker;
mod entry;
mod patience;
mod protocol;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use self::breaker::{Advice, Breaker};
use self::entry::{Entry, Phase};
pub use self::patience::{Lane, Patience};
pub(crate) use self::protocol::{Action, Ending, Held, Id, Judged, PutEnd};
use crate::seam::{Capabilities, Room};

/// A delivery that comes so many times as often as attempts are allowed, and was never finished, takes its workers
/// with it, or is always given back: it is dead, too.
pub(crate) const ABANDONED: u32 = 4;
/// How long to wait before the queue is asked again for what it has failed to do.
const QUEUE_REST: Duration = Duration::from_secs(1);

/// All that a worker knows.
#[derive(Debug)]
pub(crate) struct Machine {
    patience: Patience,
    capabilities: Capabilities,
    jobs: BTreeMap<Id, Entry>,
    waiting: [VecDeque<Id>; 2],
    bytes: usize,
    next: Id,
    breaker: Breaker,
    /// From when on nothing is waited for any more.
    deadline: Option<Instant>,
    actions: VecDeque<Action>,
    random: fastrand::Rng,
}

impl Machine {
    pub(crate) fn new(patience: Patience, capabilities: Capabilities, seed: u64) -> Self {
        // All that were under way when the service went away fail together: that is one failure.
        let limit = u32::try_from(patience.window).unwrap_or(u32::MAX).max(16);
        Self {
            patience,
            capabilities,
            jobs: BTreeMap::new(),
            waiting: [VecDeque::new(), VecDeque::new()],
            bytes: 0,
            next: 0,
            breaker: Breaker::new(limit),
            deadline: None,
            actions: VecDeque::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// How much to ask for, if anything.
    pub(crate) fn room(&self, lane: Lane) -> Option<Room> {
        if self.deadline.is_some() || self.breaker.is_open() {
            return None;
        }
        let jobs = self.most(lane).saturating_sub(self.jobs.len());
        let bytes = self.patience.bytes.saturating_sub(self.bytes);
        // The largest there may be must have room, or it never comes. An empty worker always has it.
        let fits = bytes >= self.patience.largest || self.jobs.is_empty();
        (jobs > 0 && fits).then_some(Room {
            jobs,
            bytes: bytes.max(self.patience.largest),
        })
    }

    /// Places that jobs of this lane may take.
    fn most(&self, lane: Lane) -> usize {
        let window = self.patience.window.max(1);
        match lane {
            Lane::Live => window,
            Lane::Backfill if window == 1 => 1,
            Lane::Backfill => window - window.div_ceil(8),
        }
    }

    pub(crate) fn received(&mut self, lane: Lane, bytes: usize, attempt: u32, now: Instant) -> Id {
        let id = self.next;
        self.next += 1;
        self.bytes += bytes;
        let entry = Entry {
            lane,
            bytes,
            attempt,
            phase: Phase::Waiting,
            extend_at: self.lease_third().map(|third| now + third),
        };
        self.jobs.insert(id, entry);
        if self.deadline.is_some() {
            self.give_back(id);
        } else if attempt > self.patience.attempts.saturating_mul(ABANDONED) {
            self.put(id, true);
        } else {
            self.waiting[lane as usize].push_back(id);
            self.begin(now);
        }
        id
    }

    pub(crate) fn judged(&mut self, id: Id, judged: Judged, now: Instant) {
        let Some(entry) = self.jobs.get(&id) else {
            return;
        };
        if !matches!(entry.phase, Phase::Judging { .. }) {
            return;
        }
        let tried = self.breaker.is_trying(id);
        let advice = match judged {
            Judged::Final { answered: true } => self.breaker.answered(),
            Judged::Away { .. } => self.breaker.failed(id, now),
            _ => self.breaker.ended(id),
        };
        match judged {
            Judged::Final { .. } => self.put(id, false),
            Judged::Malformed => self.put(id, true),
            Judged::Found { dead } => self.settle_found(id, dead),
            Judged::Failed { after } => self.failed(id, after, now),
            Judged::Away { after } if tried => self.failed(id, after, now),
            Judged::Away { after } => {
                let phase = match self.breaker.is_open() {
                    true => Phase::Kept,
                    false => Phase::InDoubt { after },
                };
                self.phase(id, phase);
                if self.deadline.is_some() {
                    self.give_back(id);
                }
            }
            Judged::QueueFailed => {
                let until = now + QUEUE_REST;
                self.phase(id, Phase::Resting { until });
                if self.deadline.is_some() {
                    self.give_back(id);
                }
            }
        }
        self.follow(advice, now);
        self.begin(now);
    }

    pub(crate) fn stored(&mut self, id: Id, stored: PutEnd, now: Instant) {
        let Some(entry) = self.jobs.get(&id) else {
            return;
        };
        let Phase::Putting { dead } = entry.phase else {
            return;
        };
        match stored {
            PutEnd::Stored => self.settle_found(id, dead),
            PutEnd::AlreadyThere { dead } => self.settle_found(id, dead),
            PutEnd::Failed => {
                let at = now + QUEUE_REST;
                self.phase(id, Phase::PutAgain { at, dead });
            }
        }
    }

    /// The delivery is settled, or will come again.
    pub(crate) fn settled(&mut self, id: Id, now: Instant) {
        if let Some(entry) = self.jobs.remove(&id) {
            self.bytes -= entry.bytes;
        }
        self.begin(now);
    }

    pub(crate) fn probed(&mut self, there: bool, now: Instant) {
        let advice = self.breaker.probed(there, now);
        self.follow(advice, now);
        self.begin(now);
    }

    /// Takes nothing more on; what is not under way is given back.
    pub(crate) fn stop(&mut self, now: Instant) {
        if self.deadline.is_some() {
            return;
        }
        self.deadline = Some(now + self.patience.drain);
        self.waiting = [VecDeque::new(), VecDeque::new()];
        let idle: Vec<Id> = self.with_phase(|phase| {
            !matches!(
                phase,
                Phase::Judging { .. }
                    | Phase::Putting { .. }
                    | Phase::PutAgain { .. }
                    | Phase::Settling
            )
        });
        for id in idle {
            self.give_back(id);
        }
    }

    /// What has become due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let late = self.with_phase(|phase| !matches!(phase, Phase::Settling));
            for id in late {
                self.actions.push_back(Action::Cancel(id));
                self.give_back(id);
            }
            return;
        }
        let advice = self.breaker.tick(now);
        self.follow(advice, now);
        let lease = self.lease_third();
        let mut due = Vec::new();
        for (&id, entry) in &mut self.jobs {
            if entry.extend_at.is_some_and(|at| at <= now) && entry.phase != Phase::Settling {
                entry.extend_at = lease.map(|third| now + third);
                self.actions.push_back(Action::Extend(id));
            }
            match entry.phase {
                Phase::Resting { until } if until <= now => due.push((id, None)),
                Phase::PutAgain { at, dead } if at <= now => due.push((id, Some(dead))),
                _ => {}
            }
        }
        for (id, dead) in due {
            match dead {
                Some(dead) => self.put(id, dead),
                None => self.wait_again(id),
            }
        }
        self.begin(now);
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let jobs = self.jobs.values().flat_map(|entry| {
            let due = match entry.phase {
                Phase::Resting { until } => Some(until),
                Phase::PutAgain { at, .. } => Some(at),
                _ => None,
            };
            let extend = entry.extend_at.filter(|_| entry.phase != Phase::Settling);
            due.into_iter().chain(extend)
        });
        let Some(deadline) = self.deadline else {
            return jobs.chain(self.breaker.next_wake()).min();
        };
        // Whether the service comes back is nothing to wait for any more.
        let unsettled = (self.jobs.values()).any(|entry| entry.phase != Phase::Settling);
        jobs.chain(unsettled.then_some(deadline)).min()
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// How often it was tried, this time included.
    pub(crate) fn attempt(&self, id: Id) -> Option<u32> {
        self.jobs.get(&id).map(|entry| entry.attempt)
    }

    /// Whether the worker was told to stop and holds nothing any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.deadline.is_some() && self.jobs.is_empty()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.deadline.is_some()
    }

    pub(crate) fn held(&self) -> Held {
        let mut held = Held {
            away: self.breaker.is_open(),
            ..Held::default()
        };
        for entry in self.jobs.values() {
            match entry.lane {
                Lane::Live => held.live += 1,
                Lane::Backfill => held.backfill += 1,
            }
            if let Phase::Judging { since } = entry.phase {
                held.under_way += 1;
                held.oldest = Some(held.oldest.map_or(since, |oldest| oldest.min(since)));
            }
        }
        held
    }

    /// Begins what there are places for, live jobs first.
    fn begin(&mut self, now: Instant) {
        if !self.breaker.lets_through() || self.deadline.is_some() {
            return;
        }
        let mut under_way = (self.jobs.values())
            .filter(|entry| matches!(entry.phase, Phase::Judging { .. }))
            .count();
        for lane in Lane::ALL {
            while under_way < self.most(lane)
                && let Some(id) = self.waiting[lane as usize].pop_front()
            {
                self.judge(id, now);
                under_way += 1;
            }
        }
    }

    fn judge(&mut self, id: Id, now: Instant) {
        self.phase(id, Phase::Judging { since: now });
        self.actions.push_back(Action::Judge(id));
    }

    fn follow(&mut self, advice: Advice, now: Instant) {
        match advice {
            Advice::None => {}
            Advice::Probe => self.actions.push_back(Action::Probe),
            Advice::Blame => {
                for (id, after) in self.doubted() {
                    self.failed(id, after, now);
                }
            }
            Advice::Keep => {
                for (id, _) in self.doubted() {
                    self.phase(id, Phase::Kept);
                }
            }
            Advice::Try => {
                // The one that has been kept for longest may be the one that always fails.
                let kept = self.with_phase(|phase| phase == Phase::Kept);
                let job = match kept.len() {
                    0 => self.pop_waiting(),
                    many => Some(kept[self.random.usize(..many)]),
                };
                if let Some(id) = job {
                    self.judge(id, now);
                }
                let advice = self.breaker.trying(job);
                self.follow(advice, now);
            }
            Advice::Begin => {
                for id in self.with_phase(|phase| phase == Phase::Kept) {
                    self.wait_again(id);
                }
            }
        }
    }

    fn pop_waiting(&mut self) -> Option<Id> {
        self.waiting.iter_mut().find_map(VecDeque::pop_front)
    }

    fn doubted(&self) -> Vec<(Id, Option<Duration>)> {
        let doubted = self
            .jobs
            .iter()
            .filter_map(|(&id, entry)| match entry.phase {
                Phase::InDoubt { after } => Some((id, after)),
                _ => None,
            });
        doubted.collect()
    }

    fn with_phase(&self, which: impl Fn(Phase) -> bool) -> Vec<Id> {
        let found = self.jobs.iter().filter(|(_, entry)| which(entry.phase));
        found.map(|(&id, _)| id).collect()
    }

    fn wait_again(&mut self, id: Id) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        entry.phase = Phase::Waiting;
        self.waiting[entry.lane as usize].push_front(id);
    }

    /// An attempt is used up.
    fn failed(&mut self, id: Id, after: Option<Duration>, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        if entry.attempt >= self.patience.attempts {
            return self.put(id, true);
        }
        let doubled = entry.attempt.saturating_sub(1).min(20);
        let wait = self.patience.retry_first.saturating_mul(1 << doubled);
        // Half of it by chance, so that those that failed together do not come back together.
        let wait = wait.min(self.patience.retry_longest);
        let wait = wait.mul_f64(0.5 + self.random.f64() / 2.0);
        let after = after.map_or(wait, |asked| {
            wait.max(asked.min(self.patience.retry_longest))
        });
        if self.capabilities.delay {
            self.settle(id, Ending::Retry(after));
        } else if self.deadline.is_some() {
            self.give_back(id);
        } else {
            entry.attempt += 1;
            entry.phase = Phase::Resting { until: now + after };
        }
    }

    fn put(&mut self, id: Id, dead: bool) {
        self.phase(id, Phase::Putting { dead });
        self.actions.push_back(Action::Put { id, dead });
    }

    /// The outcome is known to be stored.
    fn settle_found(&mut self, id: Id, dead: bool) {
        let ending = match dead {
            true => Ending::Dead,
            false => Ending::Done,
        };
        self.settle(id, ending);
    }

    fn give_back(&mut self, id: Id) {
        self.settle(id, Ending::Retry(Duration::ZERO));
    }

    fn settle(&mut self, id: Id, ending: Ending) {
        self.phase(id, Phase::Settling);
        self.actions.push_back(Action::Settle(id, ending));
    }

    fn phase(&mut self, id: Id, phase: Phase) {
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.phase = phase;
        }
    }

    /// Extended when a third of the lease is over: two may be lost.
    fn lease_third(&self) -> Option<Duration> {
        self.capabilities.lease.map(|lease| lease / 3)
    }
}
