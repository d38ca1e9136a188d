use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

use crate::observe::{Observer, RecordedInput};
use crate::rules::Selector;

/// How long an expectation waits unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many of the inputs that did not fit an error shows.
const SHOWN: usize = 10;

/// Which inputs a test expects, how many, and for how long it waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "pass it to `expect`"]
pub struct Expectation {
    selector: Selector,
    least: usize,
    most: usize,
    patience: Duration,
}

impl Expectation {
    /// At least one input that fits, within five seconds.
    pub fn of(selector: Selector) -> Self {
        Self {
            selector,
            least: 1,
            most: usize::MAX,
            patience: PATIENCE,
        }
    }

    /// So many of them or more.
    pub fn at_least(mut self, count: usize) -> Self {
        (self.least, self.most) = (count, usize::MAX);
        self
    }

    /// So many of them, and no more at the moment when there are as many.
    pub fn exactly(mut self, count: usize) -> Self {
        (self.least, self.most) = (count, count);
        self
    }

    /// Waits for at most so long.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) async fn wait(self, observer: &Observer) -> Result<Vec<RecordedInput>, Unmet> {
        let mut changes = observer.watch();
        let enough = async {
            loop {
                changes.mark_unchanged();
                let inputs = observer.inputs(&self.selector);
                if inputs.len() >= self.least {
                    return inputs;
                }
                // The observer, which sends, is borrowed for as long as this.
                let _ = changes.changed().await;
            }
        };
        let inputs = match timeout(self.patience, enough).await {
            Ok(inputs) => inputs,
            Err(_) => observer.inputs(&self.selector),
        };
        if (self.least..=self.most).contains(&inputs.len()) {
            return Ok(inputs);
        }
        Err(Unmet {
            all: observer.inputs(&Selector::any()),
            found: inputs.len(),
            expectation: self,
        })
    }
}

/// What was expected and did not come: its text shows both.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmet {
    expectation: Expectation,
    found: usize,
    all: Vec<RecordedInput>,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expectation {
            selector,
            least,
            most,
            patience,
        } = &self.expectation;
        let more = if most > least { " or more" } else { "" };
        let patience = humantime::format_duration(*patience);
        writeln!(
            f,
            "expected {least}{more} inputs within {patience}, {} came",
            self.found
        )?;
        let wanted = serde_json::to_value(selector).unwrap_or_default();
        let wanted = wanted.as_object().cloned().unwrap_or_default();
        for (name, value) in &wanted {
            writeln!(f, "  wanted {name} = {value}")?;
        }
        let all = self.all.len();
        writeln!(
            f,
            "of {all} inputs in all, the last ones, ✗ beside what does not fit:"
        )?;
        for input in &self.all[all.saturating_sub(SHOWN)..] {
            let mark = |fits: bool| if fits { "" } else { "✗" };
            write!(f, " ")?;
            for aspect in selector.aspects(&input.circumstances()) {
                let actual = aspect.actual.unwrap_or("-");
                write!(f, " {}{} {actual}", mark(aspect.fits), aspect.name)?;
            }
            let digests = input.digests();
            let image = digests.first().map_or("-", String::as_str);
            writeln!(f, " {}image {image}", mark(selector.fits_image(&digests)))?;
        }
        Ok(())
    }
}

impl std::error::Error for Unmet {}
