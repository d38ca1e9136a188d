//! The batcher: images that wait to be sent, and when they make a batch.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Seq;

/// When a batch is complete.
#[derive(Debug, Clone)]
pub(crate) struct BatchLimits {
    pub(crate) images: usize,
    /// Of encoded inputs, without what the request adds once.
    pub(crate) bytes: usize,
    pub(crate) linger: Duration,
}

/// Requests whose images are ready before a connection takes them: the one that it takes next, and one that hides
/// how long it takes to prepare images for the one after that.
const AHEAD: usize = 2;

/// A place in the queue: smaller is sooner.
pub(super) type Place = i64;

#[derive(Debug)]
struct Queued {
    seq: Seq,
    bytes: usize,
    since: Instant,
}

/// Images in the order in which they will be sent.
#[derive(Debug)]
pub(super) struct Queue {
    limits: BatchLimits,
    /// Bytes that a connection takes in reasonable time; less than the limit on a slow one.
    carried: usize,
    /// Bytes of a batch that the service may take, as far as its refusals tell. A guess: a single image
    /// may be larger.
    taken: usize,
    waiting: BTreeMap<Place, Queued>,
    bytes: usize,
    front: Place,
    back: Place,
}

/// What the queue has for a connection that could send now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Batch {
    Take(Vec<Seq>),
    /// Wait for company until then.
    Linger(Instant),
    Empty,
}

impl Queue {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self {
            carried: limits.bytes,
            taken: limits.bytes,
            limits,
            waiting: BTreeMap::new(),
            bytes: 0,
            front: -1,
            back: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether as much waits as the next requests take: more would only wait, too. Nothing is never enough, however
    /// little a request takes.
    pub(super) fn has_enough(&self) -> bool {
        self.bytes >= self.limits.bytes.saturating_mul(AHEAD).max(1)
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.limits.images || self.bytes >= self.carried
    }

    pub(super) fn limit(&self) -> usize {
        self.limits.bytes
    }

    /// Keeps images and batches to what the service takes, if that is less than the limit so far.
    pub(super) fn lower_limit(&mut self, bytes: usize) {
        self.limits.bytes = self.limits.bytes.min(bytes);
        self.lower_batches(bytes);
    }

    /// Keeps batches smaller, but for images that are larger alone.
    pub(super) fn lower_batches(&mut self, bytes: usize) {
        self.taken = self.taken.min(bytes);
        self.carried = self.carried.min(bytes);
    }

    /// Keeps batches to what a connection takes in reasonable time.
    pub(super) fn set_carried(&mut self, bytes: usize) {
        self.carried = bytes.min(self.taken);
    }

    pub(super) fn push_back(&mut self, now: Instant, seq: Seq, bytes: usize) -> Place {
        self.back += 1;
        self.insert(self.back - 1, now, seq, bytes)
    }

    /// For images that were sent before: they have waited longest.
    pub(super) fn push_front(&mut self, now: Instant, seq: Seq, bytes: usize) -> Place {
        self.front -= 1;
        self.insert(self.front + 1, now, seq, bytes)
    }

    fn insert(&mut self, place: Place, since: Instant, seq: Seq, bytes: usize) -> Place {
        self.bytes += bytes;
        self.waiting.insert(place, Queued { seq, bytes, since });
        place
    }

    pub(super) fn remove(&mut self, place: Place) {
        if let Some(queued) = self.waiting.remove(&place) {
            self.bytes -= queued.bytes;
        }
    }

    /// The next batch, if it is time for one: it is full, its first image has waited long enough,
    /// or there is no company to wait for. It has `most` images at most.
    pub(super) fn poll(&mut self, now: Instant, company_expected: bool, most: usize) -> Batch {
        let most = most.min(self.limits.images);
        let Some((_, first)) = self.waiting.first_key_value().filter(|_| most > 0) else {
            return Batch::Empty;
        };
        let due = first.since + self.limits.linger;
        let mut seqs = Vec::new();
        let mut bytes = 0;
        for queued in self.waiting.values().take(most) {
            if !seqs.is_empty() && bytes + queued.bytes > self.carried {
                break;
            }
            bytes += queued.bytes;
            seqs.push(queued.seq);
        }
        let full = seqs.len() == most || seqs.len() < self.waiting.len();
        if company_expected && !full && now < due {
            return Batch::Linger(due);
        }
        for _ in &seqs {
            self.waiting.pop_first();
        }
        self.bytes -= bytes;
        Batch::Take(seqs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(images: usize, bytes: usize) -> Queue {
        Queue::new(BatchLimits {
            images,
            bytes,
            linger: Duration::from_millis(10),
        })
    }

    #[test]
    fn a_lone_image_goes_at_once_when_nothing_else_is_coming() {
        let now = Instant::now();
        let mut queue = queue(8, 100);
        assert_eq!(queue.poll(now, false, 99), Batch::Empty);
        queue.push_back(now, 1, 10);
        let due = now + Duration::from_millis(10);
        assert_eq!(queue.poll(now, true, 99), Batch::Linger(due));
        assert_eq!(queue.poll(now, false, 99), Batch::Take(vec![1]));
        assert_eq!(queue.poll(due, true, 99), Batch::Empty);
    }

    #[test]
    fn linger_ends() {
        let now = Instant::now();
        let mut queue = queue(8, 100);
        queue.push_back(now, 1, 10);
        let due = now + Duration::from_millis(10);
        queue.push_back(due, 2, 10);
        assert_eq!(queue.poll(due, true, 99), Batch::Take(vec![1, 2]));
    }

    #[test]
    fn batches_are_cut_by_count_and_by_bytes() {
        let now = Instant::now();
        let mut by_count = queue(2, 100);
        let mut by_bytes = queue(8, 25);
        for seq in 1..=3 {
            by_count.push_back(now, seq, 10);
            by_bytes.push_back(now, seq, 10);
        }
        for queue in [&mut by_count, &mut by_bytes] {
            assert_eq!(queue.poll(now, true, 99), Batch::Take(vec![1, 2]));
            assert!(matches!(queue.poll(now, true, 99), Batch::Linger(_)));
        }
    }

    #[test]
    fn resends_go_first_and_removals_free_their_bytes() {
        let now = Instant::now();
        let mut queue = queue(8, 100);
        queue.push_back(now, 1, 60);
        let place = queue.push_back(now, 2, 60);
        queue.push_front(now, 3, 30);
        queue.remove(place);
        assert!(!queue.is_full());
        assert_eq!(queue.poll(now, false, 99), Batch::Take(vec![3, 1]));
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn nothing_is_never_enough() {
        let mut queue = queue(8, 0);
        assert!(!queue.has_enough());
        queue.push_back(Instant::now(), 1, 10);
        assert!(queue.has_enough());
    }
}
