use serde::{Deserialize, Serialize};

/// Which occurrences of an event a fault strikes, counted from when the fault was set.
///
/// In TOML and JSON: `{ next = 2 }`, `{ every = 5 }`, `{ only = 3 }`, `{ rate = 0.1 }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum When {
    /// The next so many, then none.
    Next(u64),
    /// Every so many, at least 1: the 5th, the 10th, …
    Every(u64),
    /// Just this one, counted from 1.
    Only(u64),
    /// Each with this probability, from 0 to 1, drawn from the seeded generator.
    Rate(f64),
}

impl When {
    /// What is wrong with it, if anything.
    pub(super) fn check(self) -> Result<(), String> {
        match self {
            Self::Every(0) => Err("every = 0 strikes nothing: count from 1".into()),
            Self::Only(0) => Err("only = 0 strikes nothing: count from 1".into()),
            Self::Rate(rate) if !(0.0..=1.0).contains(&rate) => {
                Err(format!("rate = {rate} is not a probability from 0 to 1"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn strikes(self, occurrence: u64, random: &mut fastrand::Rng) -> bool {
        match self {
            Self::Next(count) => occurrence <= count,
            Self::Every(step) => occurrence.is_multiple_of(step),
            Self::Only(number) => occurrence == number,
            Self::Rate(rate) => random.f64() < rate,
        }
    }
}
