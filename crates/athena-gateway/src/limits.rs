//! What a caller may cost.

use std::time::Duration;

/// Bounds on what callers may send, hold and wait for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one image. Default: 32 MiB.
    pub image_bytes: usize,
    /// Bytes of all images that are held at the same time. Default: 512 MiB.
    pub held_bytes: usize,
    /// Images that are judged at the same time. Default: 512.
    pub in_flight: usize,
    /// Images that may wait for one of those places; more are turned away. Default: 512.
    pub waiting: usize,
    /// How long they wait for it at most. Default: 2 s.
    pub waiting_time: Duration,
    /// Connections at the same time. Default: 10,000.
    pub connections: usize,
    /// How long a connection may take for the head of its next request. Default: 60 s.
    pub idle: Duration,
    /// Bytes of the head of a request. Default: 16 KiB.
    pub head_bytes: usize,
    /// How long a body may take. Default: 60 s.
    pub body_time: Duration,
    /// Bytes a second that a body must bring on average, after five seconds. Default: 1 KiB.
    pub body_rate: usize,
    /// How long an image may take, unless its caller says less. Default: 30 s.
    pub image_time: Duration,
    /// Images in one request to classify several. Default: 32.
    pub parts: usize,
    /// Images in one batch. Default: 1,000.
    pub batch: usize,
    /// Of those: under way at the same time. Default: 64.
    pub batch_in_flight: usize,
    /// Finished outcomes that are kept for those who come back for them. Default: 10,000.
    pub outcomes: usize,
    /// How long they are kept. Default: 10 min.
    pub outcome_time: Duration,
    /// How long what is under way may take when the server stops. Default: 30 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            image_bytes: 32 << 20,
            held_bytes: 512 << 20,
            in_flight: 512,
            waiting: 512,
            waiting_time: Duration::from_secs(2),
            connections: 10_000,
            idle: Duration::from_secs(60),
            head_bytes: 16 << 10,
            body_time: Duration::from_secs(60),
            body_rate: 1 << 10,
            image_time: Duration::from_secs(30),
            parts: 32,
            batch: 1_000,
            batch_in_flight: 64,
            outcomes: 10_000,
            outcome_time: Duration::from_secs(600),
            drain: Duration::from_secs(30),
        }
    }
}
