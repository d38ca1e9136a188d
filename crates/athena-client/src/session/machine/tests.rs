//! The state machine by hand, step by step. `properties` lets chance do it.

use athena_proto::{ClassificationError, ClassificationOutput, ErrorCode};

use super::*;
use crate::error::Oversized;

mod properties;

const TIMEOUT: Duration = Duration::from_secs(60);

fn rules() -> Rules {
    Rules {
        batch: BatchLimits {
            images: 4,
            bytes: 4096,
            linger: Duration::from_millis(10),
        },
        capacity: 16,
        resends: 1,
        request_time: Duration::from_secs(4),
        grace: Duration::from_secs(2),
    }
}

/// A machine whose waiters are names, and a clock that moves when it is told to.
struct Bench {
    machine: Machine<&'static str>,
    now: Instant,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        Self {
            machine: Machine::new(rules, Arc::new(Mint::new())),
            now: Instant::now(),
        }
    }

    fn accept(&mut self, id: &'static str) -> Seq {
        self.machine
            .accept(self.now, id.into(), TIMEOUT, None, id)
            .unwrap()
    }

    /// Accepts and prepares.
    fn submit(&mut self, id: &'static str) -> Seq {
        let seq = self.accept(id);
        self.machine.prepared(
            self.now,
            seq,
            input(id),
            Vec::new(),
            Provenance::default(),
            None,
        );
        seq
    }

    fn connection_up(&mut self) -> ConnectionId {
        self.machine.connection_up(self.now)
    }

    fn connection_down(&mut self, connection: ConnectionId) {
        let error = Error::new(ErrorKind::Unavailable, "cable cut");
        self.machine
            .connection_down(self.now, connection, &error, Down::default());
    }

    /// The ids of the next request.
    fn send(&mut self, connection: ConnectionId) -> Vec<String> {
        match self.machine.next_request(self.now, connection) {
            Next::Send(inputs) => inputs.into_iter().map(|i| i.correlation_id).collect(),
            Next::Wait(_) | Next::End => Vec::new(),
        }
    }

    fn answer(&mut self, id: &str) {
        self.machine.answer(self.now, output(id));
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.machine.tick(self.now);
    }

    fn ended(&mut self) -> Vec<(&'static str, Result<Verdict, Error>)> {
        let ended = self.machine.take_effects().ended.into_iter();
        ended.map(|ended| (ended.waiter, ended.result)).collect()
    }

    /// The one result that there is now.
    fn error(&mut self) -> Error {
        let mut ended = self.ended();
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended.remove(0).1.unwrap_err()
    }

    fn verdicts(&mut self) -> Vec<&'static str> {
        self.ended()
            .into_iter()
            .map(|(id, result)| {
                assert_eq!(result.unwrap().correlation_id(), id);
                id
            })
            .collect()
    }
}

fn input(id: &str) -> ClassificationInput {
    ClassificationInput {
        correlation_id: id.to_owned(),
        data: vec![0; 100].into(),
        ..ClassificationInput::default()
    }
}

fn output(id: &str) -> ClassificationOutput {
    ClassificationOutput {
        correlation_id: id.to_owned(),
        classifications: vec![athena_proto::Classification {
            label: "UnknownCSAM-PCSAM".to_owned(),
            weight: 0.25,
        }],
        error: None,
    }
}

fn service_error() -> ClassificationError {
    ClassificationError {
        code: ErrorCode::ModelError.into(),
        message: "overheated".to_owned(),
        details: String::new(),
    }
}

#[test]
fn batches_are_kept_to_what_the_service_takes() {
    for told in [Some(200), None] {
        let mut bench = Bench::new(rules());
        let connection = bench.connection_up();
        for id in ["a", "b", "c", "d"] {
            bench.submit(id);
        }
        assert_eq!(bench.send(connection).len(), 4);
        let mut connection = connection;
        let mut batches = Vec::new();
        // As many refusals as there can be: of four, then of two, then of one.
        for _ in 0..3 {
            let error = Error::new(ErrorKind::TooLarge, "too large")
                .with_oversized(Oversized { limit: told });
            bench
                .machine
                .connection_down(bench.now, connection, &error, Down::default());
            connection = bench.connection_up();
            bench.advance(rules().grace);
            batches.push(bench.send(connection).len());
            if told.is_some() {
                break;
            }
        }
        let largest = batches.iter().max().copied();
        assert!(largest < Some(4), "{told:?}: {batches:?}");
        assert_eq!(
            *batches.last().unwrap(),
            if told.is_some() { batches[0] } else { 1 }
        );
    }
}

#[test]
fn a_guess_at_the_services_limit_refuses_no_image() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("a");
    bench.submit("b");
    assert_eq!(bench.send(connection).len(), 2);
    // Not so much as was sent, it says, and names a limit that would have admitted it.
    let error = Error::new(ErrorKind::TooLarge, "too large").with_oversized(Oversized {
        limit: Some(1 << 30),
    });
    bench
        .machine
        .connection_down(bench.now, connection, &error, Down::default());
    let large = ClassificationInput {
        data: vec![0; 2000].into(),
        ..input("c")
    };
    let seq = bench.accept("c");
    bench.machine.prepared(
        bench.now,
        seq,
        large,
        Vec::new(),
        Provenance::default(),
        None,
    );
    assert!(bench.ended().is_empty());
    let connection = bench.connection_up();
    bench.advance(rules().grace);
    let mut batches: Vec<_> = (0..3).map(|_| bench.send(connection)).collect();
    batches.sort();
    assert_eq!(batches, [["a"], ["b"], ["c"]]);
}

#[test]
fn an_image_that_the_service_does_not_take_alone_ends_and_the_others_go_on() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("a");
    assert_eq!(bench.send(connection), ["a"]);
    let error =
        Error::new(ErrorKind::TooLarge, "too large").with_oversized(Oversized { limit: None });
    bench
        .machine
        .connection_down(bench.now, connection, &error, Down::default());
    assert_eq!(bench.error().kind(), ErrorKind::TooLarge);
}

#[test]
fn results_go_to_their_own_images_in_any_order() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    for id in ["a", "b", "c"] {
        bench.submit(id);
    }
    assert_eq!(bench.send(connection), ["a", "b", "c"]);
    bench.answer("c");
    bench.answer("a");
    assert_eq!(bench.verdicts(), ["c", "a"]);
    assert_eq!(bench.machine.stats().in_flight, 1);
}

#[test]
fn the_same_id_twice_in_flight_is_refused_and_free_again_afterwards() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("a");
    let refused = bench
        .machine
        .accept(bench.now, "a".into(), TIMEOUT, None, "second");
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);
    bench.send(connection);
    bench.answer("a");
    assert_eq!(bench.verdicts(), ["a"]);
    bench.submit("a");
    let stats = bench.machine.stats();
    assert_eq!((stats.accepted, stats.refused), (2, 1));
}

#[test]
fn an_image_larger_than_a_message_fails_alone_and_says_both_sizes() {
    let mut bench = Bench::new(rules());
    let seq = bench.accept("big");
    let mut big = input("big");
    big.data = vec![0; 5000].into();
    bench
        .machine
        .prepared(bench.now, seq, big, Vec::new(), Provenance::default(), None);
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.delivery(), Delivery::NotSent);
    let text = error.to_string();
    assert!(text.contains("4096") && text.contains("50"), "{text}");
}

#[test]
fn after_a_break_results_are_waited_for_then_images_are_sent_again() {
    let mut bench = Bench::new(rules());
    let first = bench.connection_up();
    for id in ["kept", "lost"] {
        bench.submit(id);
    }
    bench.send(first);
    bench.connection_down(first);
    bench.advance(Duration::from_secs(10));
    assert_eq!(
        bench.machine.stats().stranded,
        2,
        "no grace while nothing is connected"
    );

    let second = bench.connection_up();
    bench.answer("kept");
    assert_eq!(bench.verdicts(), ["kept"]);
    assert!(bench.send(second).is_empty());
    assert_eq!(bench.machine.next_tick(), Some(bench.now + rules().grace));
    bench.advance(rules().grace);
    assert_eq!(bench.send(second), ["lost"]);
    // Both the first and the second sending are answered: one result, one duplicate.
    bench.answer("lost");
    bench.answer("lost");
    assert_eq!(bench.verdicts(), ["lost"]);
    let stats = bench.machine.stats();
    assert_eq!((stats.resent, stats.duplicates, stats.unclaimed), (1, 1, 0));
}

#[test]
fn resends_are_bounded_and_the_error_says_that_the_service_may_have_seen_it() {
    let mut bench = Bench::new(rules());
    bench.submit("a");
    for _ in 0..2 {
        let connection = bench.connection_up();
        bench.advance(rules().grace);
        assert_eq!(bench.send(connection), ["a"]);
        bench.connection_down(connection);
    }
    bench.connection_up();
    bench.advance(rules().grace);
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert!(error.is_transient());
}

#[test]
fn connections_that_end_with_their_token_do_not_count_as_resends() {
    let mut bench = Bench::new(rules());
    let expired = Down {
        rejected: true,
        ..Down::default()
    };
    bench.submit("a");
    for _ in 0..5 {
        let connection = bench.connection_up();
        bench.advance(rules().grace);
        assert_eq!(bench.send(connection), ["a"]);
        let error = Error::new(ErrorKind::Authentication, "expired");
        bench
            .machine
            .connection_down(bench.now, connection, &error, expired);
    }
    assert_eq!(bench.machine.stats().errors(), 0);
}

#[test]
fn without_resends_nothing_is_sent_twice() {
    let mut bench = Bench::new(Rules {
        resends: 0,
        ..rules()
    });
    let connection = bench.connection_up();
    bench.submit("a");
    bench.send(connection);
    bench.submit("unsent");
    bench.connection_down(connection);
    let connection = bench.connection_up();
    assert_eq!(bench.send(connection), ["unsent"]);
    bench.advance(rules().grace);
    assert_eq!(bench.error().correlation_id(), Some("a"));
}

#[test]
fn with_another_connection_up_grace_begins_at_once() {
    let mut bench = Bench::new(rules());
    let (one, two) = (bench.connection_up(), bench.connection_up());
    bench.submit("a");
    bench.send(one);
    bench.connection_down(one);
    bench.advance(rules().grace);
    assert_eq!(bench.send(two), ["a"]);
}

#[test]
fn a_hopeless_failure_ends_what_waits_and_keeps_what_is_being_prepared() {
    let mut bench = Bench::new(rules());
    bench.submit("waiting");
    bench.accept("preparing");
    let error = Error::new(ErrorKind::Tls, "not trusted");
    bench.machine.no_connection(&error, true);
    assert_eq!(bench.error().kind(), ErrorKind::Tls);
    assert_eq!(bench.machine.stats().preparing, 1);
}

#[test]
fn a_request_that_the_service_refuses_takes_only_its_own_images_down() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("poison");
    bench.send(connection);
    bench.submit("later");
    let error = Error::new(ErrorKind::InvalidRequest, "bad");
    let fatal = Down {
        fatal: true,
        ..Down::default()
    };
    bench
        .machine
        .connection_down(bench.now, connection, &error, fatal);
    let error = bench.error();
    assert_eq!(error.correlation_id(), Some("poison"));
    assert_eq!(error.delivery(), Delivery::Unknown);
    let connection = bench.connection_up();
    assert_eq!(bench.send(connection), ["later"]);
}

/// Has as much wait to be sent as two requests of 4,096 bytes take.
fn hold_up(bench: &mut Bench) {
    for id in ["a", "b", "c"] {
        assert!(bench.machine.prepares());
        let seq = bench.accept(id);
        let input = ClassificationInput {
            data: vec![0; 3000].into(),
            ..input(id)
        };
        (bench.machine).prepared(
            bench.now,
            seq,
            input,
            Vec::new(),
            Provenance::default(),
            None,
        );
    }
}

#[test]
fn what_waits_to_be_sent_holds_up_what_is_accepted_and_prepared() {
    let mut bench = Bench::new(rules());
    hold_up(&mut bench);
    assert!(!bench.machine.prepares());
    assert!(!bench.machine.admits(bench.now, Some(100)));
    let connection = bench.connection_up();
    bench.machine.take_effects();
    assert_eq!(bench.send(connection), ["a"]);
    assert!(bench.machine.take_effects().wake_room);
    assert!(bench.machine.prepares());
    assert!(bench.machine.admits(bench.now, Some(100)));
}

#[test]
fn an_image_that_was_held_up_until_its_time_is_over_was_not_sent() {
    let mut bench = Bench::new(rules());
    bench.accept("held up");
    bench.advance(Duration::from_millis(1));
    hold_up(&mut bench);
    bench.advance(TIMEOUT);
    let errors = bench.ended().into_iter().map(|(_, result)| result);
    let said: Vec<_> = errors
        .map(|result| result.unwrap_err().to_string())
        .collect();
    assert_eq!(said.len(), 4);
    assert!(
        said.iter().all(|said| said.contains("not sent")),
        "{said:?}"
    );
}

#[test]
fn nothing_is_held_up_where_no_connection_is_to_be_had() {
    let mut bench = Bench::new(rules());
    hold_up(&mut bench);
    bench.machine.take_effects();
    let error = Error::new(ErrorKind::Connect, "no route");
    bench.machine.no_connection(&error, true);
    assert!(bench.machine.take_effects().wake_room);
    for id in ["d", "e", "f"] {
        bench.submit(id);
    }
    assert!(bench.machine.prepares());
}

#[test]
fn each_stage_has_its_own_timeout_error() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("sent");
    bench.send(connection);
    bench.advance(Duration::from_millis(1));
    bench.submit("queued");
    bench.accept("preparing");
    bench.advance(TIMEOUT);
    let errors: Vec<_> = bench
        .ended()
        .into_iter()
        .map(|(_, r)| r.unwrap_err())
        .collect();
    let delivery: Vec<_> = errors.iter().map(Error::delivery).collect();
    use Delivery::{NotSent, Unknown};
    assert_eq!(delivery, [Unknown, NotSent, NotSent]);
    for (error, stage) in errors.iter().zip(["answered", "sent", "prepared"]) {
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.to_string().contains(stage), "{error}");
    }
    // An answer that comes too late is nobody else's.
    bench.answer("sent");
    assert_eq!(bench.machine.stats().duplicates, 1);
}

#[test]
fn a_timeout_while_disconnected_names_the_last_failure() {
    let mut bench = Bench::new(rules());
    bench.submit("a");
    let error = Error::new(ErrorKind::Connect, "no route");
    bench.machine.no_connection(&error, false);
    bench.advance(TIMEOUT);
    let error = bench.error();
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "no route");
}

#[test]
fn results_of_others_are_offered_bounded_and_counted() {
    let mut bench = Bench::new(rules());
    bench.connection_up();
    for number in 0..MOST_UNCLAIMED + 1 {
        bench.answer(&number.to_string());
    }
    let stats = bench.machine.stats();
    assert_eq!(stats.unclaimed, MOST_UNCLAIMED as u64 + 1);
    assert_eq!(stats.unclaimed_dropped, 1);
    assert_eq!(bench.machine.pop_unclaimed().unwrap().correlation_id, "1");
}

#[test]
fn an_answer_for_an_image_that_was_not_sent_is_not_its_result() {
    let mut bench = Bench::new(rules());
    bench.connection_up();
    bench.submit("a");
    bench.answer("a"); // of an earlier process with the same id
    assert!(bench.ended().is_empty());
    assert_eq!(bench.machine.stats().unclaimed, 1);
}

#[test]
fn a_global_error_fails_its_batch_and_no_other() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    for id in ["a", "b"] {
        bench.submit(id);
        bench.advance(rules().batch.linger);
        assert_eq!(bench.send(connection), [id]);
    }
    bench.machine.global_error(connection, &service_error());
    assert!(bench.ended().is_empty(), "it could be either");
    bench.answer("b");
    let ended = bench.ended();
    assert_eq!(ended[0].0, "b");
    let error = ended[1].1.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Service);
    assert!(error.to_string().contains("overheated"));
    assert!(!error.is_of_image(), "the request failed, not its image");
}

#[test]
fn an_unplaced_global_error_is_named_when_its_suspects_time_out() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    for id in ["a", "b"] {
        bench.submit(id);
        bench.advance(rules().batch.linger);
        bench.send(connection);
    }
    bench.machine.global_error(connection, &service_error());
    bench.advance(TIMEOUT);
    let ended = bench.ended();
    assert_eq!(ended.len(), 2);
    for (_, result) in ended {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Service);
        assert!(error.to_string().contains("may have been"), "{error}");
        assert!(!error.is_of_image());
    }
}

#[test]
fn an_undecodable_image_is_an_error_with_the_word_on_its_hashes() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    let seq = bench.accept("broken");
    let undecodable = Error::new(ErrorKind::Undecodable, "no image");
    bench.machine.prepared(
        bench.now,
        seq,
        input("broken"),
        Vec::new(),
        Provenance::default(),
        Some(undecodable),
    );
    assert_eq!(bench.send(connection), ["broken"]);
    bench.answer("broken");
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::Undecodable);
    assert!(error.hash_verdict().is_some());
}

/// Accepts an animation of which three frames are judged.
fn animation(bench: &mut Bench, id: &'static str) -> Seq {
    let seq = bench.accept(id);
    let further = vec![(4, input(id)), (8, input(id))];
    let provenance = Provenance::default();
    bench
        .machine
        .prepared(bench.now, seq, input(id), further, provenance, None);
    seq
}

fn weighing(id: &str, label: &str, weight: f32) -> ClassificationOutput {
    ClassificationOutput {
        classifications: vec![athena_proto::Classification {
            label: label.to_owned(),
            weight,
        }],
        ..output(id)
    }
}

const PCSAM: &str = "UnknownCSAM-PCSAM";

#[test]
fn frames_are_sent_one_after_the_other_and_are_one_image() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    animation(&mut bench, "film");
    let mut ids = Vec::new();
    for weight in [0.1, 0.7, 0.2] {
        let sent = bench.send(connection);
        assert_eq!(sent.len(), 1, "one at a time");
        assert_ne!(sent[0], "film", "a frame's answer is not the image's");
        assert!(!ids.contains(&sent[0]));
        // Neither an answer to the image nor a late one to another frame is one to this frame.
        bench.answer("film");
        ids.iter().for_each(|id: &String| bench.answer(id));
        assert!(bench.ended().is_empty());
        let answer = weighing(&sent[0], PCSAM, weight);
        bench.machine.answer(bench.now, answer);
        ids.extend(sent);
    }
    let mut ended = bench.ended();
    assert_eq!(ended.len(), 1);
    let verdict = ended.remove(0).1.expect("a verdict");
    assert_eq!(verdict.correlation_id(), "film");
    assert_eq!((verdict.pcsam(), verdict.frame()), (Some(0.7), Some(4)));
    assert_eq!(verdict.sends(), Some(3));
    let places: Vec<u32> = verdict.frames().map(|(place, _)| place).collect();
    assert_eq!(places, [0, 4, 8]);
    let stats = bench.machine.stats();
    assert_eq!((stats.accepted, stats.verdicts, stats.pending), (1, 1, 0));
    assert_eq!((stats.in_flight, stats.duplicates), (0, 3));
}

#[test]
fn no_frame_is_sent_after_one_of_known_content() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    animation(&mut bench, "film");
    let sent = bench.send(connection);
    let known = weighing(&sent[0], "KnownCSAM-MD5", 1.0);
    bench.machine.answer(bench.now, known);
    let verdict = bench.ended().remove(0).1.expect("a verdict");
    assert!(verdict.known_match());
    assert_eq!((verdict.frame(), verdict.frames().len()), (Some(0), 1));
    assert!(bench.send(connection).is_empty());
}

#[test]
fn a_frame_whose_connection_broke_is_sent_again_and_no_other() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    animation(&mut bench, "film");
    let first = bench.send(connection).remove(0);
    bench
        .machine
        .answer(bench.now, weighing(&first, PCSAM, 0.1));
    let second = bench.send(connection);
    bench.connection_down(connection);
    let connection = bench.connection_up();
    assert!(bench.send(connection).is_empty(), "an answer may wait");
    bench.advance(rules().grace);
    assert_eq!(bench.send(connection), second);
    bench
        .machine
        .answer(bench.now, weighing(&second[0], PCSAM, 0.1));
    let third = bench.send(connection).remove(0);
    bench.machine.global_error(connection, &service_error());
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::Service);
    assert_eq!(error.correlation_id(), Some("film"));
    assert_eq!(error.sends(), Some(4));
    bench.answer(&third);
    assert!(bench.ended().is_empty(), "it has ended");
}

#[test]
fn an_animation_that_is_given_up_leaves_nothing() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    let seq = animation(&mut bench, "film");
    let first = bench.send(connection).remove(0);
    bench
        .machine
        .answer(bench.now, weighing(&first, PCSAM, 0.1));
    bench.machine.cancel(bench.now, seq);
    assert!(bench.send(connection).is_empty());
    // Its id is free again.
    bench.submit("film");
    assert_eq!(bench.send(connection), ["film"]);
    bench.answer("film");
    assert_eq!(bench.verdicts(), ["film"]);
}

#[test]
fn cancelled_images_leave_the_queue() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    let seq = bench.submit("a");
    bench.submit("b");
    assert_eq!(bench.machine.cancel(bench.now, seq), Some("a"));
    assert_eq!(bench.machine.cancel(bench.now, seq), None);
    assert_eq!(bench.send(connection), ["b"]);
    let stats = bench.machine.stats();
    assert_eq!((stats.cancelled, stats.pending), (1, 1));
}

#[test]
fn closing_drains_and_then_ends_the_stream() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("a");
    bench.machine.close();
    let refused = bench
        .machine
        .accept(bench.now, "b".into(), TIMEOUT, None, "b");
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(bench.send(connection), ["a"]);
    assert!(matches!(
        bench.machine.next_request(bench.now, connection),
        Next::Wait(None)
    ));
    bench.answer("a");
    assert!(bench.machine.has_drained());
    assert!(matches!(
        bench.machine.next_request(bench.now, connection),
        Next::End
    ));
}

#[test]
fn an_abort_hands_back_what_has_no_result() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("sent");
    bench.send(connection);
    bench.submit("unsent");
    bench.machine.abort(None);
    let undelivered = bench.machine.abandoned();
    assert_eq!(undelivered[0], ("sent".into(), Delivery::Unknown));
    assert_eq!(undelivered[1], ("unsent".into(), Delivery::NotSent));
    assert_eq!(bench.ended().len(), 2);
    assert_eq!(bench.machine.stats().errors(), 2);
}

#[test]
fn senders_are_woken_for_the_first_image_and_for_a_full_batch() {
    let mut bench = Bench::new(rules());
    let connection = bench.connection_up();
    bench.submit("a");
    assert!(bench.machine.take_effects().wake_senders);
    bench.send(connection);
    for (id, wakes) in [("b", true), ("c", false), ("d", false), ("e", true)] {
        bench.machine.take_effects();
        bench.submit(id);
        assert_eq!(bench.machine.take_effects().wake_senders, wakes, "{id}");
    }
}
