//! What a prefix has shown of how its store lists.

use crate::location::{Location, Store};

/// What is known of a prefix.
#[derive(Debug)]
pub(super) struct Prefix {
    /// Some range of it has an end that listings of others rely on.
    pub(super) divided: bool,
    /// Ranges of it that have failed since another one was answered.
    pub(super) failures: u32,
    pub(super) division: Division,
}

/// Whether a prefix can be divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Division {
    /// Nobody knows whether the store begins where it is asked to.
    Untried,
    /// It is divided once, to see that.
    OnTrial,
    /// The store begins where it is asked to.
    Sound,
    /// It does not, or not in the order of keys: where a store always begins with the first key, each range costs what
    /// all of them do.
    Unsound,
}

impl Prefix {
    pub(super) fn of(at: &Location) -> Self {
        // Azure's order of keys is not that of their bytes.
        let documented = matches!(at.store(), Store::S3 | Store::Gcs) && at.is_ordered();
        Self {
            divided: false,
            failures: 0,
            division: match documented {
                true => Division::Untried,
                false => Division::Unsound,
            },
        }
    }

    /// A listing was to begin after a key.
    pub(super) fn began(&mut self, begins: bool) {
        self.division = match self.division {
            Division::Untried | Division::OnTrial | Division::Sound if begins => Division::Sound,
            _ => Division::Unsound,
        };
    }
}
