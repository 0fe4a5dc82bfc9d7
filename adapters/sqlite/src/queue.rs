//! The jobs that wait for the writer. It is woken once for a batch, not once for each job.

use crate::error::NAME;
use crate::writer::Job;
use chatcore::error::BackendError;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the commits of other processes are looked for, while somebody waits for them.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// The jobs that wait for the writer.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    enough: Condvar,
    room: usize,
}

struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    /// How many the writer wants before it is woken; more than there can be while it works.
    wanted: usize,
    /// How many wait for what other processes commit.
    watchers: usize,
    /// Whether the writer waits until there is a job, since nobody waits for other processes.
    asleep: bool,
    closed: bool,
}

impl Queue {
    /// Holds so many jobs at most.
    pub(crate) fn new(room: usize) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), wanted: usize::MAX, watchers: 0, asleep: false, closed: false };
        Self { waiting: Mutex::new(waiting), enough: Condvar::new(), room: room.max(1) }
    }

    /// Adds a job, unless the queue is full or closed.
    pub(crate) fn push(&self, job: Box<dyn Job>) -> Result<(), BackendError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(BackendError::never(NAME, "the thread has ended"));
        }
        if waiting.jobs.len() >= self.room {
            return Err(BackendError::later(NAME, "too many calls wait"));
        }
        waiting.jobs.push_back(job);
        if waiting.jobs.len() >= waiting.wanted {
            waiting.wanted = usize::MAX;
            drop(waiting);
            self.enough.notify_one();
        }
        Ok(())
    }

    /// Waits for a job, no longer than `idle`, nor than until it is time to look for other processes; and then with patience
    /// for as many as it hopes for. Takes no more than `most`; `None` once the queue is closed and empty.
    pub(crate) fn take(
        &self,
        most: usize,
        (hoped, patience): (usize, Duration),
        idle: Option<Duration>,
    ) -> Option<Vec<Box<dyn Job>>> {
        let mut waiting = self.lock();
        waiting.asleep = waiting.watchers == 0;
        let look = if waiting.asleep { Duration::MAX } else { LOOK };
        waiting = self.wait(waiting, 1, idle.unwrap_or(Duration::MAX).min(look));
        waiting.asleep = false;
        if !waiting.jobs.is_empty() {
            waiting = self.wait(waiting, hoped.min(most), patience);
        }
        let count = waiting.jobs.len().min(most);
        (count > 0 || !waiting.closed).then(|| waiting.jobs.drain(..count).collect())
    }

    /// Waits until there are so many, or the queue is closed, or the time is over.
    fn wait<'a>(&self, mut waiting: MutexGuard<'a, Waiting>, wanted: usize, time: Duration) -> MutexGuard<'a, Waiting> {
        waiting.wanted = wanted;
        let few = |waiting: &mut Waiting| waiting.jobs.len() < wanted && !waiting.closed && !waiting.is_woken();
        let waited = self.enough.wait_timeout_while(waiting, time, few);
        waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        waiting.wanted = usize::MAX;
        waiting
    }

    /// Has the writer look for other processes, until what this answers is dropped.
    pub(crate) fn watch(&self) -> Watcher<'_> {
        let mut waiting = self.lock();
        waiting.watchers += 1;
        if waiting.is_woken() {
            drop(waiting);
            self.enough.notify_one();
        }
        Watcher(self)
    }

    /// Whether anybody waits for other processes.
    pub(crate) fn is_watched(&self) -> bool {
        self.lock().watchers > 0
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Takes no more jobs. Those that wait are still done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.enough.notify_one();
    }

    // A panic of another holder leaves plain data behind; nothing here is half-done across an unwind.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether somebody began to wait for other processes while the writer waited for a job alone.
    fn is_woken(&self) -> bool {
        self.asleep && self.watchers > 0
    }
}

/// One who waits for what other processes commit, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watcher<'a>(&'a Queue);

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.lock().watchers -= 1;
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}
