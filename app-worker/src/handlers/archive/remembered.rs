//! What stands in the files of a partition already.

use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many lines of a partition are known: far more than are worked off while one event is with the handlers behind the
/// archive, and therefore far more than can come again.
pub const REMEMBERED: usize = 1 << 18;

/// A line, as far as it tells whether it is the same: the offset alone is not enough, since a log that was made anew counts
/// from its begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    offset: u64,
    event: u64,
}

impl Mark {
    pub(super) fn new(offset: u64, event_id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        event_id.hash(&mut hasher);
        Self { offset, event: hasher.finish() }
    }

    /// Of a line as it stands in a file; `None` if it is none of ours.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let Archived { offset, event } = serde_json::from_slice(line).ok()?;
        Some(Self::new(offset, event.event_id))
    }
}

#[derive(Deserialize)]
struct Archived<'a> {
    offset: u64,
    #[serde(borrow)]
    event: Head<'a>,
}

#[derive(Deserialize)]
struct Head<'a> {
    event_id: &'a str,
}

/// The marks of the lines that were written last, whatever their offsets: lanes finish in any order, so what comes again
/// may lie far behind the highest.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    events: BTreeMap<u64, u64>,
    order: VecDeque<Mark>,
}

impl Remembered {
    pub(super) fn has(&self, mark: Mark) -> bool {
        self.events.get(&mark.offset) == Some(&mark.event)
    }

    /// Forgets the oldest where there are too many.
    pub(super) fn add(&mut self, mark: Mark) {
        self.events.insert(mark.offset, mark.event);
        self.order.push_back(mark);
        let forgotten = if self.order.len() > REMEMBERED { self.order.pop_front() } else { None };
        // Another event may have its offset by now.
        if let Some(old) = forgotten.filter(|old| self.has(*old)) {
            self.events.remove(&old.offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_is_known_by_offset_and_event() {
        let (mut remembered, first) = (Remembered::default(), Mark::new(7_000_000, "first"));
        remembered.add(first);
        assert!(remembered.has(first));
        assert!(!remembered.has(Mark::new(7_000_000, "of a new log")));
        (1..REMEMBERED as u64).for_each(|offset| remembered.add(Mark::new(offset, "other")));
        assert!(remembered.has(first), "it is the oldest of those that are known");
        remembered.add(Mark::new(8_000_000, "last"));
        assert!(!remembered.has(first));
        assert_eq!(remembered.events.len(), REMEMBERED);
    }
}
