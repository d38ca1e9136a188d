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
