//! The shell around the machine.
//!
//! Nothing is spawned. Whoever drops the worker's future stops all of it, and what it held comes again from the
//! queue when its lease is over.

mod run;

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until};

use self::run::Run;
use crate::figures::Figures;
use crate::job::JobLimits;
use crate::judge::Judge;
use crate::machine::{Lane, Machine, Patience};
use crate::seam::{Intake, Outcomes};

/// A worker: see the [crate's documentation](crate).
#[derive(Debug)]
pub struct Worker<I, O, J> {
    intakes: [Option<I>; 2],
    outcomes: Arc<O>,
    judge: Arc<J>,
    patience: Patience,
    limits: JobLimits,
    figures: Figures,
    seed: u64,
}

/// The configuration of a [`Worker`].
#[derive(Debug)]
#[must_use]
pub struct WorkerBuilder<I, O, J>(Worker<I, O, J>);

impl<I, O, J> WorkerBuilder<I, O, J> {
    /// Where jobs come from that somebody waits for.
    pub fn live(mut self, intake: I) -> Self {
        self.0.intakes[Lane::Live as usize] = Some(intake);
        self
    }

    /// Where jobs come from that have time.
    pub fn backfill(mut self, intake: I) -> Self {
        self.0.intakes[Lane::Backfill as usize] = Some(intake);
        self
    }

    /// How much to take on, and how long to go on trying.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.0.patience = patience;
        self
    }

    /// What a job may have.
    pub fn limits(mut self, limits: JobLimits) -> Self {
        self.0.limits = limits;
        self
    }

    /// The worker, which does nothing until it [runs](Worker::run).
    pub fn build(self) -> Worker<I, O, J> {
        self.0
    }
}

impl<I: Intake, O: Outcomes, J: Judge> Worker<I, O, J> {
    /// Starts the configuration of a worker.
    pub fn builder(judge: J, outcomes: O) -> WorkerBuilder<I, O, J> {
        WorkerBuilder(Self {
            intakes: [None, None],
            outcomes: Arc::new(outcomes),
            judge: Arc::new(judge),
            patience: Patience::default(),
            limits: JobLimits::default(),
            figures: Figures::default(),
            seed: fastrand::u64(..),
        })
    }

    /// Its figures, while it runs and afterwards.
    pub fn figures(&self) -> Figures {
        self.figures.clone()
    }

    /// Works until `stop` completes. Then nothing more is taken on: what is under way has
    /// [its time](Patience::drain) to end, and the rest is given back at once.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Figures {
        let capabilities = (self.intakes.iter().flatten())
            .map(Intake::capabilities)
            .next()
            .unwrap_or_default();
        let machine = Machine::new(self.patience.clone(), capabilities, self.seed);
        let intakes = std::mem::take(&mut self.intakes);
        let mut run = Run::new(&self, machine, intakes);
        let mut stop = pin!(stop.fuse());
        loop {
            run.act();
            self.figures
                .held(&run.machine.held(), run.machine.is_stopping());
            if run.has_ended() {
                return self.figures.clone();
            }
            let wake = run.machine.next_wake();
            let due = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = &mut stop, if !run.machine.is_stopping() => run.machine.stop(Instant::now()),
                () = due => run.machine.tick(Instant::now()),
                Some(event) = run.work.next() => run.see(event),
            }
        }
    }
}

#[cfg(test)]
mod laws;
