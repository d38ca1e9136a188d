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
    /// Every so many: the 5th, the 10th, … None for 0.
    Every(u64),
    /// Just this one, counted from 1.
    Only(u64),
    /// Each with this probability, from 0 to 1, drawn from the seeded generator.
    Rate(f64),
}

impl When {
    pub(super) fn strikes(self, occurrence: u64, random: &mut fastrand::Rng) -> bool {
        match self {
            Self::Next(count) => occurrence <= count,
            Self::Every(step) => step > 0 && occurrence.is_multiple_of(step),
            Self::Only(number) => occurrence == number,
            Self::Rate(rate) => random.f64() < rate,
        }
    }
}
