use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use athena_proto::ClassificationOutput;
use tokio::time::Instant;

/// The results of a deployment that nobody has collected yet, in the order in which they are due.
#[derive(Debug)]
pub(super) struct Results {
    waiting: BTreeMap<Place, ClassificationOutput>,
    sequence: u64,
    capacity: usize,
    /// How many inputs with each correlation id are being worked on or waiting.
    in_flight: HashMap<String, u32>,
}

/// When a result is due, its random place among those due at the same time, its number.
type Place = (Instant, u64, u64);

impl Results {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            sequence: 0,
            capacity,
            in_flight: HashMap::new(),
        }
    }

    /// Notes that an input is being worked on; tells whether another one has the same id.
    pub(super) fn accept(&mut self, id: &str) -> bool {
        let count = self.in_flight.entry(id.to_owned()).or_default();
        *count += 1;
        *count > 1
    }

    /// Notes that an input gets no more results.
    pub(super) fn release(&mut self, id: &str) {
        if let Some(count) = self.in_flight.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(id);
            }
        }
    }

    /// Adds a result that may be handed out from `due` on, before those of the same time with a
    /// higher `place`. Returns how many were dropped for it.
    pub(super) fn push(&mut self, output: ClassificationOutput, due: Instant, place: u64) -> usize {
        let mut dropped = 0;
        while self.waiting.len() >= self.capacity.max(1)
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            self.release(&oldest.correlation_id);
            dropped += 1;
        }
        self.waiting.insert((due, place, self.sequence), output);
        self.sequence += 1;
        dropped
    }

    /// Takes the results that are due, oldest first, at most `limit`.
    pub(super) fn take(&mut self, now: Instant, limit: usize) -> Vec<ClassificationOutput> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(output) = self.pop_if(|due| due <= now)
        {
            taken.push(output);
        }
        taken
    }

    /// Drops the results that have waited for longer than `retention`; returns how many.
    pub(super) fn expire(&mut self, now: Instant, retention: Duration) -> usize {
        let mut expired = 0;
        while self.pop_if(|due| due + retention < now).is_some() {
            expired += 1;
        }
        expired
    }

    /// Removes the first result if its time meets the condition.
    fn pop_if(&mut self, condition: impl Fn(Instant) -> bool) -> Option<ClassificationOutput> {
        let entry = self
            .waiting
            .first_entry()
            .filter(|entry| condition(entry.key().0))?;
        let output = entry.remove();
        self.release(&output.correlation_id);
        Some(output)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(due, ..)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(id: &str) -> ClassificationOutput {
        ClassificationOutput {
            correlation_id: id.into(),
            ..Default::default()
        }
    }

    fn ids(outputs: Vec<ClassificationOutput>) -> Vec<String> {
        outputs
            .into_iter()
            .map(|output| output.correlation_id)
            .collect()
    }

    #[test]
    fn results_are_handed_out_when_due_by_time_then_place_then_number() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut results = Results::new(10);
        results.push(output("late"), now + 2 * second, 0);
        results.push(output("second"), now, 1);
        results.push(output("third"), now, 1);
        results.push(output("first"), now, 0);
        assert_eq!(ids(results.take(now, 2)), ["first", "second"]);
        assert_eq!(ids(results.take(now + second, 10)), ["third"]);
        assert_eq!(results.next_due(), Some(now + 2 * second));
        assert_eq!(ids(results.take(now + 2 * second, 10)), ["late"]);
        assert_eq!((results.len(), results.next_due()), (0, None));
    }

    #[test]
    fn a_full_backlog_drops_its_oldest() {
        let now = Instant::now();
        let mut results = Results::new(2);
        let dropped: Vec<_> = ["a", "b", "c", "d"]
            .map(|id| results.push(output(id), now, 0))
            .into();
        assert_eq!(dropped, [0, 0, 1, 1]);
        assert_eq!(ids(results.take(now, 10)), ["c", "d"]);
    }

    #[test]
    fn what_has_waited_for_too_long_expires() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut results = Results::new(10);
        results.push(output("old"), now, 0);
        results.push(output("new"), now + second, 0);
        assert_eq!(results.expire(now + second, second), 0);
        assert_eq!(results.expire(now + 2 * second, second), 1);
        assert_eq!(ids(results.take(now + 2 * second, 10)), ["new"]);
    }

    #[test]
    fn an_id_is_in_flight_until_its_result_leaves_by_any_way() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut results = Results::new(1);
        assert!(!results.accept("a"));
        assert!(results.accept("a"));
        results.release("a");
        results.push(output("a"), now, 0);
        assert!(results.accept("a"), "it waits to be collected");
        results.release("a");
        results.take(now, 1);
        assert!(!results.accept("a"), "it was collected");
        results.push(output("a"), now, 0);
        results.accept("b");
        results.push(output("b"), now, 0);
        assert!(!results.accept("a"), "it was dropped for another");
        results.accept("b");
        results.expire(now + 2 * second, second);
        assert!(results.accept("b"), "one of two has expired");
        assert!(results.in_flight.len() <= 2);
    }
}
