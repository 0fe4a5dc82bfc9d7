//! Wake-ups: who waits for a change is told of each commit of this process, and soon after of those of others.

use chatcore::id::SessionId;
use chatcore::watch::Watch;
use std::fmt;

/// What a write changes: one bit for the log, the others for the sessions, which share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topics(u64);

impl Topics {
    /// Nothing that anybody waits for.
    pub(crate) const NONE: Self = Self(0);
    /// The log, or who works on what in it.
    pub(crate) const LOG: Self = Self(1 << 63);
    /// Everything.
    pub(crate) const ALL: Self = Self(u64::MAX);

    /// What followers of this session wait for.
    pub(crate) fn session(id: &SessionId) -> Self {
        Self(1 << (id.as_uuid().as_u128() % 63))
    }

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn first(self) -> usize {
        self.0.trailing_zeros() as usize % 64
    }
}

/// Those who wait.
pub(crate) struct Wake {
    versions: [Watch<u64>; 64],
}

impl Wake {
    /// Nobody waits yet.
    pub(crate) fn new() -> Self {
        Self { versions: std::array::from_fn(|_| Watch::new(0)) }
    }

    /// To be asked for before one looks, so that no change between the look and the wait is missed.
    pub(crate) fn seen(&self, topic: Topics) -> u64 {
        self.versions[topic.first()].read(|version| *version)
    }

    /// Done after a change since `seen`.
    pub(crate) async fn changed(&self, topic: Topics, seen: u64) {
        self.versions[topic.first()].wait(|version| (*version != seen).then_some(())).await;
    }

    /// Tells of a change.
    pub(crate) fn tell(&self, topics: Topics) {
        let told = self.versions.iter().enumerate().filter(|(bit, _)| topics.0 & (1 << bit) != 0);
        told.for_each(|(_, version)| version.update(|version| *version += 1));
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}
