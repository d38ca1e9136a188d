//! Chance submits, answers, breaks, cancels and lets time pass; the account must balance.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Submit { own_id: bool },
    Prepare(usize),
    FailPreparation(usize),
    Cancel(usize),
    ConnectionUp,
    ConnectionDown { connection: usize, fatal: bool },
    NoConnection { hopeless: bool },
    Send(usize),
    Answer(usize),
    AnswerAgain(usize),
    AnswerStranger(u8),
    GlobalError(usize),
    Pass(u32),
    Close,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any::<bool>().prop_map(|own_id| Event::Submit { own_id }),
        8 => any::<usize>().prop_map(Event::Prepare),
        1 => any::<usize>().prop_map(Event::FailPreparation),
        1 => any::<usize>().prop_map(Event::Cancel),
        2 => Just(Event::ConnectionUp),
        2 => (any::<usize>(), prop::bool::weighted(0.1))
            .prop_map(|(connection, fatal)| Event::ConnectionDown { connection, fatal }),
        1 => prop::bool::weighted(0.1).prop_map(|hopeless| Event::NoConnection { hopeless }),
        8 => any::<usize>().prop_map(Event::Send),
        8 => any::<usize>().prop_map(Event::Answer),
        2 => any::<usize>().prop_map(Event::AnswerAgain),
        1 => any::<u8>().prop_map(Event::AnswerStranger),
        1 => any::<usize>().prop_map(Event::GlobalError),
        6 => (0u32..20_000).prop_map(Event::Pass),
        1 => prop::bool::weighted(0.05).prop_map(|close| if close { Event::Close } else { Event::ConnectionUp }),
    ]
}

/// The world around the machine: what the service has got, and what callers were told.
struct World {
    machine: Machine<u64>,
    mint: Arc<Mint>,
    now: Instant,
    connections: Vec<ConnectionId>,
    unprepared: Vec<(Seq, Arc<str>)>,
    seqs: Vec<Seq>,
    /// Ids that the service has and did not answer yet; an id may be there twice.
    at_service: Vec<String>,
    answered: Vec<String>,
    sendings: HashMap<String, u32>,
    results: HashMap<u64, u32>,
    verdicts: u64,
    submissions: u64,
    /// Whether images might be prepared when somebody looked last.
    prepares: bool,
}

impl World {
    fn new() -> Self {
        let mint = Arc::new(Mint::new());
        // Few bytes, so that what waits to be sent holds up what is prepared.
        let mut rules = rules();
        rules.batch.bytes = 600;
        Self {
            machine: Machine::new(rules, Arc::clone(&mint)),
            mint,
            now: Instant::now(),
            connections: Vec::new(),
            unprepared: Vec::new(),
            seqs: Vec::new(),
            at_service: Vec::new(),
            answered: Vec::new(),
            sendings: HashMap::new(),
            results: HashMap::new(),
            verdicts: 0,
            submissions: 0,
            prepares: true,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Submit { own_id } => self.submit(own_id),
            Event::Prepare(pick) => {
                if let Some((seq, id)) = take(&mut self.unprepared, pick) {
                    self.machine.prepared(
                        self.now,
                        seq,
                        input(&id),
                        Vec::new(),
                        Provenance::default(),
                        None,
                    );
                }
            }
            Event::FailPreparation(pick) => {
                if let Some((seq, _)) = take(&mut self.unprepared, pick) {
                    let error = Error::new(ErrorKind::Undecodable, "no image");
                    self.machine.not_prepared(seq, error);
                }
            }
            Event::Cancel(pick) => {
                if let Some(seq) = take(&mut self.seqs, pick) {
                    self.machine.cancel(self.now, seq);
                }
            }
            Event::ConnectionUp if self.connections.len() < 3 => {
                self.connections.push(self.machine.connection_up(self.now))
            }
            Event::ConnectionUp => {}
            Event::ConnectionDown { connection, fatal } => {
                if let Some(connection) = take(&mut self.connections, connection) {
                    let error = Error::new(ErrorKind::Unavailable, "cut");
                    let how = Down {
                        fatal,
                        ..Down::default()
                    };
                    self.machine
                        .connection_down(self.now, connection, &error, how);
                }
            }
            Event::NoConnection { hopeless } => {
                let error = Error::new(ErrorKind::Connect, "no route");
                self.machine.no_connection(&error, hopeless);
            }
            Event::Send(pick) => self.send(pick),
            Event::Answer(pick) => {
                if let Some(id) = take(&mut self.at_service, pick) {
                    self.machine.answer(self.now, output(&id));
                    self.answered.push(id);
                }
            }
            Event::AnswerAgain(pick) => {
                if let Some(id) = nth(&self.answered, pick).cloned() {
                    self.machine.answer(self.now, output(&id));
                }
            }
            Event::AnswerStranger(number) => {
                self.machine
                    .answer(self.now, output(&format!("stranger-{number}")));
            }
            Event::GlobalError(pick) => {
                if let Some(&connection) = nth(&self.connections, pick) {
                    self.machine.global_error(connection, &service_error());
                }
            }
            Event::Pass(ms) => {
                self.now += Duration::from_millis(ms.into());
                self.machine.tick(self.now);
            }
            Event::Close => self.machine.close(),
        }
        self.check();
    }

    fn submit(&mut self, own_id: bool) {
        let name = self.submissions;
        self.submissions += 1;
        let id = if own_id {
            self.mint.next()
        } else {
            format!("caller-{name}").into()
        };
        let accepted = self
            .machine
            .accept(self.now, Arc::clone(&id), TIMEOUT, None, name);
        if let Ok(seq) = accepted {
            self.unprepared.push((seq, id));
            self.seqs.push(seq);
        }
    }

    fn send(&mut self, pick: usize) {
        let Some(&connection) = nth(&self.connections, pick) else {
            return;
        };
        if let Next::Send(inputs) = self.machine.next_request(self.now, connection) {
            assert!((1..=4).contains(&inputs.len()));
            for input in inputs {
                *self
                    .sendings
                    .entry(input.correlation_id.clone())
                    .or_default() += 1;
                self.at_service.push(input.correlation_id);
            }
        }
    }

    fn check(&mut self) {
        let effects = self.machine.take_effects();
        let prepares = self.machine.prepares();
        assert!(
            self.prepares || !prepares || effects.wake_room,
            "nobody is told that there is time to prepare again"
        );
        self.prepares = prepares;
        for ended in effects.ended {
            let (name, result) = (ended.waiter, ended.result);
            *self.results.entry(name).or_default() += 1;
            self.verdicts += u64::from(result.is_ok());
        }
        let stats = self.machine.stats();
        assert_eq!(
            stats.accepted,
            stats.verdicts + stats.errors() + stats.cancelled + stats.pending
        );
        assert_eq!(
            stats.pending,
            stats.preparing + stats.queued + stats.in_flight + stats.stranded
        );
        assert_eq!(stats.verdicts, self.verdicts);
        assert_eq!(stats.verdicts + stats.errors(), self.results.len() as u64);
        assert!(
            self.results.values().all(|&times| times == 1),
            "a result came twice"
        );
        let most = 1 + rules().resends;
        assert!(
            self.sendings.values().all(|&times| times <= most),
            "sent too often"
        );
        if let Some(next) = self.machine.next_tick() {
            assert!(next + TIMEOUT >= self.now, "a deadline was missed");
        }
    }
}

fn nth<T>(items: &[T], pick: usize) -> Option<&T> {
    items.get(pick.checked_rem(items.len())?)
}

fn take<T>(items: &mut Vec<T>, pick: usize) -> Option<T> {
    let index = pick.checked_rem(items.len())?;
    Some(items.swap_remove(index))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_accepted_image_ends_exactly_once(events in prop::collection::vec(event(), 0..200)) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
        }
        // Then time passes with nobody answering: every deadline comes.
        world.apply(Event::Pass(20_000));
        world.now += TIMEOUT;
        world.apply(Event::Pass(0));
        prop_assert_eq!(world.machine.stats().pending, 0);
        // What the service is thought to work on is forgotten as well.
        world.now += TIMEOUT * 10;
        world.apply(Event::Pass(0));
        prop_assert_eq!(world.machine.next_tick(), None);
    }

    #[test]
    fn with_a_working_service_everything_that_can_be_answered_is(
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
        }
        world.apply(Event::ConnectionUp);
        for _ in 0..40 {
            while !world.unprepared.is_empty() && world.machine.prepares() {
                world.apply(Event::Prepare(0));
            }
            for connection in 0..world.connections.len() {
                world.apply(Event::Send(connection));
            }
            while !world.at_service.is_empty() {
                world.apply(Event::Answer(0));
            }
            world.apply(Event::Pass(500));
        }
        prop_assert_eq!(world.machine.stats().pending, 0);
    }

    #[test]
    fn an_abort_leaves_nothing(events in prop::collection::vec(event(), 0..200)) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
        }
        let pending = world.machine.stats().pending;
        world.machine.abort(None);
        let undelivered = world.machine.abandoned().len();
        world.check();
        prop_assert_eq!(undelivered as u64, pending);
        prop_assert!(world.machine.has_drained());
        prop_assert_eq!(world.machine.next_tick(), None);
    }
}
