//! How far the scan is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::AbortHandle;

use crate::output::terminal::{bytes, count};

const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// When to show progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// A bar on a terminal, lines elsewhere
    #[default]
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Lines,
    /// Nothing
    Never,
}

/// Counted by whoever sees it happen.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Images in the whole input; zero while they are being counted.
    pub(super) total: AtomicU64,
    /// Finished by an earlier run, or named twice.
    pub(super) earlier: AtomicU64,
    pub(super) finished: AtomicU64,
    /// Failed images of the whole output, and those that reached a threshold.
    pub(super) failed: AtomicU64,
    pub(super) matched: AtomicU64,
    pub(super) unfinished: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// The display, until it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    task: Option<AbortHandle>,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start(when: When, counters: Arc<Counters>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = match when {
            When::Never => {
                return Self {
                    task: None,
                    bar: None,
                };
            }
            When::Bar => true,
            When::Lines => false,
            When::Auto => terminal,
        };
        let started = Instant::now();
        if !bar {
            let task = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LINE_EVERY).await;
                    eprintln!("scan: {}", Snapshot::take(&counters, started).line());
                }
            });
            return Self {
                task: Some(task.abort_handle()),
                bar: None,
            };
        }
        let bar = ProgressBar::no_length().with_style(style());
        crate::log::show_above(&bar);
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            loop {
                let snapshot = Snapshot::take(&counters, started);
                if snapshot.total > 0 {
                    shown.set_length(snapshot.total);
                }
                shown.set_position(snapshot.done());
                shown.set_message(snapshot.message(columns()));
                shown.tick();
                tokio::time::sleep(BAR_EVERY).await;
            }
        });
        Self {
            task: Some(task.abort_handle()),
            bar: Some(bar),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24.cyan/dim} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸━")
}

/// Columns that the message may take beside the bar.
fn columns() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(80, |(width, _)| usize::from(width.0))
        .saturating_sub(26)
}

#[derive(Debug)]
struct Snapshot {
    total: u64,
    earlier: u64,
    finished: u64,
    failed: u64,
    unfinished: u64,
    in_flight: u64,
    bytes: u64,
    seconds: f64,
}

impl Snapshot {
    fn take(counters: &Counters, started: Instant) -> Self {
        Self {
            total: counters.total.load(Relaxed),
            earlier: counters.earlier.load(Relaxed),
            finished: counters.finished.load(Relaxed),
            failed: counters.failed.load(Relaxed),
            unfinished: counters.unfinished.load(Relaxed),
            in_flight: counters.in_flight.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            seconds: started.elapsed().as_secs_f64().max(0.001),
        }
    }

    fn done(&self) -> u64 {
        self.earlier + self.finished + self.unfinished
    }

    fn rate(&self) -> f64 {
        self.finished as f64 / self.seconds
    }

    /// What there is room for, the most useful first.
    fn message(&self, columns: usize) -> String {
        let total = match self.total {
            0 => count(self.done()),
            total => format!("{}/{}", count(self.done()), count(total)),
        };
        let mut parts = vec![total, format!("{:.0}/s", self.rate())];
        parts.extend(self.left().map(|left| format!("ETA {left}")));
        if self.failed > 0 {
            parts.push(format!("{} failed", count(self.failed)));
        }
        if self.unfinished > 0 {
            parts.push(format!("{} unfinished", count(self.unfinished)));
        }
        let throughput = self.bytes as f64 / self.seconds;
        parts.push(format!("{}/s", bytes(throughput as u64)));
        parts.push(format!("{} in flight", self.in_flight));
        let mut message = String::new();
        for part in parts {
            let gap = if message.is_empty() { "" } else { "  " };
            if message.len() + gap.len() + part.len() > columns {
                break;
            }
            message = message + gap + &part;
        }
        message
    }

    fn line(&self) -> String {
        self.message(usize::MAX)
    }

    fn left(&self) -> Option<humantime::FormattedDuration> {
        let left = self.total.checked_sub(self.done())?;
        if self.total == 0 || self.finished == 0 {
            return None;
        }
        let seconds = left as f64 / self.rate();
        // A century is as good as never.
        (seconds < 3e9).then(|| humantime::format_duration(Duration::from_secs(seconds as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            total: 10_000,
            earlier: 1_000,
            finished: 3_000,
            failed: 12,
            unfinished: 0,
            in_flight: 256,
            bytes: 600_000_000,
            seconds: 10.0,
        }
    }

    #[test]
    fn the_line_says_everything() {
        assert_eq!(
            snapshot().line(),
            "4,000/10,000  300/s  ETA 20s  12 failed  60.0 MB/s  256 in flight"
        );
    }

    #[test]
    fn the_message_fits_beside_the_bar() {
        for columns in 0..100 {
            assert!(snapshot().message(columns).len() <= columns);
        }
        assert!(snapshot().message(30).starts_with("4,000/10,000  300/s"));
    }
}
