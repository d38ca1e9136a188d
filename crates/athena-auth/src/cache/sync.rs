//! The primitives under the cell, apart so that the model checker can put its own in their place.

pub(super) use std::sync::Mutex;

/// Read without any lock, replaced as a whole.
pub(super) type Published<T> = arc_swap::ArcSwapOption<T>;
