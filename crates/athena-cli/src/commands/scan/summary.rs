//! What a scan says at its end.

use std::sync::atomic::Ordering::Relaxed;

use anstyle::Style;

use super::progress::Counters;
use super::writer::Written;
use crate::exit::Exit;
use crate::failure::one_line;
use crate::output::terminal::{ALARM, BAD, BOLD, DIM, NOTICE, bytes, count, say};

/// Files whose action failed that are named.
const LISTED: usize = 10;

/// The last lines on standard error.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    pub(super) written: &'a Written,
    pub(super) counters: &'a Counters,
    pub(super) skipped: u64,
    /// Left out by --min-size, --max-size or --newer-than.
    pub(super) filtered: u64,
    /// What looks like an image and was left out.
    pub(super) gaps: Vec<(u64, String)>,
    pub(super) seconds: f64,
}

impl Summary<'_> {
    pub(super) fn earlier(&self) -> u64 {
        self.counters.earlier.load(Relaxed)
    }

    pub(super) fn unfinished(&self) -> u64 {
        self.counters.unfinished.load(Relaxed)
    }

    /// Every image that the input holds.
    pub(super) fn images(&self) -> u64 {
        self.written.run.images() + self.earlier() + self.unfinished()
    }

    /// About the whole output, whoever has written it.
    pub(super) fn exit(&self) -> Exit {
        let whole = &self.written.whole;
        if whole.matched > 0 {
            Exit::Threshold
        } else if whole.failed + self.unfinished() + whole.failed_actions > 0 {
            Exit::SomeFailed
        } else {
            Exit::Done
        }
    }

    pub(super) fn print(&self) {
        let (run, whole) = (&self.written.run, &self.written.whole);
        let rate = run.images() as f64 / self.seconds.max(0.001);
        say(format_args!(
            "{BOLD}{} classified{BOLD:#}, {} failed in {:.1} s {DIM}({rate:.0} images/s, {} read){DIM:#}",
            count(run.classified),
            count(run.failed),
            self.seconds,
            bytes(run.bytes)
        ));
        for (kind, number) in &run.errors {
            say(format_args!("  {BAD}{:>8}{BAD:#}  {kind}", count(*number)));
        }
        let note = |number: u64, style: Style, text: &str| {
            if number > 0 {
                say(format_args!(
                    "  {style}{:>8}{style:#}  {text}",
                    count(number)
                ));
            }
        };
        note(run.known, ALARM, "known content");
        note(run.matched, ALARM, "reached a --fail-over weight");
        note(run.acted, DIM, "actions of --on-match taken");
        note(whole.failed_actions, BAD, "actions of --on-match failed:");
        for (path, why) in whole.unacted.iter().take(LISTED) {
            let (path, why) = (one_line(path), one_line(why));
            say(format_args!("            {path}: {BAD}{why}{BAD:#}"));
        }
        if whole.failed_actions > LISTED as u64 {
            say(format_args!(
                "            {DIM}… the output has them all{DIM:#}"
            ));
        }
        note(run.duplicates, DIM, "duplicates, not sent again");
        note(self.earlier(), DIM, "finished earlier, or named twice");
        note(self.skipped, DIM, "other files skipped");
        note(self.filtered, DIM, "left out for their size or age");
        for (number, words) in &self.gaps {
            note(*number, NOTICE, words);
        }
        note(
            self.unfinished(),
            NOTICE,
            "unfinished: the same command with --resume does them",
        );
        if whole.images() > run.images() {
            let mut parts = vec![
                format!("{} classified", count(whole.classified)),
                format!("{} failed", count(whole.failed)),
            ];
            if whole.known > 0 {
                parts.push(format!("{} known", count(whole.known)));
            }
            if whole.matched > 0 {
                parts.push(format!("{} over --fail-over", count(whole.matched)));
            }
            say(format_args!("whole output: {}", parts.join(", ")));
        }
    }
}
