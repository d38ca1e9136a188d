//! Brings what Rust threads have to say to Python, without ever making them wait for the GIL.
//!
//! A courier is one thread. It waits for the GIL alone, and then brings everything that has piled up
//! meanwhile: under load many outcomes reach an event loop with one wake-up.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pyo3::prelude::*;

use crate::log::Record;
use crate::operation::{Delivery, deliver};

/// What is brought.
pub(crate) enum Parcel {
    Outcome(Delivery),
    Record(Record),
}

/// Where Rust threads leave what is to be brought.
pub(crate) type Parcels = Sender<Parcel>;

pub(crate) struct Courier {
    parcels: Parcels,
    thread: JoinHandle<()>,
    /// Tells that the thread has ended, by its other end being dropped.
    ended: Receiver<()>,
}

impl Courier {
    pub(crate) fn parcels(&self) -> Parcels {
        self.parcels.clone()
    }

    /// Waits until everything has been brought, within reason: a handler of log records may hang.
    pub(crate) fn end(self, patience: Duration) {
        drop(self.parcels);
        if self.ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected) {
            // A panic has been reported by the thread itself.
            let _ = self.thread.join();
        }
    }
}

pub(crate) fn start(name: &str) -> PyResult<Courier> {
    let (parcels, inbox) = mpsc::channel();
    let (alive, ended) = mpsc::channel();
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        let _alive: Sender<()> = alive;
        while let Ok(first) = inbox.recv() {
            Python::attach(|py| bring(py, [first].into_iter().chain(inbox.try_iter())));
        }
    })?;
    Ok(Courier {
        parcels,
        thread,
        ended,
    })
}

fn bring(py: Python<'_>, parcels: impl Iterator<Item = Parcel>) {
    let mut outcomes = Vec::new();
    for parcel in parcels {
        match parcel {
            Parcel::Outcome(delivery) => outcomes.push(delivery),
            Parcel::Record(record) => record.log(py),
        }
    }
    deliver(py, outcomes);
}
