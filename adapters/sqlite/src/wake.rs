//! Wake-ups: who waits for a change is told of each commit of this process, and soon after of those of others.

use chatcore::id::SessionId;
use chatcore::watch::Watch;
use rusqlite::Connection;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the commits of other processes are looked for, while somebody waits.
const LOOK: Duration = Duration::from_millis(50);

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
    others: Mutex<Others>,
    somebody: Condvar,
}

struct Others {
    waiting: usize,
    closed: bool,
}

impl Wake {
    /// Nobody waits yet.
    pub(crate) fn new() -> Self {
        let versions = std::array::from_fn(|_| Watch::new(0));
        Self { versions, others: Mutex::new(Others { waiting: 0, closed: false }), somebody: Condvar::new() }
    }

    /// To be asked for before one looks, so that no change between the look and the wait is missed.
    pub(crate) fn seen(&self, topic: Topics) -> u64 {
        self.versions[topic.first()].read(|version| *version)
    }

    /// Done after a change since `seen`.
    pub(crate) async fn changed(&self, topic: Topics, seen: u64) {
        let _waiting = Waiting::new(self);
        self.versions[topic.first()].wait(|version| (*version != seen).then_some(())).await;
    }

    /// Tells of a change.
    pub(crate) fn tell(&self, topics: Topics) {
        let told = self.versions.iter().enumerate().filter(|(bit, _)| topics.0 & (1 << bit) != 0);
        told.for_each(|(_, version)| version.update(|version| *version += 1));
    }

    /// Ends the look for other processes.
    pub(crate) fn close(&self) {
        self.others().closed = true;
        self.somebody.notify_all();
    }

    /// Looks for commits of other processes while somebody waits, until closed. `data_version` costs no read of the file.
    pub(crate) fn look_for_others(&self, connection: &Connection) {
        let mut last = None;
        while self.somebody_waits() {
            let look = connection.prepare_cached("PRAGMA data_version");
            let version = look.and_then(|mut look| look.query_row([], |row| row.get::<_, i64>(0))).ok();
            if version != last {
                last = version;
                self.tell(Topics::ALL);
            }
            self.pause();
        }
    }

    /// Waits a while, unless closed.
    fn pause(&self) {
        drop(self.somebody.wait_timeout_while(self.others(), LOOK, |others| !others.closed));
    }

    fn somebody_waits(&self) -> bool {
        let nobody = |others: &mut Others| others.waiting == 0 && !others.closed;
        let others = self.somebody.wait_while(self.others(), nobody).unwrap_or_else(PoisonError::into_inner);
        !others.closed
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}

/// Counts as waiting until it is dropped.
struct Waiting<'a>(&'a Wake);

impl<'a> Waiting<'a> {
    fn new(wake: &'a Wake) -> Self {
        wake.others().waiting += 1;
        wake.somebody.notify_one();
        Self(wake)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.others().waiting -= 1;
    }
}
