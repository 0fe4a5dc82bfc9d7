//! The writer: one thread that takes all waiting jobs, runs them in one transaction, and answers them after its commit.
//!
//! A durable commit costs a wait for the disk, however much is in it. So the jobs that came during one commit share the
//! next. A job that fails, fails alone.

use crate::error::failed;
use crate::tx::Tx;
use crate::wake::{Topics, Wake};
use chatcore::error::BackendError;
use chatcore::policy::StoreLimits;
use chatcore::port::Runtime;
use chatcore::stamp::micros;
use rusqlite::{Connection, ErrorCode};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

mod job;

pub(crate) use job::{Job, Safety, Task};

/// The longest time that a batch waits for those who were in the one before.
const GATHER: Duration = Duration::from_millis(2);

/// The thread's state.
pub(crate) struct Writer {
    connection: Connection,
    wake: Arc<Wake>,
    runtime: Arc<dyn Runtime>,
    limits: StoreLimits,
    batch: usize,
    synced: bool,
    last: Last,
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
    jobs: usize,
    took: Duration,
}

impl Writer {
    /// Writes through this connection, which nobody else uses; at most `batch` jobs share a commit.
    pub(crate) fn new(
        connection: Connection,
        wake: Arc<Wake>,
        runtime: Arc<dyn Runtime>,
        limits: StoreLimits,
        batch: usize,
    ) -> Self {
        let last = Last { jobs: 1, took: Duration::ZERO };
        Self { connection, wake, runtime, limits, batch: batch.max(1), synced: true, last }
    }

    /// Works until nobody can send any more.
    pub(crate) fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = jobs.recv() {
            let batch = self.gather(first, jobs);
            let (size, start) = (batch.len(), self.runtime.elapsed());
            self.commit(batch);
            self.last = Last { jobs: size, took: self.runtime.elapsed().saturating_sub(start) };
        }
    }

    /// The jobs that wait. Those whose callers were answered a moment ago are about to come again: a batch waits for as many
    /// as were in the last one, for a fraction of the time that a commit takes.
    fn gather(&self, first: Box<dyn Job>, jobs: &Receiver<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let mut batch = vec![first];
        let end = self.runtime.elapsed() + (self.last.took / 4).min(GATHER);
        while batch.len() < self.batch {
            let left =
                if batch.len() < self.last.jobs { end.saturating_sub(self.runtime.elapsed()) } else { Duration::ZERO };
            match jobs.try_recv().or_else(|_| jobs.recv_timeout(left)) {
                Ok(job) => batch.push(job),
                Err(_) => break,
            }
        }
        batch
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
        let outcome = self.run_all(jobs, isolation).and_then(|topics| {
            self.execute("COMMIT").map_err(failed)?;
            Ok(topics)
        });
        if outcome.is_err() && !self.connection.is_autocommit() {
            // Nothing is left to be done where this fails too: the next BEGIN will say so.
            let _ = self.execute("ROLLBACK");
        }
        outcome
    }

    /// An error means that the transaction is of no use any more.
    fn run_all(&self, jobs: &mut [Box<dyn Job>], isolation: Isolation) -> Result<Topics, BackendError> {
        let mut topics = Topics::NONE;
        for job in jobs {
            let step = Tx::new(&self.connection, micros(self.runtime.now()), &self.limits);
            match isolation {
                Isolation::Together => job.run(&step)?,
                Isolation::Each => self.run_apart(job, &step)?,
            }
            topics = topics.and(step.topics());
        }
        Ok(topics)
    }

    /// Runs a job that fails alone, unless its fault has ended the transaction: some faults of the disk do that.
    fn run_apart(&self, job: &mut Box<dyn Job>, step: &Tx<'_>) -> Result<(), BackendError> {
        self.execute("SAVEPOINT job").map_err(failed)?;
        if let Err(error) = job.run(step) {
            if self.connection.is_autocommit() {
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

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
