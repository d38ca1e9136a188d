//! How far the scan is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::AbortHandle;

use crate::output::terminal::{bytes, count, shorten};

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
    /// Whether there are thresholds.
    pub(super) matching: AtomicBool,
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
        let wide = bar_columns(columns());
        let bar = ProgressBar::no_length().with_style(style(wide));
        crate::log::show_above(&bar);
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            loop {
                let snapshot = Snapshot::take(&counters, started);
                if snapshot.total > 0 {
                    shown.set_length(snapshot.total);
                }
                shown.set_position(snapshot.done());
                shown.set_message(snapshot.message(columns().saturating_sub(wide)));
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

fn style(wide: usize) -> ProgressStyle {
    let template = match wide.checked_sub(GAP) {
        Some(bar) => format!("{{bar:{bar}.cyan/dim}} {{msg}}"),
        None => "{msg}".to_owned(),
    };
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸━")
}

/// Columns between the bar and the message, and after it.
const GAP: usize = 2;

/// Columns of the bar with its gap: none where figures need the room.
fn bar_columns(columns: usize) -> usize {
    match columns {
        100.. => 24 + GAP,
        80.. => 10 + GAP,
        _ => 0,
    }
}

/// Columns of the terminal.
fn columns() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(80, |(width, _)| usize::from(width.0))
}

#[derive(Debug)]
struct Snapshot {
    total: u64,
    earlier: u64,
    finished: u64,
    failed: u64,
    /// None when nothing can match.
    matched: Option<u64>,
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
            matched: (counters.matching.load(Relaxed)).then(|| counters.matched.load(Relaxed)),
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

    /// How far it is, what is left, what failed and what matched, always; the rest where there is room.
    fn message(&self, columns: usize) -> String {
        let full = self.figures(count).join(GAPS);
        let short = self.figures(compact);
        let mut message = [full, short.join(GAPS)]
            .into_iter()
            .find(|message| message.len() <= columns)
            .unwrap_or_else(|| short.join(" "));
        let throughput = self.bytes as f64 / self.seconds;
        for part in [
            format!("{:.0}/s", self.rate()),
            format!("{}/s", bytes(throughput as u64)),
            format!("{} in flight", self.in_flight),
        ] {
            if message.len() + GAPS.len() + part.len() > columns {
                break;
            }
            message = message + GAPS + &part;
        }
        shorten(&message, columns)
    }

    fn figures(&self, number: fn(u64) -> String) -> Vec<String> {
        let mut figures = vec![match self.total {
            0 => format!("{} done", number(self.done())),
            total => {
                let percent = self.done() * 100 / total;
                format!("{percent}%  {}/{}", number(self.done()), number(total))
            }
        }];
        figures.extend(self.left().map(|left| format!("ETA {}", short_time(left))));
        figures.push(format!("{} failed", number(self.failed)));
        figures.extend(
            self.matched
                .map(|matched| format!("{} matched", number(matched))),
        );
        if self.unfinished > 0 {
            figures.push(format!("{} unfinished", number(self.unfinished)));
        }
        figures
    }

    fn line(&self) -> String {
        self.message(usize::MAX)
    }

    /// Seconds to the end at the rate so far.
    fn left(&self) -> Option<u64> {
        let left = self.total.checked_sub(self.done())?;
        if self.total == 0 || self.finished == 0 {
            return None;
        }
        let seconds = left as f64 / self.rate();
        // A century is as good as never.
        (seconds < 3e9).then_some(seconds as u64)
    }
}

/// What stands between two figures.
const GAPS: &str = "  ";

/// `1234567` as `1.2M`.
fn compact(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["", "k", "M"] {
        if value < 999.5 {
            let digits = usize::from(!unit.is_empty() && value < 9.95);
            return format!("{value:.digits$}{unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1}G")
}

/// A time in its two largest units.
fn short_time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
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
            matched: Some(3),
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
            "40%  4,000/10,000  ETA 20s  12 failed  3 matched  300/s  60.0 MB/s  256 in flight"
        );
    }

    #[test]
    fn failed_matched_and_time_left_are_visible_at_fifty_columns() {
        let large = Snapshot {
            total: 12_345_678,
            earlier: 1_000_000,
            finished: 3_000_000,
            failed: 123_456,
            matched: Some(98_765),
            seconds: 100_000.0,
            ..snapshot()
        };
        for snapshot in [snapshot(), large] {
            for columns in 1..120 {
                assert!(crate::output::terminal::columns(&snapshot.message(columns)) <= columns);
            }
            let message = snapshot.message(50);
            for part in ["%", "/", "ETA", "failed", "matched"] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in [
            (7, "7s"),
            (61, "1m 01s"),
            (3_700, "1h 01m"),
            (100_000, "1d 03h"),
        ] {
            assert_eq!(short_time(seconds), text);
        }
    }

    #[test]
    fn compact_figures_have_two_or_three_digits() {
        for (number, text) in [
            (999, "999"),
            (1_200, "1.2k"),
            (12_345, "12k"),
            (9_960_000, "10M"),
        ] {
            assert_eq!(compact(number), text);
        }
    }
}
