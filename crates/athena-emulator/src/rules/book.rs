use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use serde::Serialize;

use super::selector::Circumstances;
use super::{Answer, Rule};
use crate::error::Error;
use crate::sync::{read, write};

/// How many rules there may be.
const MAX_RULES: usize = 1_000_000;

/// The rules in force, in order.
#[derive(Default)]
pub(crate) struct Rulebook(RwLock<Arc<Pages>>);

#[derive(Default)]
struct Pages {
    entries: Vec<Arc<Entry>>,
    /// Places of the rules that name an image, by its digests.
    by_digest: HashMap<String, Vec<usize>>,
    /// Places of the others.
    general: Vec<usize>,
    wants_pixels: bool,
}

struct Entry {
    rule: Rule,
    matches: AtomicU64,
}

/// A rule and how often it has answered, as the admin API and
/// [`Emulator::rules`](crate::Emulator::rules) tell it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuleInfo {
    /// The rule's name, or its place from 1.
    pub name: String,
    /// How many inputs it has answered.
    pub matches: u64,
    /// The rule.
    pub rule: Rule,
}

impl Rulebook {
    /// Replaces all rules; counts start anew.
    pub(crate) fn set(&self, rules: Vec<Rule>) -> Result<(), Error> {
        let pages = Pages::of(rules.into_iter().map(Entry::new))?;
        *write(&self.0) = Arc::new(pages);
        Ok(())
    }

    /// Adds rules behind those there are, whose counts go on.
    pub(crate) fn add(&self, rules: Vec<Rule>) -> Result<(), Error> {
        let mut pages = write(&self.0);
        let old = pages.entries.iter().cloned().map(Ok);
        *pages = Arc::new(Pages::of(old.chain(rules.into_iter().map(Entry::new)))?);
        Ok(())
    }

    pub(crate) fn list(&self) -> Vec<RuleInfo> {
        let pages = self.pages();
        let entries = pages.entries.iter().enumerate();
        entries
            .map(|(place, entry)| RuleInfo {
                name: entry.rule.label(place),
                matches: entry.matches.load(Ordering::Relaxed),
                rule: entry.rule.clone(),
            })
            .collect()
    }

    /// Whether some rule tells images by their pixels.
    pub(crate) fn wants_pixels(&self) -> bool {
        self.pages().wants_pixels
    }

    /// The first rule for an input with these digests, which is counted, and its name.
    pub(crate) fn answer(
        &self,
        of: &Circumstances<'_>,
        digests: &[String],
    ) -> Option<(String, Answer)> {
        let pages = self.pages();
        let named = digests
            .iter()
            .filter_map(|digest| pages.by_digest.get(digest));
        let mut places: Vec<usize> = named.flatten().chain(&pages.general).copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().find_map(|place| {
            let entry = &pages.entries[place];
            let struck = entry.rule.when.fits_circumstances(of) && entry.strike();
            struck.then(|| (entry.rule.label(place), entry.rule.answer.clone()))
        })
    }

    fn pages(&self) -> Arc<Pages> {
        read(&self.0).clone()
    }
}

impl Pages {
    fn of(entries: impl Iterator<Item = Result<Arc<Entry>, Error>>) -> Result<Self, Error> {
        let mut pages = Self::default();
        for entry in entries {
            let (entry, place) = (entry?, pages.entries.len());
            if place == MAX_RULES {
                let reason = format!("there may be {MAX_RULES} of them at most");
                return Err(Error::setting("rules", reason));
            }
            let selector = &entry.rule.when;
            pages.wants_pixels |= selector.pixels.is_some();
            let mut named = false;
            for digest in selector.digests() {
                named = true;
                pages
                    .by_digest
                    .entry(digest.to_owned())
                    .or_default()
                    .push(place);
            }
            if !named {
                pages.general.push(place);
            }
            pages.entries.push(entry);
        }
        Ok(pages)
    }
}

impl Entry {
    fn new(mut rule: Rule) -> Result<Arc<Self>, Error> {
        rule.check()?;
        Ok(Arc::new(Self {
            rule,
            matches: AtomicU64::new(0),
        }))
    }

    /// Counts one more input, unless the rule is spent.
    fn strike(&self) -> bool {
        let limit = self.rule.next.unwrap_or(u64::MAX);
        self.matches
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |matches| {
                (matches < limit).then_some(matches + 1)
            })
            .is_ok()
    }
}
