//! The numbers of a session: a record that is ahead of its turn waits for those before it, which another topic may be about
//! to bring, also after an outage, when the topics are not read at the same time.

use crate::record::Fetched;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a record waits where one before it is missing. It never comes where it was too large for its topic.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long where this member has had nothing of the session: those before it may have been another member's.
const OF_STRANGERS: Duration = Duration::from_millis(300);
/// So many sessions are remembered.
const REMEMBERED: usize = 10_000;

/// What comes next in each lane.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The partition's number and the last number of the session that was handed out, by lane.
    last: BTreeMap<Bytes, (i32, u64)>,
    /// Lanes whose first record waits, and since when.
    waiting: BTreeMap<Bytes, Duration>,
    now: Duration,
}

impl Order {
    /// Time goes on.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.now = now;
    }

    /// The first record of a lane waits, until it [is next](Self::is_next).
    pub(crate) fn wait(&mut self, lane: Bytes) {
        self.waiting.entry(lane).or_insert(self.now);
    }

    /// The lanes whose first record waits.
    pub(crate) fn waiting(&self) -> Vec<Bytes> {
        self.waiting.keys().cloned().collect()
    }

    /// Forgets those that wait, but for some.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Bytes) -> bool) {
        self.waiting.retain(|lane, _| keep(lane));
    }

    /// Whether the first record of a lane may be handed out; then it waits no more.
    pub(crate) fn is_next(&mut self, lane: &Bytes, record: &Fetched) -> bool {
        let before = record.seq().map_or(0, |seq| seq.saturating_sub(1));
        let patience = match self.last.get(lane) {
            Some((_, last)) if before > *last => PATIENCE,
            None if before > 0 => OF_STRANGERS,
            _ => Duration::ZERO,
        };
        let since = self.waiting.get(lane).copied().unwrap_or(self.now);
        let next = self.now.saturating_sub(since) >= patience;
        if next {
            self.waiting.remove(lane);
        }
        next
    }

    /// A record was handed out.
    pub(crate) fn handed_out(&mut self, lane: Bytes, record: &Fetched) {
        let Some(seq) = record.seq() else { return };
        let (_, last) = self.last.entry(lane).or_insert((record.part.number, 0));
        *last = seq.max(*last);
        if self.last.len() > REMEMBERED {
            self.last.pop_first();
        }
    }

    /// Others may have had the sessions of that partition.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.last.retain(|_, (number, _)| *number != partition);
    }
}
