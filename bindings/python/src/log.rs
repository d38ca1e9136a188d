//! Events of the SDK as records of Python's `logging`, under the logger `athena`.

use std::fmt::{self, Write as _};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::courier::{Parcel, Parcels};

/// Where records go, and in which process that is. Read without a lock, which a fork could find taken.
static SINK: ArcSwapOption<(u32, Parcels)> = ArcSwapOption::const_empty();

/// Records on their way. A handler that hangs must not fill the memory.
static WAITING: AtomicUsize = AtomicUsize::new(0);
const MOST_WAITING: usize = 10_000;

pub(crate) fn send_to(parcels: Parcels) {
    WAITING.store(0, Ordering::Relaxed);
    SINK.store(Some(Arc::new((process::id(), parcels))));
}

pub(crate) fn stop() {
    SINK.store(None);
}

/// From now on events are sent to the courier, if there is one.
pub(crate) fn install() {
    // It fails if there is a subscriber already: the module was imported a second time.
    let _ = tracing::subscriber::set_global_default(Forwarder);
}

/// An event on its way to Python.
pub(crate) struct Record {
    level: Level,
    target: &'static str,
    message: String,
}

impl Record {
    /// Logs it, if its logger wants it. What a handler raises is the business of `logging`.
    pub(crate) fn log(self, py: Python<'_>) {
        static LOG: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        WAITING.fetch_sub(1, Ordering::Relaxed);
        // The values of Python's levels.
        let level = match self.level {
            Level::ERROR => 40,
            Level::WARN => 30,
            Level::INFO => 20,
            _ => 10,
        };
        let logged = LOG
            .import(py, "athena._logging", "log")
            .and_then(|log| log.call1((level, self.target, self.message)));
        if let Err(error) = logged {
            error.write_unraisable(py, None);
        }
    }
}

/// Sends the events of this project's crates, and none of their dependencies' or of spans.
struct Forwarder;

impl Subscriber for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::DEBUG
            && metadata.target().starts_with("athena")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let sink = SINK.load();
        let Some((process, parcels)) = sink.as_deref() else {
            return;
        };
        if *process != process::id() || WAITING.load(Ordering::Relaxed) >= MOST_WAITING {
            return;
        }
        WAITING.fetch_add(1, Ordering::Relaxed);
        let mut message = Message::default();
        event.record(&mut message);
        let metadata = event.metadata();
        let record = Record {
            level: *metadata.level(),
            target: metadata.target(),
            message: message.text + &message.fields,
        };
        // Without a courier nobody reads logs any more.
        let _ = parcels.send(Parcel::Record(record));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event's message, and its fields behind it.
#[derive(Default)]
struct Message {
    text: String,
    fields: String,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
