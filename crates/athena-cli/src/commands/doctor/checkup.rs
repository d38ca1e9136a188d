//! The steps of a check-up, and how they are shown.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::{Failure, one_line, without_userinfo};
use crate::output::terminal::{self, BAD, BOLD, DIM, GOOD, NOTICE, columns};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Health {
    Ok,
    /// It works; something about it deserves a look.
    Warning,
    Failed,
    /// There was no point after an earlier failure.
    Skipped,
}

#[derive(Debug, Serialize)]
struct Step {
    name: String,
    status: Health,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// The steps so far, printed as they come.
#[derive(Debug, Serialize)]
pub(super) struct Checkup {
    version: &'static str,
    steps: Vec<Step>,
    #[serde(skip)]
    exit: Exit,
    #[serde(skip)]
    print: bool,
}

impl Checkup {
    /// None yet. With `print`, steps are shown as they come.
    pub(super) fn new(print: bool) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            steps: Vec::new(),
            exit: Exit::Done,
            print,
        }
    }

    /// The code of the first step that has failed.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    pub(super) fn ok(&mut self, name: &str, detail: impl Into<String>) {
        self.add(name, Health::Ok, detail.into(), None);
    }

    pub(super) fn warn(&mut self, name: &str, detail: impl Into<String>, remedy: &str) {
        self.add(name, Health::Warning, detail.into(), Some(remedy.into()));
    }

    pub(super) fn skip(&mut self, name: &str, why: &str) {
        self.add(name, Health::Skipped, why.into(), None);
    }

    pub(super) fn fail(&mut self, name: &str, failure: &Failure) {
        if self.exit == Exit::Done {
            self.exit = failure.exit();
        }
        let remedy = failure.remedies().map(str::to_owned);
        self.add(name, Health::Failed, failure.cause().to_owned(), remedy);
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        status: Health,
        detail: String,
        remedy: Option<String>,
    ) {
        let step = Step {
            name: name.to_owned(),
            status,
            detail: one_line(&without_userinfo(&detail)),
            remedy,
        };
        if self.print {
            // Nobody reading is no reason to stop checking.
            let _ = step.print(terminal::width(), &mut anstream::stdout());
        }
        self.steps.push(step);
    }
}

impl Step {
    /// Beside the name, or below it where there is little room.
    fn print(&self, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        let (style, mark) = match self.status {
            Health::Ok => (GOOD, "✓"),
            Health::Warning => (NOTICE, "!"),
            Health::Failed => (BAD, "✗"),
            Health::Skipped => (DIM, "–"),
        };
        let narrow = width.is_some_and(|width| width < NARROW);
        let indent = if narrow { 4 } else { NAME_WIDTH + 3 };
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent));
        write!(out, "{style}{mark}{style:#} {BOLD}")?;
        let mut lines = wrap(&self.detail, room).into_iter();
        if narrow {
            writeln!(out, "{}{BOLD:#}", self.name)?;
        } else {
            let first = lines.next().unwrap_or_default();
            writeln!(out, "{:<NAME_WIDTH$}{BOLD:#} {first}", self.name)?;
        }
        for line in lines {
            writeln!(out, "{:indent$}{line}", "")?;
        }
        for (number, line) in (self.remedy.iter())
            .flat_map(|remedy| wrap(remedy, room.saturating_sub(2)))
            .enumerate()
        {
            let arrow = if number == 0 { "→" } else { " " };
            writeln!(out, "{:indent$}{NOTICE}{arrow} {line}{NOTICE:#}", "")?;
        }
        Ok(())
    }
}

/// Columns of a step's name.
const NAME_WIDTH: usize = 22;
/// Fewer columns than these leave too little beside a name.
const NARROW: usize = 72;

/// The text in lines of at most `room` columns, broken between words; a word that is longer is
/// broken where it must be.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word.to_owned();
        if !line.is_empty() && columns(&line) + 1 + columns(&word) > room {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        while columns(&word) > room {
            let mut taken = 0;
            let end = word.char_indices().find(|(_, character)| {
                taken += columns(character.encode_utf8(&mut [0; 4]));
                taken > room
            });
            let rest = word.split_off(end.map_or(word.len(), |(at, _)| at));
            lines.push(std::mem::replace(&mut word, rest));
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_only_a_long_word_is_cut() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("https://host/path x", 10), ["https://ho", "st/path x"]);
        assert_eq!(wrap("日本語 日本語", 8), ["日本語", "日本語"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let step = Step {
            name: "token endpoint: TLS".to_owned(),
            status: Health::Failed,
            detail: "the certificate is signed by CN=Somebody, whom nobody here trusts".to_owned(),
            remedy: Some(
                "give the certificate of its CA with --ca FILE, or ask its operator".to_owned(),
            ),
        };
        for width in [30, 50, 71, 72, 80, 120] {
            let mut bytes = Vec::new();
            step.print(Some(width), &mut bytes).expect("written");
            let text = anstream::adapter::strip_str(std::str::from_utf8(&bytes).expect("UTF-8"))
                .to_string();
            for line in text.lines() {
                assert!(columns(line) <= width, "{width}: {line}");
            }
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(
                words.join(" ").ends_with(
                    "→ give the certificate of its CA with --ca FILE, or ask its operator"
                )
            );
        }
    }
}
