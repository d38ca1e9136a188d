use super::*;

fn machine(window: usize) -> Machine {
    let patience = Patience {
        window,
        attempts: 3,
        ..Patience::default()
    };
    let capabilities = Capabilities {
        lease: Some(Duration::from_secs(30)),
        delay: true,
    };
    Machine::new(patience, capabilities, 1)
}

fn without_leases(delay: bool) -> Machine {
    let capabilities = Capabilities { lease: None, delay };
    Machine::new(Patience::default(), capabilities, 1)
}

fn actions(machine: &mut Machine) -> Vec<Action> {
    std::iter::from_fn(|| machine.next_action()).collect()
}

fn judging(machine: &mut Machine) -> Vec<Id> {
    let judged = actions(machine)
        .into_iter()
        .filter_map(|action| match action {
            Action::Judge(id) => Some(id),
            _ => None,
        });
    judged.collect()
}

#[tokio::test(start_paused = true)]
async fn live_jobs_go_first_and_always_have_a_place() {
    let now = Instant::now();
    let mut machine = machine(16);
    assert_eq!(machine.room(Lane::Backfill).expect("room").jobs, 14);
    for _ in 0..14 {
        machine.received(Lane::Backfill, 10, 1, now);
    }
    assert_eq!(machine.room(Lane::Backfill), None);
    assert_eq!(machine.room(Lane::Live).expect("room").jobs, 2);
    // Asked for before, and more than there is room for now.
    let waiting = machine.received(Lane::Backfill, 10, 1, now);
    assert_eq!(judging(&mut machine).len(), 14);
    let live: Vec<Id> = (0..4)
        .map(|_| machine.received(Lane::Live, 10, 1, now))
        .collect();
    assert_eq!(judging(&mut machine), live[..2]);
    machine.judged(0, Judged::Final { answered: true }, now);
    assert_eq!(judging(&mut machine), [live[2]]);
    machine.judged(live[0], Judged::Final { answered: true }, now);
    assert_eq!(judging(&mut machine), [live[3]]);
    for id in 1..5 {
        machine.judged(id, Judged::Final { answered: true }, now);
    }
    assert_eq!(judging(&mut machine), [waiting]);
}

#[test]
fn a_window_of_one_is_there_for_both_lanes() {
    let machine = machine(1);
    assert_eq!(machine.room(Lane::Backfill).expect("room").jobs, 1);
}

#[tokio::test(start_paused = true)]
async fn failures_between_answers_are_not_in_a_row() {
    let now = Instant::now();
    let mut machine = machine(16);
    let away = Judged::Away { after: None };
    for answered in [false, true] {
        if answered {
            let id = machine.received(Lane::Live, 1, 1, now);
            machine.judged(id, Judged::Final { answered }, now);
            machine.settled(id, now);
        }
        for _ in 0..8 {
            let id = machine.received(Lane::Live, 1, 1, now);
            machine.judged(id, away.clone(), now);
            machine.probed(true, now);
            machine.settled(id, now);
        }
    }
    assert!(machine.room(Lane::Live).is_some(), "8, an answer, and 8");
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_and_the_largest_job_has_room() {
    let now = Instant::now();
    let mut machine = machine(64);
    let room = machine.room(Lane::Live).expect("room");
    assert_eq!((room.jobs, room.bytes), (64, 256 << 20));
    let id = machine.received(Lane::Live, 250 << 20, 1, now);
    assert_eq!(machine.room(Lane::Live), None);
    machine.settled(id, now);
    assert!(machine.room(Lane::Live).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_extended_until_it_is_settled() {
    let now = Instant::now();
    let mut machine = machine(1);
    let ids = [
        machine.received(Lane::Live, 1, 1, now),
        machine.received(Lane::Live, 1, 1, now),
    ];
    actions(&mut machine);
    let third = now + Duration::from_secs(10);
    assert_eq!(machine.next_wake(), Some(third));
    machine.tick(third);
    assert_eq!(actions(&mut machine), ids.map(Action::Extend));
    machine.judged(ids[0], Judged::Final { answered: true }, third);
    machine.stored(ids[0], PutEnd::Stored, third);
    actions(&mut machine);
    machine.tick(third + Duration::from_secs(10));
    assert_eq!(actions(&mut machine), [Action::Extend(ids[1])]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_only_when_the_service_is_there() {
    let now = Instant::now();
    let mut machine = machine(4);
    let away = Judged::Away { after: None };
    let first = machine.received(Lane::Live, 1, 1, now);
    actions(&mut machine);
    machine.judged(first, away.clone(), now);
    assert_eq!(actions(&mut machine), [Action::Probe]);
    machine.probed(true, now);
    let [Action::Settle(id, Ending::Retry(after))] = actions(&mut machine)[..] else {
        panic!("its own fault");
    };
    assert!(id == first && after > Duration::ZERO);
    machine.settled(first, now);

    let second = machine.received(Lane::Live, 1, 3, now);
    actions(&mut machine);
    machine.judged(second, away.clone(), now);
    machine.probed(false, now);
    assert_eq!(actions(&mut machine), [Action::Probe]);
    assert_eq!(machine.room(Lane::Live), None);
    assert!(machine.held().away);
    let later = machine.next_wake().expect("it asks again");
    machine.tick(later);
    assert_eq!(actions(&mut machine), [Action::Probe]);
    machine.probed(true, later);
    assert_eq!(actions(&mut machine), [Action::Judge(second)]);
    machine.judged(second, Judged::Final { answered: true }, later);
    assert!(!machine.held().away && machine.room(Lane::Live).is_some());
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_in_a_row_are_the_services_whatever_it_answers() {
    let now = Instant::now();
    let mut machine = machine(4);
    let mut failed = 0;
    while machine.room(Lane::Live).is_some() {
        let id = machine.received(Lane::Live, 1, 1, now);
        machine.judged(id, Judged::Away { after: None }, now);
        machine.probed(true, now);
        if actions(&mut machine)
            .iter()
            .any(|action| matches!(action, Action::Settle(..)))
        {
            machine.settled(id, now);
        }
        failed += 1;
    }
    assert_eq!(failed, 16);
    // One is tried, and that one uses up an attempt: it may be the reason.
    let later = machine.next_wake().expect("it asks again");
    machine.tick(later);
    machine.probed(true, later);
    assert_eq!(actions(&mut machine), [Action::Probe, Action::Judge(15)]);
    machine.judged(15, Judged::Away { after: None }, later);
    assert!(matches!(
        actions(&mut machine)[..],
        [Action::Settle(15, Ending::Retry(_))]
    ));
    assert!(machine.held().away);
}

#[tokio::test(start_paused = true)]
async fn what_is_always_given_back_is_dead_in_the_end() {
    let now = Instant::now();
    let mut machine = machine(4);
    let judged = machine.received(Lane::Live, 1, 12, now);
    assert_eq!(judging(&mut machine), [judged]);
    let id = machine.received(Lane::Live, 1, 13, now);
    assert_eq!(actions(&mut machine), [Action::Put { id, dead: true }]);
    machine.stored(id, PutEnd::Failed, now);
    machine.tick(now + Duration::from_secs(1));
    assert_eq!(actions(&mut machine), [Action::Put { id, dead: true }]);
    machine.stored(id, PutEnd::AlreadyThere { dead: false }, now);
    assert_eq!(actions(&mut machine), [Action::Settle(id, Ending::Done)]);
}

#[tokio::test(start_paused = true)]
async fn who_stops_finishes_what_is_under_way_and_waits_no_longer_than_said() {
    let now = Instant::now();
    let mut machine = machine(1);
    let under_way = machine.received(Lane::Live, 1, 1, now);
    let waiting = machine.received(Lane::Live, 1, 1, now);
    actions(&mut machine);
    machine.stop(now);
    let back = Ending::Retry(Duration::ZERO);
    assert_eq!(actions(&mut machine), [Action::Settle(waiting, back)]);
    machine.settled(waiting, now);
    let late = machine.received(Lane::Live, 1, 1, now);
    assert_eq!(actions(&mut machine), [Action::Settle(late, back)]);
    machine.settled(late, now);
    assert!(!machine.has_ended());
    let deadline = now + Patience::default().drain;
    machine.tick(deadline);
    let ended = [Action::Cancel(under_way), Action::Settle(under_way, back)];
    assert_eq!(actions(&mut machine), ended);
    machine.settled(under_way, deadline);
    assert!(machine.has_ended());
}

#[tokio::test(start_paused = true)]
async fn after_the_last_moment_nothing_is_waited_for_but_what_was_begun() {
    let now = Instant::now();
    let mut machine = machine(2);
    let away = machine.received(Lane::Live, 1, 1, now);
    machine.judged(away, Judged::Away { after: None }, now);
    machine.probed(false, now);
    machine.stop(now);
    let deadline = now + Patience::default().drain;
    machine.tick(deadline);
    assert_eq!(
        machine.next_wake(),
        None,
        "the service is away, and that wakes nobody"
    );
    assert!(!machine.has_ended(), "it is being given back");
    machine.settled(away, deadline);
    assert!(machine.has_ended());
}

#[tokio::test(start_paused = true)]
async fn each_failure_waits_twice_as_long_up_to_a_bound_and_half_of_it_by_chance() {
    let now = Instant::now();
    let patience = Patience {
        window: 1,
        ..Patience::default()
    };
    let capabilities = Capabilities {
        lease: None,
        delay: true,
    };
    let waits = |attempt, asked: Option<u64>| {
        let waits = (0..200).map(|seed| {
            let mut machine = Machine::new(patience.clone(), capabilities, seed);
            let id = machine.received(Lane::Live, 1, attempt, now);
            let after = asked.map(Duration::from_secs);
            machine.judged(id, Judged::Failed { after }, now);
            match actions(&mut machine)[..] {
                [Action::Judge(_), Action::Settle(_, Ending::Retry(after))] => after.as_secs_f64(),
                ref other => panic!("{other:?}"),
            }
        });
        waits.fold((f64::MAX, 0.0), |(least, most), wait| {
            (f64::min(least, wait), f64::max(most, wait))
        })
    };
    for (attempt, whole) in [(1, 1.0), (2, 2.0), (5, 16.0)] {
        let (least, most) = waits(attempt, None);
        assert!(least >= whole / 2.0 && least < whole * 0.55, "{least}");
        assert!(most <= whole && most > whole * 0.95, "{most}");
    }
    // The service's word counts where it is longer, up to the bound.
    assert_eq!(waits(1, Some(5)), (5.0, 5.0));
    assert_eq!(waits(1, Some(10_000)), (600.0, 600.0));
    let patience = Patience {
        attempts: 100,
        ..patience.clone()
    };
    let mut machine = Machine::new(patience, capabilities, 1);
    let id = machine.received(Lane::Live, 1, 99, now);
    machine.judged(id, Judged::Failed { after: None }, now);
    let Some(Action::Settle(_, Ending::Retry(after))) = actions(&mut machine).pop() else {
        panic!("to be tried again");
    };
    assert!(after >= Duration::from_secs(300) && after <= Duration::from_secs(600));
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_delays_leaves_them_to_the_worker() {
    let now = Instant::now();
    let mut machine = without_leases(false);
    let id = machine.received(Lane::Live, 1, 1, now);
    let after = Some(Duration::from_secs(5));
    machine.judged(id, Judged::Failed { after }, now);
    assert_eq!(actions(&mut machine), [Action::Judge(id)]);
    assert_eq!(machine.attempt(id), Some(2));
    let due = now + Duration::from_secs(5);
    assert_eq!(machine.next_wake(), Some(due));
    machine.tick(due - Duration::from_millis(1));
    assert_eq!(actions(&mut machine), []);
    machine.tick(due);
    assert_eq!(actions(&mut machine), [Action::Judge(id)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_has_failed_to_do_is_asked_of_it_again_a_second_later() {
    let now = Instant::now();
    let mut machine = without_leases(true);
    let id = machine.received(Lane::Live, 1, 1, now);
    let due = now + Duration::from_secs(1);
    let early = due - Duration::from_millis(1);
    actions(&mut machine);

    machine.judged(id, Judged::QueueFailed, now);
    assert_eq!(machine.next_wake(), Some(due));
    machine.tick(early);
    assert_eq!(actions(&mut machine), []);
    machine.tick(due);
    assert_eq!(actions(&mut machine), [Action::Judge(id)]);

    machine.judged(id, Judged::Final { answered: true }, now);
    machine.stored(id, PutEnd::Failed, now);
    assert_eq!(actions(&mut machine), [Action::Put { id, dead: false }]);
    assert_eq!(machine.next_wake(), Some(due));
    machine.tick(early);
    assert_eq!(actions(&mut machine), []);
    machine.tick(due);
    assert_eq!(actions(&mut machine), [Action::Put { id, dead: false }]);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_counted_and_what_is_settled_gives_its_bytes_back() {
    let now = Instant::now();
    let mut machine = machine(16);
    let ids: Vec<Id> = [Lane::Live, Lane::Backfill, Lane::Backfill, Lane::Live]
        .into_iter()
        .map(|lane| machine.received(lane, 5 << 20, 1, now))
        .collect();
    let mut later = now;
    for id in &ids[..2] {
        machine.judged(*id, Judged::Final { answered: true }, later);
        later += Duration::from_secs(1);
    }
    let held = machine.held();
    assert_eq!((held.live, held.backfill, held.under_way), (2, 2, 2));
    assert_eq!(held.oldest, Some(now));
    assert_eq!(machine.room(Lane::Live).expect("room").bytes, 236 << 20);
    machine.settled(ids[0], now);
    assert_eq!(machine.room(Lane::Live).expect("room").bytes, 241 << 20);
    machine.stop(later);
    assert_eq!(machine.next_wake(), Some(now + Duration::from_secs(10)));
    machine.tick(now + Duration::from_secs(20));
    let deadline = later + Patience::default().drain;
    assert_eq!(machine.next_wake(), Some(deadline));
}

#[tokio::test(start_paused = true)]
async fn while_the_service_is_away_one_job_is_tried_and_the_others_wait() {
    let now = Instant::now();
    let mut machine = machine(4);
    let away = Judged::Away { after: None };
    let [long, first] = [(); 2].map(|()| machine.received(Lane::Live, 1, 1, now));
    machine.judged(first, away.clone(), now);
    machine.probed(false, now);
    actions(&mut machine);
    let waiting: Vec<Id> = (0..3)
        .map(|_| machine.received(Lane::Live, 1, 1, now))
        .collect();
    assert_eq!(actions(&mut machine), [], "nothing is begun");
    let wake = now + Duration::from_secs(1);
    machine.tick(wake - Duration::from_millis(1));
    assert_eq!(actions(&mut machine), [], "nor is it asked before its time");
    machine.tick(wake);
    machine.probed(true, wake);
    assert_eq!(actions(&mut machine), [Action::Probe, Action::Judge(first)]);
    // What was begun before says nothing of the one that is tried.
    machine.judged(long, Judged::Failed { after: None }, wake);
    assert!(matches!(actions(&mut machine)[..], [Action::Settle(..)]));
    machine.settled(long, wake);
    machine.judged(first, away.clone(), wake);
    assert!(matches!(actions(&mut machine)[..], [Action::Settle(..)]));
    machine.settled(first, wake);
    // Nothing is kept any more: the next one to be tried has not been begun yet.
    let wake = wake + Duration::from_secs(2);
    // This time it is asked after twice as long.
    assert_eq!(machine.next_wake(), Some(wake));
    machine.tick(wake);
    machine.probed(true, wake);
    assert_eq!(
        actions(&mut machine),
        [Action::Probe, Action::Judge(waiting[0])]
    );
    machine.judged(waiting[0], Judged::Final { answered: true }, wake);
    let put = Action::Put {
        id: waiting[0],
        dead: false,
    };
    let begun = [put, Action::Judge(waiting[1]), Action::Judge(waiting[2])];
    assert_eq!(actions(&mut machine), begun);
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_down_with_the_service_does_not_speak_for_the_one_that_is_tried() {
    let now = Instant::now();
    let mut machine = machine(4);
    let away = Judged::Away { after: None };
    let [long, first] = [(); 2].map(|()| machine.received(Lane::Live, 1, 1, now));
    machine.judged(first, away.clone(), now);
    machine.probed(false, now);
    let wake = now + Duration::from_secs(1);
    machine.tick(wake);
    machine.probed(true, wake);
    actions(&mut machine);
    machine.judged(long, away, wake);
    assert_eq!(actions(&mut machine), []);
    let third = now + Duration::from_secs(10);
    assert_eq!(machine.next_wake(), Some(third), "it is not away again");
    machine.judged(first, Judged::Final { answered: true }, wake);
    let put = Action::Put {
        id: first,
        dead: false,
    };
    assert_eq!(actions(&mut machine), [put, Action::Judge(long)]);
}

#[test]
fn lanes_have_the_names_of_subjects_and_flags() {
    assert_eq!(Lane::ALL.map(Lane::as_str), ["live", "backfill"]);
}
