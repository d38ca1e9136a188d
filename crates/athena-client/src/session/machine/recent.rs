//! The callers' own ids that were answered or given up lately.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many ids are remembered: more than can be answered late in practice.
const MOST: usize = 16_384;

/// Tells a second answer for one of our images from an answer for somebody else's.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<Arc<str>>,
    times: HashMap<Arc<str>, u32>,
}

impl Recent {
    pub(super) fn insert(&mut self, id: Arc<str>) {
        *self.times.entry(Arc::clone(&id)).or_default() += 1;
        self.order.push_back(id);
        if self.order.len() > MOST {
            self.forget_oldest();
        }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.times.contains_key(id)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        if let Some(times) = self.times.get_mut(&oldest) {
            *times -= 1;
            if *times == 0 {
                self.times.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_repeated_ids_survive_their_first_use() {
        let mut recent = Recent::default();
        recent.insert("twice".into());
        recent.insert("once".into());
        recent.insert("twice".into());
        for number in 0..MOST - 1 {
            recent.insert(number.to_string().into());
        }
        assert_eq!(recent.order.len(), MOST);
        assert!(recent.contains("twice") && !recent.contains("once"));
    }
}
