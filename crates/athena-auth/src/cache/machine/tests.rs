use super::*;

type Cache = Machine<&'static str, u32, &'static str>;

const TRANSIENT: Failure = Failure {
    transient: true,
    retry_after: None,
};
const REFUSED: Failure = Failure {
    transient: false,
    retry_after: None,
};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn told_to_wait(seconds: u64) -> Failure {
    Failure {
        transient: true,
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

fn launched(decision: Decision<&'static str, &'static str>) -> Launch {
    match decision {
        Decision::Use(_, Some(launch)) | Decision::Wait(Some(launch), _) => launch,
        other => panic!("expected a launch, got {other:?}"),
    }
}

/// A cache that obtained `token` at time zero; the random share is zero, so that turning points
/// are exact.
fn holding(lifetime: Option<f64>) -> Cache {
    let mut cache = Cache::new(Timing::default());
    let launch = launched(cache.call(Duration::ZERO));
    cache
        .attempt(launch.id, Duration::ZERO)
        .expect("a live flight");
    assert!(cache.succeeded(
        launch.id,
        Duration::ZERO,
        ("first", 1),
        lifetime.map(secs),
        0.0
    ));
    cache
}

fn usage(cache: &mut Cache, at: f64) -> &'static str {
    match cache.clone().call(secs(at)) {
        Decision::Use(_, None) => "use",
        Decision::Use(_, Some(_)) => "use and refresh",
        Decision::Wait(..) => "wait",
        Decision::Fail(_) => "fail",
    }
}

#[test]
fn refreshes_a_quarter_of_the_lifetime_or_five_minutes_before_expiry() {
    // lifetime, last moment without refresh, last moment without waiting
    for (lifetime, refresh, wait) in [
        (1.0, 0.75, 0.9),
        (60.0, 45.0, 54.0),
        (1200.0, 900.0, 1190.0),
        (3600.0, 3300.0, 3590.0),
        (
            365.0 * 86_400.0,
            365.0 * 86_400.0 - 300.0,
            365.0 * 86_400.0 - 10.0,
        ),
    ] {
        let mut cache = holding(Some(lifetime));
        assert_eq!(usage(&mut cache, refresh - 0.001), "use", "{lifetime}");
        if lifetime > 1.0 {
            assert_eq!(usage(&mut cache, refresh), "use and refresh", "{lifetime}");
            assert_eq!(
                usage(&mut cache, wait - 0.001),
                "use and refresh",
                "{lifetime}"
            );
        }
        assert_eq!(usage(&mut cache, wait), "wait", "{lifetime}");
    }
}

#[test]
fn a_fleet_does_not_refresh_in_step() {
    let timing = Timing::default();
    let earliest = timing.plan(Some(secs(3600.0)), 0.0).refresh;
    let latest = timing.plan(Some(secs(3600.0)), 1.0).refresh;
    assert_eq!((earliest, latest), (secs(3300.0), secs(3360.0)));
}

#[test]
fn a_token_without_a_lifetime_is_kept() {
    let mut cache = holding(None);
    assert_eq!(usage(&mut cache, 1e9), "use");
}

#[test]
fn an_absurd_lifetime_is_read_as_a_year() {
    let mut cache = holding(Some(1e15));
    assert_eq!(usage(&mut cache, 365.0 * 86_400.0 - 301.0), "use");
    assert_eq!(usage(&mut cache, 365.0 * 86_400.0), "wait");
}

#[test]
fn attempts_of_a_short_lived_token_stay_a_second_apart() {
    let mut cache = holding(Some(1.0));
    assert_eq!(
        usage(&mut cache, 0.8),
        "use",
        "too soon after the last attempt"
    );
    let launch = launched(cache.call(secs(0.95)));
    assert_eq!(launch.first_attempt, secs(1.0));
}

#[test]
fn callers_join_the_flight_under_way() {
    let mut cache = Cache::new(Timing::default());
    launched(cache.call(Duration::ZERO));
    for _ in 0..3 {
        assert!(matches!(cache.call(secs(0.5)), Decision::Wait(None, _)));
    }
}

#[test]
fn pauses_stay_short_and_end_with_the_patience_of_those_who_wait() {
    let mut cache = Cache::new(Timing::default());
    let launch = launched(cache.call(Duration::ZERO));
    let mut now = Duration::ZERO;
    let mut pauses = Vec::new();
    loop {
        cache.attempt(launch.id, now).expect("a live flight");
        match cache.failed(launch.id, now, "down", TRANSIENT, 0.0) {
            AfterFailure::Retry(next) => {
                pauses.push((next - now).as_secs_f64());
                now = next;
            }
            AfterFailure::Settle(result, _) => {
                assert_eq!(result, Err("down"));
                break;
            }
            AfterFailure::Superseded => panic!("nothing replaced it"),
        }
    }
    assert!(pauses.iter().all(|pause| *pause == 1.0), "{pauses:?}");
    assert!(now >= secs(28.0) && now < secs(30.0), "{now:?}");
}

#[test]
fn in_a_long_outage_one_call_waits_for_its_patience_and_the_next_for_one_attempt() {
    for share in [0.0, 1.0] {
        let mut cache = Cache::new(Timing::default());
        let mut now = Duration::ZERO;
        for round in 0..20 {
            let asked = now;
            let launch = launched(cache.call(now));
            assert!(launch.first_attempt <= asked + secs(2.0));
            now = launch.first_attempt;
            let mut attempts = 1;
            while let AfterFailure::Retry(next) = {
                cache.attempt(launch.id, now).expect("a live flight");
                cache.failed(launch.id, now, "down", TRANSIENT, share)
            } {
                now = next;
                attempts += 1;
            }
            assert!(
                if round == 0 {
                    attempts > 10
                } else {
                    attempts == 1
                },
                "{attempts}"
            );
        }
        // Nobody asked for as long as a caller is patient: what comes now is another outage.
        now += Timing::default().patience;
        let launch = launched(cache.call(now));
        cache.attempt(launch.id, now).expect("a live flight");
        let after = cache.failed(launch.id, now, "down", TRANSIENT, share);
        assert!(matches!(after, AfterFailure::Retry(_)), "{after:?}");
    }
}

#[test]
fn a_fresh_refusal_is_everybodys_and_the_endpoint_is_asked_less_and_less() {
    let mut cache = Cache::new(Timing::default());
    let mut now = Duration::ZERO;
    let mut asked = Vec::new();
    while now < secs(300.0) {
        match cache.call(now) {
            Decision::Fail(error) => assert_eq!(error, "wrong secret"),
            decision => {
                let launch = launched(decision);
                assert_eq!(launch.first_attempt, now, "nobody waits");
                asked.push(now.as_secs());
                cache.attempt(launch.id, now).expect("a live flight");
                let after = cache.failed(launch.id, now, "wrong secret", REFUSED, 1.0);
                assert!(
                    matches!(after, AfterFailure::Settle(Err("wrong secret"), _)),
                    "{after:?}"
                );
            }
        }
        now += secs(0.25);
    }
    assert_eq!(asked[..6], [0, 2, 6, 14, 30, 60], "{asked:?}");
    assert_eq!(asked.len(), 13, "then every half minute");
}

#[test]
fn retry_after_is_honoured_and_capped() {
    for (said, from, to) in [(0, 1.0, 1.1), (7, 7.0, 7.7), (100_000, 120.0, 132.0)] {
        for share in [0.0, 1.0] {
            let mut cache = holding(Some(3600.0));
            let launch = launched(cache.call(secs(3400.0)));
            cache
                .attempt(launch.id, secs(3400.0))
                .expect("a live flight");
            cache.failed(launch.id, secs(3400.0), "busy", told_to_wait(said), share);
            assert_eq!(usage(&mut cache, 3400.0 + from - 0.001), "use", "{said}");
            assert_eq!(
                usage(&mut cache, 3400.0 + to + 0.001),
                "use and refresh",
                "{said}"
            );
        }
    }
}

#[test]
fn a_call_that_cannot_wait_for_retry_after_fails_at_once() {
    let mut cache = Cache::new(Timing::default());
    let launch = launched(cache.call(Duration::ZERO));
    cache
        .attempt(launch.id, Duration::ZERO)
        .expect("a live flight");
    let after = cache.failed(launch.id, Duration::ZERO, "busy", told_to_wait(60), 0.0);
    assert_eq!(after, AfterFailure::Settle(Err("busy"), secs(60.0)));
    assert_eq!(cache.call(secs(1.0)), Decision::Fail("busy"));
    let shortest = secs(60.0) + SHORTEST_ATTEMPT - Timing::default().patience;
    let just_before = shortest - Duration::from_nanos(1);
    assert_eq!(cache.clone().call(just_before), Decision::Fail("busy"));
    assert_eq!(
        launched(cache.call(shortest)).first_attempt,
        secs(60.0),
        "within its patience there is time for the shortest attempt"
    );
}

#[test]
fn nobody_notices_a_failure_while_the_token_is_valid() {
    let mut cache = holding(Some(60.0));
    let launch = launched(cache.call(secs(50.0)));
    cache.attempt(launch.id, secs(50.0)).expect("a live flight");
    // These wait: the token is in its last seconds.
    assert!(matches!(cache.call(secs(55.0)), Decision::Wait(None, _)));
    let after = cache.failed(launch.id, secs(56.0), "down", TRANSIENT, 0.0);
    assert!(matches!(after, AfterFailure::Settle(Ok("first"), _)));
    assert_eq!(usage(&mut cache, 56.0), "use");
    assert_eq!(
        usage(&mut cache, 59.9),
        "use and refresh",
        "no waiting for what just failed"
    );
    assert_eq!(usage(&mut cache, 60.0), "wait");
}

#[test]
fn a_background_refresh_goes_on_for_those_who_come_to_need_it() {
    let mut cache = holding(Some(60.0));
    let launch = launched(cache.call(secs(50.0)));
    cache.attempt(launch.id, secs(50.0)).expect("a live flight");
    assert!(matches!(cache.call(secs(61.0)), Decision::Wait(None, _)));
    let after = cache.failed(launch.id, secs(61.5), "down", TRANSIENT, 0.0);
    assert_eq!(after, AfterFailure::Retry(secs(62.5)));
}

#[test]
fn a_background_refresh_that_nobody_waited_for_takes_no_callers_patience() {
    let mut cache = holding(Some(60.0));
    let launch = launched(cache.call(secs(50.0)));
    cache.attempt(launch.id, secs(50.0)).expect("a live flight");
    let after = cache.failed(launch.id, secs(61.0), "down", TRANSIENT, 0.0);
    assert!(matches!(after, AfterFailure::Settle(Err("down"), _)));
    assert_eq!(cache.last_error(), Some(&"down"));
    let launch = launched(cache.call(secs(62.0)));
    let asked = launch.first_attempt;
    cache.attempt(launch.id, asked).expect("a live flight");
    let after = cache.failed(launch.id, asked, "down", TRANSIENT, 0.0);
    assert!(matches!(after, AfterFailure::Retry(_)), "{after:?}");
}

#[test]
fn readers_use_a_token_alone_until_it_is_to_be_refreshed_or_longer_while_that_fails() {
    let mut cache = holding(Some(60.0));
    assert_eq!(cache.quiet(), Some(("first", secs(45.0))), "refresh");
    assert_eq!(cache.token(secs(59.9)), Some(&"first"));
    assert_eq!(cache.token(secs(60.0)), None);

    let launch = launched(cache.call(secs(50.0)));
    let lost = secs(50.0) + Timing::default().attempt + GRACE;
    assert_eq!(cache.quiet(), Some(("first", lost.min(secs(54.0)))), "wait");
    cache.attempt(launch.id, secs(50.0)).expect("a live flight");
    cache.failed(launch.id, secs(50.0), "down", told_to_wait(60), 0.0);
    assert_eq!(cache.quiet(), Some(("first", secs(60.0))), "expiry");
}

#[test]
fn a_launched_flight_has_an_attempts_time_and_a_grace_to_report() {
    let mut cache = Cache::new(Timing::default());
    let lost = Timing::default().attempt + GRACE;
    let first = match cache.call(Duration::ZERO) {
        Decision::Wait(Some(launch), until) => {
            assert_eq!(until, lost);
            launch
        }
        other => panic!("{other:?}"),
    };
    let just_before = lost - Duration::from_nanos(1);
    assert_eq!(cache.call(just_before), Decision::Wait(None, lost));
    assert!(launched(cache.call(lost)).id.is_after(first.id));
}

#[test]
fn only_the_current_token_can_be_dropped() {
    let mut cache = holding(Some(3600.0));
    assert!(!cache.invalidate(&7, secs(100.0)), "an older token");
    assert_eq!(usage(&mut cache, 100.0), "use");
    assert!(cache.invalidate(&1, secs(100.0)));
    assert!(
        !cache.invalidate(&1, secs(100.0)),
        "the second of a thousand"
    );
    assert_eq!(usage(&mut cache, 100.0), "wait");
    assert_eq!(launched(cache.call(secs(100.0))).first_attempt, secs(100.0));
}

#[test]
fn a_server_that_rejects_every_token_makes_no_storm() {
    let mut cache = Cache::new(Timing::default());
    let mut now = Duration::ZERO;
    let mut fetches = 0;
    for key in 0.. {
        let launch = launched(cache.call(now));
        now = launch.first_attempt;
        if now > secs(600.0) {
            break;
        }
        cache.attempt(launch.id, now).expect("a live flight");
        cache.succeeded(launch.id, now, ("rejected", key), Some(secs(3600.0)), 0.0);
        fetches += 1;
        assert!(cache.invalidate(&key, now));
    }
    assert!(fetches <= 45, "{fetches} fetches in ten minutes");
}

#[test]
fn a_server_that_accepts_tokens_again_ends_the_penalty() {
    for lifetime in [2.0, 5.0, 3600.0] {
        let mut cache = Cache::new(Timing::default());
        let mut now = Duration::ZERO;
        let obtain = |cache: &mut Cache, now: &mut Duration, key| {
            let launch = launched(cache.call(*now));
            let waited = launch.first_attempt - *now;
            *now = launch.first_attempt;
            cache.attempt(launch.id, *now).expect("a live flight");
            cache.succeeded(launch.id, *now, ("token", key), Some(secs(lifetime)), 0.0);
            waited
        };
        for key in 0..6 {
            obtain(&mut cache, &mut now, key);
            assert!(cache.invalidate(&key, now));
        }
        assert_eq!(obtain(&mut cache, &mut now, 6), secs(15.0));
        // From here on the server is content.
        for key in 7..20 {
            now += secs(lifetime * 0.95);
            assert_eq!(
                obtain(&mut cache, &mut now, key),
                Duration::ZERO,
                "{lifetime}"
            );
        }
        // One token is revoked: that is all that counts.
        assert!(cache.invalidate(&19, now));
        assert!(obtain(&mut cache, &mut now, 20) <= SPACING);
    }
}

#[test]
fn a_token_that_was_accepted_for_seconds_is_rejected_for_the_first_time() {
    let mut cache = Cache::new(Timing::default());
    let mut now = Duration::ZERO;
    for key in 0..10 {
        let launch = launched(cache.call(now));
        assert!(launch.first_attempt - now <= SPACING, "{key}");
        now = launch.first_attempt;
        cache.attempt(launch.id, now).expect("a live flight");
        cache.succeeded(launch.id, now, ("token", key), Some(secs(3600.0)), 0.0);
        now += YOUNG;
        assert!(cache.invalidate(&key, now));
    }
}

#[test]
fn a_flight_that_nobody_runs_is_replaced() {
    let mut cache = Cache::new(Timing::default());
    let first = launched(cache.call(Duration::ZERO));
    let limit = cache
        .attempt(first.id, Duration::ZERO)
        .expect("a live flight");
    assert!(
        matches!(cache.call(limit), Decision::Wait(None, _)),
        "it may still report"
    );
    let second = launched(cache.call(limit + GRACE));
    assert!(second.id.is_after(first.id));
    assert!(!first.id.is_after(second.id) && !first.id.is_after(first.id));
    assert!(!cache.succeeded(first.id, Duration::ZERO, ("late", 1), None, 0.0));
    assert_eq!(
        cache.failed(first.id, secs(13.0), "late", TRANSIENT, 0.0),
        AfterFailure::Superseded
    );
    assert_eq!(cache.attempt(first.id, secs(13.0)), None);
    assert!(cache.attempt(second.id, secs(13.0)).is_some());
}

#[test]
fn an_attempt_ends_with_the_patience() {
    let mut cache = Cache::new(Timing::default().patience(secs(3.0)));
    let launch = launched(cache.call(Duration::ZERO));
    assert_eq!(cache.attempt(launch.id, Duration::ZERO), Some(secs(3.0)));
    assert_eq!(
        cache.failed(launch.id, secs(1.0), "down", TRANSIENT, 0.0),
        AfterFailure::Retry(secs(2.0))
    );
    assert_eq!(cache.attempt(launch.id, secs(2.0)), Some(secs(1.0)));
}

#[test]
fn a_success_makes_up_for_earlier_failures() {
    let mut cache = Cache::new(Timing::default());
    let launch = launched(cache.call(Duration::ZERO));
    for at in [0.0, 1.0, 3.0] {
        cache.attempt(launch.id, secs(at)).expect("a live flight");
        cache.failed(launch.id, secs(at), "down", TRANSIENT, 0.0);
    }
    cache.attempt(launch.id, secs(7.0)).expect("a live flight");
    cache.succeeded(launch.id, secs(7.0), ("first", 1), Some(secs(60.0)), 0.0);
    assert_eq!(cache.last_error(), None);
    assert_eq!(
        usage(&mut cache, 62.0),
        "wait",
        "in the last seconds, as after no failure"
    );
    let launch = launched(cache.call(secs(70.0)));
    cache.attempt(launch.id, secs(70.0)).expect("a live flight");
    assert_eq!(
        cache.failed(launch.id, secs(70.0), "down", TRANSIENT, 0.0),
        AfterFailure::Retry(secs(71.0))
    );
}
