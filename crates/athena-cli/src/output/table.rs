//! The table for people: PCSAM and known content stand out, then the categories by weight.

use std::io::{self, Write};

use anstyle::Style;

use super::terminal::{self, ALARM, BAD, BOLD, DIM, GOOD, NOTICE, columns, fit_path, shorten};
use crate::failure::one_line;
use athena_outcome::{Decision, Record, Status, short_label};

/// Columns of `PCSAM  ENTROPY  KNOWN  ` between the path and the weights.
const FIGURES: usize = 25;
/// Columns of ` 0.55` and of ` …`.
const WEIGHT: usize = 5;
const ELLIPSIS: usize = 2;
/// The least that is worth a row of its own; below it a record takes two lines.
const NARROW: usize = 66;

/// Rows of results, laid out for the width of the terminal.
pub(crate) struct Table {
    width: Option<usize>,
    path_width: usize,
    started: bool,
}

impl Table {
    pub(super) fn new(longest_path: usize) -> Self {
        Self::with_width(terminal::width(), longest_path)
    }

    fn with_width(width: Option<usize>, longest_path: usize) -> Self {
        let most = width.map_or(60, |width| width * 2 / 5).max(12);
        Self {
            width,
            path_width: longest_path.clamp(4, most),
            started: false,
        }
    }

    pub(super) fn row(&mut self, record: &Record, out: &mut dyn Write) -> io::Result<()> {
        if self.is_narrow() {
            return self.two_lines(record, out);
        }
        if !std::mem::replace(&mut self.started, true) {
            let path = fit_path("FILE", self.path_width);
            writeln!(
                out,
                "{BOLD}{path}  {}{:>6}  {:>7}  {:<6}  WEIGHTS{BOLD:#}",
                record.decision.map_or("", |_| "DECISION  "),
                "PCSAM",
                "ENTROPY",
                "KNOWN"
            )?;
        }
        let path = fit_path(&one_line(record.name()), self.path_width);
        write!(out, "{path}  ")?;
        let decision = write_decision(record, out)?;
        let room = self.width.map(|width| {
            let taken = self.path_width + 2 + decision;
            match record.status {
                Status::Classified => width.saturating_sub(taken + FIGURES),
                Status::Failed => width.saturating_sub(taken),
            }
        });
        match record.status {
            Status::Failed => write_error(record, room, out)?,
            Status::Classified => {
                write_figures(record, out)?;
                write_categories(record, room, out)?;
            }
        }
        writeln!(out)
    }

    fn is_narrow(&self) -> bool {
        self.width.is_some_and(|width| width < NARROW)
    }

    fn two_lines(&self, record: &Record, out: &mut dyn Write) -> io::Result<()> {
        let width = self.width.unwrap_or(NARROW);
        let path = one_line(record.name());
        writeln!(
            out,
            "{BOLD}{}{BOLD:#}",
            fit_path(&path, columns(&path).min(width))
        )?;
        write!(out, "  ")?;
        let decision = write_decision(record, out)?;
        match record.status {
            Status::Failed => write_error(record, Some(width.saturating_sub(2 + decision)), out)?,
            Status::Classified => {
                if let Some(pcsam) = record.scores.pcsam {
                    let style = alarm_style(pcsam);
                    write!(out, "{style}PCSAM {pcsam:.3}{style:#}  ")?;
                }
                if record.scores.known_match == Some(true) {
                    write!(out, "{ALARM}KNOWN{ALARM:#}  ")?;
                }
                write_categories(record, Some(width.saturating_sub(22 + decision)), out)?;
            }
        }
        writeln!(out)
    }
}

/// The decision, where there is one, in a column of its own. Returns the columns that it takes.
fn write_decision(record: &Record, out: &mut dyn Write) -> io::Result<usize> {
    let Some(decision) = record.decision else {
        return Ok(0);
    };
    let style = match decision {
        Decision::Allow => DIM,
        Decision::Review => BOLD,
        Decision::Block => ALARM,
    };
    write!(out, "{style}{:<8}{style:#}  ", decision.as_str())?;
    Ok(10)
}

fn write_error(record: &Record, room: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    let message = record.error.as_ref().map_or("no verdict", |e| &e.message);
    let message = one_line(message);
    let message = match room {
        Some(room) => shorten(&message, room.saturating_sub(2).max(10)),
        None => message,
    };
    write!(out, "{BAD}✗ {message}{BAD:#}")
}

fn write_figures(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    match record.scores.pcsam {
        Some(pcsam) => {
            let style = alarm_style(pcsam);
            write!(out, "{style}{pcsam:>6.3}{style:#}  ")?;
        }
        None => write!(out, "{DIM}{:>6}{DIM:#}  ", "–")?,
    }
    match record.scores.entropy {
        Some(entropy) => write!(out, "{entropy:>7.3}  ")?,
        None => write!(out, "{DIM}{:>7}{DIM:#}  ", "–")?,
    }
    match record.scores.known_match {
        Some(true) => write!(out, "{ALARM}{:<6}{ALARM:#}  ", "KNOWN"),
        Some(false) => write!(out, "{:<6}  ", "no"),
        None => write!(out, "{DIM}{:<6}{DIM:#}  ", "–"),
    }
}

fn write_categories(record: &Record, room: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    let categories = categories(record);
    let mut left = room.unwrap_or(usize::MAX);
    for (index, (label, weight)) in categories.iter().enumerate() {
        let label = short_label(label);
        let gap = if index == 0 { 0 } else { 2 };
        let needed = gap + columns(label) + WEIGHT;
        let more = if index + 1 < categories.len() {
            ELLIPSIS
        } else {
            0
        };
        if needed + more > left {
            return write!(out, "{DIM} …{DIM:#}");
        }
        left -= needed;
        let style = if index == 0 { BOLD } else { DIM };
        write!(out, "{:gap$}{style}{label} {weight:.2}{style:#}", "")?;
    }
    Ok(())
}

/// The category labels, the highest weight first: neither the specials nor the known-content ones.
pub(super) fn categories(record: &Record) -> Vec<(&str, f32)> {
    let mut labels: Vec<(&str, f32)> = (record.scores.weights.iter())
        .map(|(label, weight)| (label.as_str(), *weight))
        .filter(|(label, _)| {
            !label.starts_with("Known") && !matches!(short_label(label), "PCSAM" | "Entropy")
        })
        .collect();
    labels.sort_by(|a, b| b.1.total_cmp(&a.1));
    labels
}

fn alarm_style(pcsam: f32) -> Style {
    match pcsam {
        high if high >= 0.8 => ALARM,
        middle if middle >= 0.5 => NOTICE,
        _ => GOOD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn classified(path: &str) -> Record {
        let mut record = Record::of_path(Path::new(path));
        record.status = Status::Classified;
        record.scores.pcsam = Some(0.031);
        record.scores.entropy = Some(1.25);
        record.scores.known_match = Some(false);
        for (label, weight) in [("Trees", 0.1), ("Lakeside", 0.7), ("Ducks", 0.2)] {
            record
                .scores
                .weights
                .insert(format!("UnknownCSAM-{label}"), weight);
        }
        record
            .scores
            .weights
            .insert("UnknownCSAM-PCSAM".into(), 0.031);
        record.scores.weights.insert("KnownCSAM-MD5".into(), 0.0);
        record
    }

    fn printed(width: Option<usize>, records: &[Record]) -> String {
        let mut out = Vec::new();
        let mut table = Table::with_width(width, 14);
        for record in records {
            table.row(record, &mut out).expect("write to memory");
        }
        anstream::adapter::strip_str(std::str::from_utf8(&out).expect("UTF-8")).to_string()
    }

    #[test]
    fn categories_stand_by_weight() {
        let text = printed(None, &[classified("lake.jpg")]);
        assert!(text.contains("Lakeside 0.70  Ducks 0.20  Trees 0.10"));
        assert!(!text.contains("KnownCSAM"));
    }

    #[test]
    fn rows_fit_every_width() {
        let mut records = vec![classified("a/very/long/path/to/some/picture/lake.jpg")];
        let message = "the file ends too early, at byte 1,024 of at least 20,480, and more words";
        let mut broken = Record::of_path(Path::new("broken.jpg"));
        broken.fail("image", message);
        records.push(broken);
        let mut decided = classified("another/very/long/path/to/some/picture/lake.jpg");
        decided.decision = Some(Decision::Block);
        records.push(decided);
        for width in 40..160 {
            for line in printed(Some(width), &records).lines() {
                assert!(columns(line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_hostile_name_cannot_reach_the_terminal() {
        let text = printed(None, &[classified("\u{1b}]0;x\u{7}.jpg")]);
        assert!(!text.contains('\u{7}'));
    }
}
