//! The jobs that wait for the writer. It is woken once for a batch, not once for each job.

use crate::error::NAME;
use crate::writer::Job;
use chatcore::error::BackendError;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    closed: bool,
}

impl Queue {
    /// Holds so many jobs at most.
    pub(crate) fn new(room: usize) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), wanted: usize::MAX, closed: false };
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

    /// Waits for a job, no longer than `idle`; and then with patience for as many as it hopes for. Takes no more than `most`;
    /// `None` once the queue is closed and empty.
    pub(crate) fn take(
        &self,
        most: usize,
        (hoped, patience): (usize, Duration),
        idle: Option<Duration>,
    ) -> Option<Vec<Box<dyn Job>>> {
        let mut waiting = self.wait(self.lock(), 1, idle.unwrap_or(Duration::MAX));
        if !waiting.jobs.is_empty() {
            waiting = self.wait(waiting, hoped.min(most), patience);
        }
        let count = waiting.jobs.len().min(most);
        (count > 0 || !waiting.closed).then(|| waiting.jobs.drain(..count).collect())
    }

    /// Waits until there are so many, or the queue is closed, or the time is over.
    fn wait<'a>(&self, mut waiting: MutexGuard<'a, Waiting>, wanted: usize, time: Duration) -> MutexGuard<'a, Waiting> {
        waiting.wanted = wanted;
        let few = |waiting: &mut Waiting| waiting.jobs.len() < wanted && !waiting.closed;
        let waited = self.enough.wait_timeout_while(waiting, time, few);
        waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        waiting.wanted = usize::MAX;
        waiting
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

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}
