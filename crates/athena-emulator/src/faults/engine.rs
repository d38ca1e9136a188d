use std::sync::Mutex;
use std::time::Duration;

use athena_proto::ErrorCode;
use tonic::Status;

use super::{Delay, Faults, RejectStatus, TokenFault, When};
use crate::Error;
use crate::config::FOR_EVER;
use crate::sync::lock;

/// Decides, event by event, what goes wrong.
pub(crate) struct Engine(Mutex<Plan>);

struct Plan {
    faults: Faults,
    random: fastrand::Rng,
    seen: Seen,
}

/// How many of each event there have been since the plan was set.
#[derive(Default)]
struct Seen {
    calls: u64,
    messages: u64,
    results: u64,
    tokens: u64,
    struck: u64,
}

/// What happens to a message of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageFault {
    Cut,
    Lose,
    Disconnect,
    GoAway,
    GlobalError,
}

/// What happens to a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ResultFault {
    pub(crate) delay: Duration,
    pub(crate) reorder: Option<Reorder>,
    pub(crate) swallow: bool,
    pub(crate) duplicate: bool,
    pub(crate) error: Option<ErrorCode>,
}

/// A result's place among those of the same window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reorder {
    pub(crate) window: Duration,
    pub(crate) place: u64,
}

impl Engine {
    pub(crate) fn new(faults: Faults) -> Result<Self, Error> {
        faults.check()?;
        Ok(Self(Mutex::new(Plan::new(faults))))
    }

    /// Starts another plan from its beginning.
    pub(crate) fn set(&self, faults: Faults) -> Result<(), Error> {
        faults.check()?;
        *lock(&self.0) = Plan::new(faults);
        Ok(())
    }

    pub(crate) fn current(&self) -> Faults {
        lock(&self.0).faults.clone()
    }

    /// How many faults have struck since the plan was set.
    pub(crate) fn struck(&self) -> u64 {
        lock(&self.0).seen.struck
    }

    /// The status to refuse a call with.
    pub(crate) fn call(&self) -> Option<Status> {
        let plan = &mut *lock(&self.0);
        plan.seen.calls += 1;
        let reject = plan.faults.reject?;
        if !plan.strikes(Some(reject.when), plan.seen.calls) {
            return None;
        }
        let message = "rejected by fault injection";
        let mut status = match reject.status {
            RejectStatus::Unavailable => Status::unavailable(message),
            RejectStatus::ResourceExhausted => Status::resource_exhausted(message),
            RejectStatus::Unauthenticated => Status::unauthenticated(message),
            RejectStatus::PermissionDenied => Status::permission_denied(message),
            RejectStatus::Internal => Status::internal(message),
        };
        if let Some(pushback) = reject.pushback {
            let pushback = u64::try_from(pushback.as_millis()).unwrap_or(u64::MAX);
            status
                .metadata_mut()
                .insert("grpc-retry-pushback-ms", pushback.into());
        }
        Some(status)
    }

    /// The fault of a message with inputs; the most drastic one, should several strike.
    pub(crate) fn message(&self) -> Option<MessageFault> {
        let plan = &mut *lock(&self.0);
        plan.seen.messages += 1;
        let faults = &plan.faults;
        let candidates = [
            (faults.disconnect, MessageFault::Disconnect),
            (faults.lose, MessageFault::Lose),
            (faults.cut, MessageFault::Cut),
            (faults.goaway, MessageFault::GoAway),
            (faults.global_error, MessageFault::GlobalError),
        ];
        let number = plan.seen.messages;
        candidates
            .into_iter()
            .find_map(|(when, fault)| plan.strikes(when, number).then_some(fault))
    }

    /// The faults of one result.
    pub(crate) fn result(&self) -> ResultFault {
        let plan = &mut *lock(&self.0);
        plan.seen.results += 1;
        let number = plan.seen.results;
        let Faults {
            swallow,
            duplicate,
            image_error,
            delay,
            reorder,
            ..
        } = plan.faults;
        ResultFault {
            delay: delay.map_or(Duration::ZERO, |delay| plan.draw(delay)),
            reorder: reorder.map(|window| Reorder {
                window: window.min(FOR_EVER),
                place: plan.random.u64(..),
            }),
            swallow: plan.strikes(swallow, number),
            duplicate: plan.strikes(duplicate, number),
            error: image_error
                .filter(|error| plan.strikes(Some(error.when), number))
                .map(|error| error.code),
        }
    }

    /// The fault of a token request.
    pub(crate) fn token(&self) -> Option<TokenFault> {
        let plan = &mut *lock(&self.0);
        plan.seen.tokens += 1;
        let token = plan.faults.token?;
        plan.strikes(Some(token.when), plan.seen.tokens)
            .then_some(token.fault)
    }
}

impl Plan {
    fn new(faults: Faults) -> Self {
        Self {
            random: fastrand::Rng::with_seed(faults.seed),
            seen: Seen::default(),
            faults,
        }
    }

    fn strikes(&mut self, when: Option<When>, occurrence: u64) -> bool {
        let strikes = when.is_some_and(|when| when.strikes(occurrence, &mut self.random));
        self.seen.struck += u64::from(strikes);
        strikes
    }

    fn draw(&mut self, delay: Delay) -> Duration {
        match delay {
            Delay::Constant(time) => time.min(FOR_EVER),
            Delay::Uniform { min, max } => {
                let (min, max) = (min.min(FOR_EVER), max.min(FOR_EVER));
                min + max.saturating_sub(min).mul_f64(self.random.f64())
            }
            // By inversion; 1 - u lies in (0, 1], so the logarithm is finite.
            Delay::Exponential(mean) => mean.min(FOR_EVER).mul_f64(-(1.0 - self.random.f64()).ln()),
        }
    }
}
