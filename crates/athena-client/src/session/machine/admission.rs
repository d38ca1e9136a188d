//! How many images may be under way: as many as come back well within their time.
//!
//! A slow link and an overloaded service look alike from here: images wait for one another. By
//! Little's law the wait is what is under way over the rate, so what may be under way follows from
//! the time that answers take, as in delay-based congestion control. Nothing is known at first:
//! little is sent, and while answers come quickly up to four times as much with every round. What is
//! accepted goes by what may be sent, so that images do not grow old here.

use std::time::Duration;

use tokio::time::Instant;

/// Images sent before the first answer. Few, since a service may be slow, and more than one, since
/// services like company in a batch.
const FIRST_IMAGES: f64 = 4.0;

/// Bytes accepted before the first answer: half a minute at 20 kB/s.
const FIRST_BYTES: f64 = 640_000.0;

/// Never less than this, so that small images keep one another company.
const LEAST_BYTES: f64 = 64_000.0;

/// Latency, as a share of the image's time, that is aimed at.
const TARGET: f64 = 0.5;

/// Up to here a window doubles with every round of answers, and up to a quarter of it twice: even
/// if the latency grows in proportion, as in a queue, the target is not exceeded.
const QUICK: f64 = TARGET / 2.0;

/// Latency over the least seen at which images wait for one another.
const CROWDED: f64 = 1.25;

/// Answers before a window that proved too large is tried again.
const CALM: u32 = 20;

/// Bytes that buffers on the way may hold when a connection has taken a request.
const HIDDEN: f64 = 256_000.0;

/// A link that could carry this many times what came back is not what held it up.
const AMPLE: f64 = 8.0;

/// What is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) images: usize,
    pub(super) bytes: usize,
}

/// An image as it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) sent: Instant,
    pub(super) timeout: Duration,
    /// When it was accepted, and the bytes that were then waiting or under way, its own included.
    pub(super) accepted: Instant,
    pub(super) accepted_bytes: usize,
    /// What was under way then, the image included.
    pub(super) load: Load,
}

#[derive(Debug)]
pub(super) struct Admission {
    images: Window,
    bytes: Window,
    /// Smoothed, in seconds; with the least that it has been.
    latency: Option<f64>,
    least: f64,
    /// Smoothed bytes of a prepared image.
    size: f64,
    /// Bytes a second that connections took lately.
    link: Option<f64>,
    /// Bytes a second for which answers came.
    goodput: Option<f64>,
    /// Since when nothing has come back, ever, and how long that is worth another doubling.
    doubt: Option<(Instant, Duration)>,
    shrunk: Option<Instant>,
    /// When images were found to grow too old, last.
    aged: Option<Instant>,
    calm: u32,
    /// When the youngest image that has an answer was sent.
    youngest: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    size: f64,
    least: f64,
    most: f64,
}

impl Admission {
    /// `most` images at most. Their bytes are bounded elsewhere, as memory.
    pub(super) fn new(most: usize) -> Self {
        let most = most as f64;
        Self {
            images: Window {
                size: FIRST_IMAGES.min(most),
                least: 1.0,
                most,
            },
            bytes: Window {
                size: FIRST_BYTES,
                least: LEAST_BYTES,
                most: f64::MAX,
            },
            latency: None,
            least: f64::MAX,
            size: crate::payload::RAW_FRAME_BYTES as f64,
            link: None,
            goodput: None,
            doubt: None,
            shrunk: None,
            aged: None,
            calm: 0,
            youngest: None,
        }
    }

    /// Whether another image of so many bytes may be accepted with what was before. One alone
    /// always may.
    pub(super) fn accepts(&self, now: Instant, load: Load, bytes: usize) -> bool {
        // A little more than may be sent, to have the next one ready.
        let room = load.images < self.window() * 5 / 4 + self.benefit_of_doubt(now);
        let light = load.bytes == 0 || (load.bytes + bytes) as f64 <= self.bytes.size;
        room && light
    }

    /// How many images may be sent while so many are under way, for a batch of at most so many.
    pub(super) fn sends(&self, under_way: usize, batch: usize) -> usize {
        let room = self.window().saturating_sub(under_way);
        // A full window is not refilled one by one, for the sake of batches.
        if room < (self.window() / 8).clamp(1, batch) {
            0
        } else {
            room
        }
    }

    /// While nothing at all comes back, the next images may wait here as well as at the caller's:
    /// after a while as many as may be pending at all.
    fn benefit_of_doubt(&self, now: Instant) -> usize {
        let Some((since, step)) = self.doubt else {
            return 0;
        };
        let waited = now.saturating_duration_since(since);
        let doublings = (waited.as_secs_f64() / step.as_secs_f64()).min(20.0);
        (FIRST_IMAGES * (doublings.exp2() - 1.0)).min(self.images.most) as usize
    }

    /// When [`accepts`](Self::accepts) may say yes without anything else happening.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let (_, step) = self.doubt?;
        (self.benefit_of_doubt(now) < self.images.most as usize).then(|| now + step / 4)
    }

    /// The first image was sent, or one after a time with nothing under way.
    pub(super) fn sent(&mut self, now: Instant, timeout: Duration) {
        if self.latency.is_none() && self.doubt.is_none() {
            let step = (timeout / 60).clamp(Duration::from_millis(100), Duration::from_secs(1));
            self.doubt = Some((now, step));
        }
    }

    /// What an image will have when it is prepared, as far as can be told.
    pub(super) fn expected_size(&self) -> usize {
        self.size as usize
    }

    /// How many images may be under way now.
    pub(super) fn window(&self) -> usize {
        self.images.size as usize
    }

    pub(super) fn prepared(&mut self, bytes: usize) {
        self.size += (bytes as f64 - self.size) / 8.0;
    }

    /// A connection took so many bytes in that time.
    pub(super) fn carried(&mut self, bytes: usize, time: Duration) {
        let rate = bytes as f64 / time.as_secs_f64().max(1e-6);
        self.link = Some(self.link.map_or(rate, |link| (link + rate) / 2.0));
    }

    /// Bytes that a connection carries in so long, as far as is known: what it took, part of which
    /// may wait in buffers, or what came back.
    pub(super) fn carries(&self, time: Duration) -> usize {
        self.rate()
            .map_or(FIRST_BYTES, |rate| rate * time.as_secs_f64()) as usize
    }

    /// How long a request may yet be on its way that a connection has taken.
    pub(super) fn hidden(&self) -> Duration {
        let time = self.rate().map_or(0.0, |rate| HIDDEN / rate);
        Duration::try_from_secs_f64(time).unwrap_or_default()
    }

    fn rate(&self) -> Option<f64> {
        // What comes back of small images says nothing of the link.
        let goodput = self.goodput.filter(|_| self.size > 4_096.0);
        self.link.into_iter().chain(goodput).reduce(f64::min)
    }

    /// An answer for an image, in time or late, while there were so many images and bytes in all.
    pub(super) fn answered(&mut self, now: Instant, image: Ticket, bytes: usize, all: Load) {
        self.youngest = self.youngest.max(Some(image.sent));
        let latency = now.saturating_duration_since(image.sent);
        let share = latency.as_secs_f64() / image.timeout.as_secs_f64().max(1e-6);
        let latency = latency.as_secs_f64();
        self.doubt = None;
        let smooth = self.smooth(latency);
        let goodput = image.load.bytes as f64 / latency.max(1e-6);
        self.goodput = Some(self.goodput.map_or(goodput, |old| (old + goodput) / 2.0));
        let crowded = smooth > CROWDED * self.least;
        self.age(now, image, bytes, all, crowded);
        if share > 1.0 || (share > TARGET && crowded) {
            return self.shrink(now, image, (TARGET / share).clamp(0.5, 0.9));
        }
        self.calm = self.calm.saturating_sub(1);
        let steps = match share {
            _ if share <= QUICK / 4.0 => 3.0,
            _ if share <= QUICK => 1.0,
            // Slow although there is no queue: perhaps it always is. Feel the way.
            _ if !crowded && self.calm == 0 => 0.25,
            _ => return,
        };
        let (load, held) = (image.load.images as f64, all.images as f64);
        self.images.grow(load, held, 1.0, steps, share);
        if share > QUICK && self.link_is_ample(bytes, latency) {
            let (load, held) = (image.load.bytes as f64, all.bytes as f64);
            self.bytes.grow(load, held, bytes as f64, steps, share);
        }
    }

    /// What may be accepted goes by the whole time since then: on a slow link images wait here.
    fn age(&mut self, now: Instant, image: Ticket, bytes: usize, all: Load, crowded: bool) {
        let age = now.saturating_duration_since(image.accepted).as_secs_f64();
        let waited = image.sent.saturating_duration_since(image.accepted);
        let share = age / image.timeout.as_secs_f64().max(1e-6);
        let (load, held) = (image.accepted_bytes as f64, all.bytes as f64);
        if share > TARGET {
            let queued = crowded || waited.as_secs_f64() > age / 2.0;
            if queued && self.aged.is_none_or(|at| image.accepted >= at) {
                self.aged = Some(now);
                let factor = (TARGET / share).clamp(0.5, 0.9);
                self.bytes.shrink(load, factor);
            }
        } else if share <= QUICK {
            let steps = if share <= QUICK / 4.0 { 3.0 } else { 1.0 };
            self.bytes.grow(load, held, bytes as f64, steps, share);
        }
    }

    /// The time of an image was up before it was sent, with so much in front of it.
    pub(super) fn not_sent(
        &mut self,
        now: Instant,
        accepted: Instant,
        timeout: Duration,
        load: Load,
    ) {
        let image = Ticket {
            sent: accepted,
            timeout,
            accepted,
            accepted_bytes: load.bytes,
            load,
        };
        self.shrink(now, image, 0.5);
    }

    /// The time of an image that was sent was up.
    pub(super) fn timed_out(&mut self, now: Instant, image: Ticket) {
        if !self.overtaken(image) {
            self.shrink(now, image, 0.5);
        }
    }

    /// Whether images that came much later have their answers: this one's is lost, not late.
    pub(super) fn overtaken(&self, image: Ticket) -> bool {
        self.youngest
            .is_some_and(|youngest| youngest >= image.sent + image.timeout / 4)
    }

    /// How long an answer that is overdue may yet come.
    pub(super) fn patience(&self, image: Ticket) -> Duration {
        let known = self.latency.map(|latency| 2.0 * latency);
        known
            .and_then(|twice| Duration::try_from_secs_f64(twice).ok())
            .unwrap_or(image.timeout)
            .max(image.timeout / 4)
    }

    fn smooth(&mut self, latency: f64) -> f64 {
        let gain = 1.0 / self.images.size.clamp(2.0, 16.0);
        let smooth = match self.latency {
            Some(old) => old + (latency - old) * gain,
            None => latency,
        };
        self.latency = Some(smooth);
        // What was least once need not be for ever: another route, another model.
        self.least = (self.least * (1.0 + 1.0 / 256.0)).min(smooth);
        smooth
    }

    fn link_is_ample(&self, bytes: usize, latency: f64) -> bool {
        self.link
            .is_some_and(|link| link > AMPLE * bytes as f64 / latency.max(1e-6))
    }

    /// Once for all that were under way together.
    fn shrink(&mut self, now: Instant, image: Ticket, factor: f64) {
        self.calm = CALM;
        if self.shrunk.is_some_and(|at| image.sent < at) {
            return;
        }
        self.shrunk = Some(now);
        self.images.shrink(image.load.images as f64, factor);
        self.bytes.shrink(image.load.bytes as f64, factor);
    }
}

impl Window {
    /// Only a window that was in the way grows. `load` was in front of the answered image, `held` is
    /// all that there is now.
    fn grow(&mut self, load: f64, held: f64, unit: f64, steps: f64, share: f64) {
        if load.max(held) * 2.0 < self.size {
            return;
        }
        let mut size = self.size + steps * unit;
        if share <= QUICK {
            size = size.min(load * TARGET / share.max(1e-9));
        }
        self.size = size.clamp(self.size, self.most);
    }

    fn shrink(&mut self, load: f64, factor: f64) {
        self.size = (self.size.min(load) * factor).max(self.least);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A service that works on `workers` images at once, each for `work`, in order.
    struct Service {
        workers: usize,
        work: Duration,
        bytes: usize,
    }

    struct Outcome {
        in_time: usize,
        taken: Duration,
        most_under_way: usize,
    }

    /// Sends `count` images as the window allows, with a time-out of a minute.
    fn run(service: &Service, count: usize) -> Outcome {
        let timeout = Duration::from_secs(60);
        let begin = Instant::now();
        let mut admission = Admission::new(256);
        admission.prepared(service.bytes);
        let mut free: VecDeque<Instant> = (0..service.workers).map(|_| begin).collect();
        let mut under_way: VecDeque<(Instant, Ticket)> = VecDeque::new();
        let (mut now, mut sent) = (begin, 0);
        let mut outcome = Outcome {
            in_time: 0,
            taken: Duration::ZERO,
            most_under_way: 0,
        };
        loop {
            let light = |admission: &Admission, load: Load| {
                load.bytes == 0 || (load.bytes + service.bytes) as f64 <= admission.bytes.size
            };
            let load = |images: usize| Load {
                images,
                bytes: images * service.bytes,
            };
            for _ in 0..admission.sends(under_way.len(), 32).min(count - sent) {
                if !light(&admission, load(under_way.len())) {
                    break;
                }
                let ticket = Ticket {
                    sent: now,
                    timeout,
                    accepted: now,
                    accepted_bytes: (under_way.len() + 1) * service.bytes,
                    load: load(under_way.len() + 1),
                };
                let start = free.pop_front().unwrap().max(now);
                free.push_back(start + service.work);
                under_way.push_back((start + service.work, ticket));
                sent += 1;
            }
            outcome.most_under_way = outcome.most_under_way.max(under_way.len());
            let held = load(under_way.len());
            let Some((done, ticket)) = under_way.pop_front() else {
                outcome.taken = now - begin;
                return outcome;
            };
            now = now.max(done);
            if now - ticket.sent <= timeout {
                outcome.in_time += 1;
            }
            admission.answered(now, ticket, service.bytes, held);
        }
    }

    #[test]
    fn a_slow_link_gets_what_it_carries_in_time() {
        for (rate, size) in [
            (20_000, 600_000),
            (20_000, 450_000),
            (20_000, 300_000),
            (50_000, 400_000),
            (100_000, 300_000),
            (1_000_000, 600_000),
        ] {
            let service = Service {
                workers: 1,
                work: Duration::from_secs_f64(size as f64 / f64::from(rate)),
                bytes: size,
            };
            let outcome = run(&service, 60);
            assert_eq!(outcome.in_time, 60, "{size} bytes at {rate}");
        }
    }

    #[test]
    fn a_slow_service_gets_what_it_sustains() {
        for millis in [20, 50, 200, 1_000, 5_000, 20_000, 40_000, 55_000] {
            let service = Service {
                workers: 1,
                work: Duration::from_millis(millis),
                bytes: 100,
            };
            let outcome = run(&service, 400);
            assert!(outcome.in_time >= 360, "{millis} ms: {}", outcome.in_time);
        }
    }

    #[test]
    fn latency_alone_is_no_reason_to_hold_back() {
        for millis in [10, 500, 2_000, 10_000, 33_000] {
            let work = Duration::from_millis(millis);
            let service = Service {
                workers: 10_000,
                work,
                bytes: 100,
            };
            let outcome = run(&service, 20_000);
            assert_eq!(outcome.in_time, 20_000);
            assert_eq!(outcome.most_under_way, 256, "{millis} ms");
            let ideal = work * (20_000 / 256);
            assert!(outcome.taken < ideal * 3 / 2, "{:?}", outcome.taken);
        }
    }

    #[test]
    fn a_fast_service_has_the_whole_window_after_four_rounds() {
        let service = Service {
            workers: 256,
            work: Duration::from_millis(100),
            bytes: 100,
        };
        let outcome = run(&service, 4 + 16 + 64 + 256);
        assert!(outcome.taken <= Duration::from_millis(500));
    }
}
