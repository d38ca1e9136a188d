//! What becomes of ranges when one of them, or all, cannot be listed.

use super::*;

/// In 20 folders.
fn keys() -> BTreeSet<String> {
    (0..600)
        .map(|number| format!("{:02}/{number:04}", number % 20))
        .collect()
}

fn error(kind: SourceErrorKind) -> Error {
    Error::new(kind, "no")
}

/// Lists while `fails` says which requests do, and how; gives how many requests there were, too.
fn list_with(
    store: &Store<'_>,
    ranges: Vec<KeyRange>,
    fails: impl Fn(&Request) -> Option<SourceErrorKind>,
) -> (Vec<Step>, usize) {
    let mut state = Ranges::new(ranges);
    let (mut under_way, mut steps, mut asked) = (VecDeque::new(), Vec::new(), 0);
    loop {
        while under_way.len() < state.at_a_time()
            && let Some(request) = state.next()
        {
            under_way.push_back(request);
        }
        let Some(request) = under_way.pop_front() else {
            return (steps, asked);
        };
        asked += 1;
        match fails(&request).filter(|_| !matches!(request.what, What::Divisions { .. })) {
            None => store.answer(&mut state, request, &mut steps),
            Some(kind) => {
                let (range, at_a_time) = (request.range, request.at_a_time);
                let others = !under_way.is_empty();
                state.unanswered(range, at_a_time, others, error(kind), &mut steps);
            }
        }
    }
}

/// Whether a request goes on inside a folder.
fn is_in(folder: &str) -> impl Fn(&Request) -> bool {
    move |request: &Request| {
        let at = request.listing.last.as_ref();
        let at = at.or(request.listing.after.as_ref());
        at.is_some_and(|at| at.starts_with(folder) && at != folder)
    }
}

fn failures(steps: &[Step]) -> Vec<SourceErrorKind> {
    let kind = |step: &Step| match step {
        Step::Failed { error, .. } => Some(error.kind()),
        _ => None,
    };
    steps.iter().filter_map(kind).collect()
}

#[test]
fn one_range_that_fails_is_what_is_left() {
    let keys = keys();
    let store = Store::of(&keys, 5);
    for kind in [
        SourceErrorKind::Refused,
        SourceErrorKind::Transient,
        SourceErrorKind::Endless,
    ] {
        let inside = is_in("07/");
        let all = vec![KeyRange::all(bucket())];
        let (first, _) = list_with(&store, all.clone(), |request| {
            inside(request).then_some(kind)
        });
        assert_eq!(failures(&first), [kind]);
        let elsewhere = keys.iter().filter(|key| !key.starts_with("07/")).count();
        assert!(keys_of(&first).len() >= elsewhere, "{kind:?}");
        let rest = left(all.into_iter().map(Some).collect(), &first);
        assert_eq!(rest.len(), 1, "{rest:?}");
        let (second, _) = list_with(&store, rest, |_| None);
        let both = [keys_of(&first), keys_of(&second)].concat();
        assert_eq!(both.len(), keys.len());
        assert_eq!(both.into_iter().collect::<BTreeSet<_>>(), keys);
    }
}

#[test]
fn one_that_is_never_answered_is_no_reason_to_ask_for_fewer_of_the_others() {
    let keys = keys();
    let store = Store::of(&keys, 5);
    let mut state = Ranges::new(vec![KeyRange::all(bucket())]);
    let (mut under_way, mut steps) = (VecDeque::new(), Vec::new());
    let (inside, mut in_vain) = (is_in("07/"), 0);
    loop {
        while under_way.len() < state.at_a_time()
            && let Some(request) = state.next()
        {
            under_way.push_back(request);
        }
        let Some(request) = under_way.pop_front() else {
            break;
        };
        match inside(&request) && request.what == What::Page {
            false => store.answer(&mut state, request, &mut steps),
            true => {
                in_vain += 1;
                let (range, at_a_time) = (request.range, request.at_a_time);
                let late = error(SourceErrorKind::Transient);
                state.unanswered(range, at_a_time, !under_way.is_empty(), late, &mut steps);
            }
        }
    }
    assert_eq!(failures(&steps), [SourceErrorKind::Transient]);
    assert!((1..=MOST_IN_VAIN).contains(&in_vain), "{in_vain}");
    assert_eq!(state.limit, MOST_REQUESTS);
}

#[test]
fn a_store_that_is_gone_is_not_asked_for_each_of_its_ranges() {
    let keys = keys();
    let store = Store::of(&keys, 5);
    let all = vec![KeyRange::all(bucket())];
    let parts = left(vec![Some(all[0].clone())], &list(all, &store, &[0], 200));
    assert!(parts.len() >= MOST_REQUESTS, "{}", parts.len());
    for (kind, most) in [
        (SourceErrorKind::Credentials, 1),
        (SourceErrorKind::Refused, 3),
        (SourceErrorKind::Transient, MOST_REQUESTS + 3),
    ] {
        let (steps, asked) = list_with(&store, parts.clone(), |_| Some(kind));
        assert!(asked <= most + MOST_REQUESTS, "{kind:?}: {asked}");
        assert!(failures(&steps).len() <= 3, "{kind:?}");
        // All of it is left.
        let rest = left(parts.iter().cloned().map(Some).collect(), &steps);
        assert_eq!(rest, parts);
    }
}

#[test]
fn an_answer_in_between_gives_new_hope() {
    let parts = ["a/", "b/", "c/", "d/"].map(|until| KeyRange {
        until: Some(until.to_owned()),
        ..KeyRange::all(bucket())
    });
    let mut ranges = Ranges::new(parts.to_vec());
    let mut steps = Vec::new();
    while ranges.next().is_some() {}
    ranges.failed(0, error(SourceErrorKind::Refused), &mut steps);
    ranges.page(1, of(["a"], Some("more".to_owned())), &mut steps);
    ranges.failed(1, error(SourceErrorKind::Refused), &mut steps);
    ranges.failed(2, error(SourceErrorKind::Refused), &mut steps);
    assert_eq!(ranges.open.len(), 1);
    ranges.failed(3, error(SourceErrorKind::Refused), &mut steps);
    assert!(ranges.open.is_empty());
}
