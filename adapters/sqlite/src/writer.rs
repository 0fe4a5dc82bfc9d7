//! The writer: one thread that takes all waiting jobs, runs them in one transaction, and answers them after its commit.
//!
//! A durable commit costs a wait for the disk, however much is in it. So the jobs that came during one commit share the
//! next. A job that fails, fails alone.

use crate::error::failed;
use crate::queue::{LOOK, Queue};
use crate::tx::Tx;
use crate::wake::{Topics, Wake};
use chatcore::error::BackendError;
use chatcore::policy::StoreLimits;
use chatcore::port::Runtime;
use chatcore::stamp::micros;
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use std::time::Duration;

mod job;

pub(crate) use job::{Job, Safety, Task};

/// The longest time that a batch waits for the callers of the one before.
const GATHER: Duration = Duration::from_millis(2);

/// So long after a change, what the log holds is moved into the file.
const MOVE_AFTER: Duration = Duration::from_secs(1);

/// A step that waits for the disk writes this page: by that a log that is damaged is told from one whose end is torn.
const SYNCED: &str = "UPDATE log SET synced = synced + 1 WHERE one = 1";

/// Changes with each commit of another connection, and not with those of the one that asks. It costs no read of the file.
const OTHERS: &str = "PRAGMA data_version";

/// The thread's state.
pub(crate) struct Writer<'c> {
    step: Tx<'c>,
    queue: &'c Queue,
    wake: &'c Wake,
    runtime: Arc<dyn Runtime>,
    batch: usize,
    synced: bool,
    last: Last,
    /// When the first change came that may not be in the file itself.
    unmoved: Option<Duration>,
    others: Others,
}

/// What was last seen of the commits of other processes, and when.
#[derive(Debug, Default)]
struct Others {
    version: Option<i64>,
    looked: Duration,
}

/// What becomes of the others when a job fails.
#[derive(Debug, Clone, Copy)]
enum Isolation {
    /// They fail with it.
    Together,
    /// Nothing: each has a savepoint.
    Each,
}

/// The batch before.
struct Last {
    /// How many callers there were: those whose jobs it did, and those who waited when it was done.
    callers: usize,
    took: Duration,
}

impl<'c> Writer<'c> {
    /// Writes through this connection, which nobody else uses; at most `batch` jobs share a commit.
    pub(crate) fn new(
        connection: &'c Connection,
        (queue, wake): (&'c Queue, &'c Wake),
        runtime: Arc<dyn Runtime>,
        (limits, batch): (StoreLimits, usize),
    ) -> Self {
        let last = Last { callers: 1, took: Duration::ZERO };
        let (step, batch) = (Tx::new(connection, limits), batch.max(1));
        Self { step, queue, wake, runtime, batch, synced: true, last, unmoved: None, others: Others::default() }
    }

    /// Works until the queue is closed and empty, and leaves everything in the file.
    pub(crate) fn run(mut self) {
        while let Some(jobs) = self.gather() {
            let idle = jobs.is_empty();
            if !idle {
                let start = self.runtime.elapsed();
                self.commit(jobs);
                self.last.took = self.runtime.elapsed().saturating_sub(start);
            }
            self.look_for_others(idle);
            if self.unmoved.is_some_and(|since| self.runtime.elapsed().saturating_sub(since) >= MOVE_AFTER) {
                self.unmoved = None;
                self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
            }
        }
        // The first holds up no other process, and leaves little to the second.
        self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Tells of commits of other processes, while anybody waits for them: where there was no job, and else every 50 ms.
    fn look_for_others(&mut self, idle: bool) {
        let now = self.runtime.elapsed();
        if !(idle || now.saturating_sub(self.others.looked) >= LOOK) || !self.queue.is_watched() {
            return;
        }
        let version = self.step.one(OTHERS, [], |row| row.get(0)).ok().flatten();
        if version != self.others.version {
            self.wake.tell(Topics::ALL);
        }
        self.others = Others { version, looked: now };
    }

    /// The jobs that wait; none where there is time for something else. Those whose callers were answered a moment ago are
    /// about to come again: a batch waits for as many callers as there were, for a fraction of the time that a commit takes.
    fn gather(&self) -> Option<Vec<Box<dyn Job>>> {
        let patience = (self.last.took / 4).min(GATHER);
        self.queue.take(self.batch, (self.last.callers, patience), self.unmoved.map(|_| MOVE_AFTER))
    }

    /// What could not be moved into the file stays in the log.
    fn checkpoint(&self, how: &'static str) {
        if let Err(error) = self.step.one(how, [], |_| Ok(())) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the log could not be moved into the file");
        }
    }

    /// Runs and answers all jobs: first without savepoints, which cost a sixth of it; where a job fails, once more with one
    /// for each; and where the whole batch fails, each job alone, so that none fails because of another.
    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let mut outcome = self.attempt(&mut jobs, Isolation::Together);
        if outcome.is_err() && jobs.len() > 1 {
            outcome = self.attempt(&mut jobs, Isolation::Each);
        }
        match outcome {
            Ok(topics) => {
                self.last.callers = jobs.len() + self.queue.len();
                self.wake.tell(topics);
                jobs.into_iter().for_each(|job| job.answer(Ok(())));
            }
            Err(error) if jobs.len() == 1 => jobs.into_iter().for_each(|job| job.answer(Err(error.clone()))),
            Err(_) => jobs.into_iter().for_each(|job| self.commit(vec![job])),
        }
    }

    /// Runs all jobs in one transaction; answers what changed. After an error nothing has happened.
    fn attempt(&mut self, jobs: &mut Vec<Box<dyn Job>>, isolation: Isolation) -> Result<Topics, BackendError> {
        jobs.retain(|job| !job.abandoned());
        if jobs.is_empty() {
            return Ok(Topics::NONE);
        }
        self.set_synced(jobs.iter().any(|job| job.safety() == Safety::Synced)).map_err(failed)?;
        self.begin(jobs).map_err(failed)?;
        let before = self.step.changes();
        let outcome = self.run_all(jobs, isolation).and_then(|topics| {
            self.finish(before).map_err(failed)?;
            Ok(topics)
        });
        if outcome.is_err() && !self.step.is_over() {
            // Nothing is left to be done where this fails too: the next BEGIN will say so.
            let _ = self.execute("ROLLBACK");
        }
        outcome
    }

    /// Commits. Where nothing changed, nothing is written.
    fn finish(&mut self, before: u64) -> rusqlite::Result<()> {
        if self.step.changes() != before {
            self.unmoved = self.unmoved.or_else(|| Some(self.runtime.elapsed()));
            if self.synced {
                self.execute(SYNCED)?;
            }
        }
        self.execute("COMMIT")
    }

    /// An error means that the transaction is of no use any more.
    fn run_all(&mut self, jobs: &mut [Box<dyn Job>], isolation: Isolation) -> Result<Topics, BackendError> {
        let mut topics = Topics::NONE;
        for job in jobs {
            self.step.next(micros(self.runtime.now()));
            match isolation {
                Isolation::Together => job.run(&self.step)?,
                Isolation::Each => self.run_apart(job)?,
            }
            topics = topics.and(self.step.topics());
        }
        Ok(topics)
    }

    /// Runs a job that fails alone, unless its fault has ended the transaction: some faults of the disk do that.
    fn run_apart(&self, job: &mut Box<dyn Job>) -> Result<(), BackendError> {
        self.execute("SAVEPOINT job").map_err(failed)?;
        if let Err(error) = job.run(&self.step) {
            if self.step.is_over() {
                return Err(error);
            }
            self.execute("ROLLBACK TO job").map_err(failed)?;
        }
        self.execute("RELEASE job").map_err(failed)
    }

    /// Takes the lock of the file. While another process holds it, this goes on as long as any caller waits.
    fn begin(&self, jobs: &[Box<dyn Job>]) -> rusqlite::Result<()> {
        loop {
            match self.execute("BEGIN IMMEDIATE") {
                Err(error) if is_busy(&error) && jobs.iter().any(|job| !job.abandoned()) => {}
                begun => return begun,
            }
        }
    }

    /// Whether commits wait for the disk. Those that need not are still there after the process died.
    fn set_synced(&mut self, synced: bool) -> rusqlite::Result<()> {
        if self.synced != synced {
            self.execute(if synced { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
            self.synced = synced;
        }
        Ok(())
    }

    fn execute(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.step.run(sql, []).map(drop)
    }
}

impl Drop for Writer<'_> {
    /// However it ends, nobody waits for it any more.
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
