//! Random schedules of calls, expiries, failures, rejections and disappearing runtimes, against
//! what the cache promises.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

type Cache = Machine<u64, u64, &'static str>;

#[derive(Clone, Debug)]
enum Event {
    /// Time passes.
    Pass(Duration),
    /// This many callers ask.
    Call(usize),
    /// The endpoint answers the attempt under way.
    Answer(Answer),
    /// The runtime of the flight goes away, and its tasks with it.
    Vanish,
    /// The runtime of the flight is not driven any more: it neither reports nor ends.
    Freeze,
    /// The server rejects the token obtained this many tokens ago.
    Reject(u64),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Token(Option<Duration>),
    Transient(Option<Duration>),
    Refusal,
}

fn event() -> impl Strategy<Value = Event> {
    let span = prop_oneof![
        (0_u64..2_000).prop_map(Duration::from_millis),
        (0_u64..400_000).prop_map(Duration::from_millis),
    ];
    let lifetime = prop_oneof![
        (50_u64..5_000).prop_map(|ms| Some(Duration::from_millis(ms))),
        (1_u64..7_200).prop_map(|s| Some(Duration::from_secs(s))),
        Just(Some(Duration::MAX)),
        Just(None),
    ];
    let retry_after = proptest::option::of((0_u64..500).prop_map(Duration::from_secs));
    let answer = prop_oneof![
        3 => lifetime.prop_map(Answer::Token),
        2 => retry_after.prop_map(Answer::Transient),
        1 => Just(Answer::Refusal),
    ];
    prop_oneof![
        4 => span.prop_map(Event::Pass),
        6 => (1_usize..4).prop_map(Event::Call),
        6 => answer.prop_map(Event::Answer),
        1 => Just(Event::Vanish),
        1 => Just(Event::Freeze),
        1 => (0_u64..3).prop_map(Event::Reject),
    ]
}

/// What the shell around the machine does, with a clock and an endpoint that obey the schedule.
struct World {
    cache: Cache,
    now: Duration,
    share: f64,
    flight: Option<Running>,
    /// When each waiting caller began to wait.
    waiting: Vec<Duration>,
    expiry: Vec<Option<Duration>>,
    rejected: HashSet<u64>,
    last_attempt: Option<Duration>,
}

#[derive(Clone, Copy)]
struct Running {
    id: FlightId,
    due: Duration,
    asked: Option<Duration>,
    limit: Duration,
    frozen: bool,
}

impl World {
    fn new(share: f64) -> Self {
        Self {
            cache: Cache::new(Timing::default()),
            now: Duration::ZERO,
            share,
            flight: None,
            waiting: Vec::new(),
            expiry: Vec::new(),
            rejected: HashSet::new(),
            last_attempt: None,
        }
    }

    fn is_good(&self, token: u64) -> bool {
        let expiry = self.expiry[usize::try_from(token).expect("small")];
        !self.rejected.contains(&token) && expiry.is_none_or(|expiry| self.now < expiry)
    }

    /// Asks for one caller; notes it if it has to wait.
    fn call(&mut self, since: Duration) {
        let had_token = self.cache.valid(self.now).is_some();
        let in_flight = self.flight;
        match self.cache.call(self.now) {
            Decision::Use(token, launch) => {
                assert!(
                    self.is_good(token),
                    "an expired or rejected token was handed out"
                );
                self.launch(launch, in_flight);
            }
            Decision::Wait(launch, _) => {
                self.launch(launch, in_flight);
                self.waiting.push(since);
            }
            Decision::Fail(_) => assert!(
                !had_token,
                "a caller saw a failure while the token was valid"
            ),
        }
    }

    fn launch(&mut self, launch: Option<Launch>, in_flight: Option<Running>) {
        let Some(launch) = launch else { return };
        assert!(
            in_flight.is_none_or(|flight| flight.frozen),
            "two flights at once"
        );
        self.flight = Some(Running {
            id: launch.id,
            due: launch.first_attempt,
            asked: None,
            limit: Duration::MAX,
            frozen: false,
        });
    }

    /// Starts the attempt that is due, as the flight's task does.
    fn run_flight(&mut self) {
        let Some(flight) = self.flight.as_mut().filter(|flight| !flight.frozen) else {
            return;
        };
        if flight.asked.is_none() && flight.due <= self.now {
            flight.limit = self
                .cache
                .attempt(flight.id, self.now)
                .expect("a live flight was replaced");
            flight.asked = Some(self.now);
            if let Some(last) = self.last_attempt {
                assert!(
                    self.now >= last + SPACING,
                    "attempts less than a second apart"
                );
            }
            self.last_attempt = Some(self.now);
        }
    }

    /// Lets time pass; attempts start when they are due and time out when their limit is over.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(flight) = self.flight.filter(|flight| !flight.frozen) {
            let next = flight
                .asked
                .map_or(flight.due, |asked| asked + flight.limit);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            match flight.asked {
                Some(_) => self.answer(Answer::Transient(None)),
                None => self.run_flight(),
            }
        }
        self.now = end;
    }

    fn answer(&mut self, answer: Answer) {
        let Some(Running {
            id,
            asked: Some(asked),
            frozen: false,
            ..
        }) = self.flight
        else {
            return;
        };
        let failure = match answer {
            Answer::Token(lifetime) => {
                let lifetime =
                    lifetime.map(|lifetime| lifetime.min(Duration::from_secs(365 * 86_400)));
                if lifetime.is_none_or(|lifetime| asked + lifetime > self.now) {
                    let token = self.expiry.len() as u64;
                    self.expiry.push(lifetime.map(|lifetime| asked + lifetime));
                    assert!(
                        self.cache
                            .succeeded(id, asked, (token, token), lifetime, self.share)
                    );
                    self.flight = None;
                    self.hand_over(token);
                    return;
                }
                Failure {
                    transient: true,
                    retry_after: None,
                }
            }
            Answer::Transient(retry_after) => Failure {
                transient: true,
                retry_after,
            },
            Answer::Refusal => Failure {
                transient: false,
                retry_after: None,
            },
        };
        match self
            .cache
            .failed(id, self.now, "failed", failure, self.share)
        {
            AfterFailure::Retry(next) => {
                assert!(failure.transient, "a refusal was tried again");
                let flight = self.flight.as_mut().expect("it is running");
                (flight.due, flight.asked) = (next, None);
            }
            AfterFailure::Settle(Ok(token), _) => {
                self.flight = None;
                self.hand_over(token);
            }
            AfterFailure::Settle(Err(_), _) => {
                assert!(
                    self.cache.valid(self.now).is_none(),
                    "callers saw a failure while the token was valid"
                );
                self.flight = None;
                self.waiting.clear();
            }
            AfterFailure::Superseded => panic!("a live flight was replaced"),
        }
    }

    /// Those who wait get the flight's token.
    fn hand_over(&mut self, token: u64) {
        assert!(
            self.is_good(token),
            "an expired or rejected token was handed out"
        );
        self.waiting.clear();
    }

    /// Those who wait ask again.
    fn wake(&mut self) {
        for since in std::mem::take(&mut self.waiting) {
            self.call(since);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Pass(span) => self.pass(span),
            Event::Call(callers) => (0..callers).for_each(|_| self.call(self.now)),
            Event::Answer(answer) => self.answer(answer),
            Event::Vanish => {
                if let Some(flight) = self.flight.take() {
                    self.cache.abandoned(flight.id);
                    self.wake();
                }
            }
            Event::Freeze => {
                if let Some(flight) = &mut self.flight {
                    flight.frozen = true;
                }
            }
            Event::Reject(age) => {
                if let Some(token) = (self.expiry.len() as u64).checked_sub(1 + age) {
                    let was_current = self
                        .cache
                        .current
                        .as_ref()
                        .is_some_and(|current| current.key == token);
                    assert_eq!(self.cache.invalidate(&token, self.now), was_current);
                    self.rejected.insert(token);
                }
            }
        }
        self.run_flight();
        if self.flight.is_some_and(|flight| flight.frozen) {
            // As callers do whose flight made no report in time.
            self.wake();
        }
        self.check_published();
    }

    /// Up to the published time, asking the machine would change nothing.
    fn check_published(&self) {
        let Some((token, until)) = self.cache.quiet() else {
            return;
        };
        for now in [
            self.now,
            self.now + Duration::from_millis(700),
            until.saturating_sub(Duration::from_nanos(1)),
        ] {
            if now >= self.now && now < until {
                assert_eq!(
                    self.cache.clone().call(now),
                    Decision::Use(token, None),
                    "at {now:?} of {until:?}"
                );
            }
        }
    }

    /// With an endpoint that works again and time that passes, nobody is left behind.
    fn finish(mut self) {
        self.call(self.now);
        for _ in 0..2_000 {
            if self.waiting.is_empty() {
                return;
            }
            self.step(Event::Pass(Duration::from_millis(100)));
            self.answer(Answer::Token(Some(Duration::from_secs(60))));
        }
        panic!("{} callers were left waiting", self.waiting.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_keeps_the_promises(
        events in proptest::collection::vec(event(), 1..120),
        share in 0.0..=1.0_f64,
    ) {
        let mut world = World::new(share);
        for event in events {
            world.step(event);
        }
        world.finish();
    }

    #[test]
    fn the_turning_points_of_any_lifetime_are_in_order(
        lifetime in 0_u64..10_000_000_000,
        refresh in 0_u64..1_000_000,
        wait in 0_u64..1_000_000,
        share in 0.0..=1.0_f64,
    ) {
        let timing = Timing::default()
            .refresh_before(Duration::from_millis(refresh))
            .wait_before(Duration::from_millis(wait));
        let plan = timing.plan(Some(Duration::from_millis(lifetime)), share);
        prop_assert!(plan.refresh <= plan.wait);
        prop_assert!(plan.wait <= plan.expiry);
        prop_assert!(plan.expiry <= Duration::from_millis(lifetime));
        prop_assert!(plan.refresh >= plan.expiry * 3 / 4);
    }
}
