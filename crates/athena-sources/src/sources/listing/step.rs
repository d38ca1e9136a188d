//! Ranges of keys, and what a listing of them comes by.

use crate::error::Error;
use crate::location::Location;
use crate::object::Listed;

/// The keys that begin with that of `prefix`, from after one key up to another, that one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// What all keys begin with.
    pub prefix: Location,
    /// The key after which it begins; nothing for the first one.
    pub after: Option<String>,
    /// The last key that may be in it; nothing where it has no end.
    pub until: Option<String>,
}

impl KeyRange {
    /// All keys of a prefix.
    #[must_use]
    pub fn all(prefix: Location) -> Self {
        Self {
            prefix,
            after: None,
            until: None,
        }
    }
}

/// What a listing of ranges comes by. Each range has a number: those that were asked for from 0 on, in their order.
#[derive(Debug)]
pub enum Step {
    /// An object. Those of one range come in the order of their keys.
    Object {
        /// The range that it is in.
        range: usize,
        /// What is known of it.
        object: Listed,
    },
    /// From here on a range ends with a key that none of its objects so far is after.
    Divided {
        /// The range.
        range: usize,
        /// Its last key.
        at: String,
        /// The number of the range that has what is after it.
        rest: usize,
    },
    /// All of a range has been listed.
    Ended {
        /// The range.
        range: usize,
    },
    /// A range of a prefix cannot be listed, or not any more; what came before remains true, and the others are listed
    /// all the same. Nothing else comes of any range of the prefix where that would be in vain: where keys come in
    /// another order than that of their bytes, where credentials are not accepted, or where several have failed one
    /// after the other. The ranges that have not [ended](Step::Ended) are what is left.
    Failed {
        /// The prefix.
        prefix: Location,
        /// Why.
        error: Error,
    },
}
