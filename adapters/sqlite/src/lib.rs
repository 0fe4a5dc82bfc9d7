#![doc = include_str!("../README.md")]
//!
//! # Inside
//! | module | holds |
//! |---|---|
//! | `open`, `schema.sql` | the file: made, checked, brought to the newest version |
//! | `writer`, `reader`, `reply` | the threads: one that writes, some that read |
//! | `wake` | who waits for a change is told of it, whichever process made it |
//! | `store` | [`SessionStore`](chatcore::port::SessionStore): a module for each group of calls |
//! | `log`, `outbox`, `bus`, `letters` | the log of events, and those who read it |
//! | `takes`, `throttle` | what is counted by quotas |
//!
//! Architecture invariant: no call does I/O on the caller's thread, and no statement scans a table.

mod bus;
mod codec;
mod config;
mod error;
mod letters;
mod log;
mod open;
mod outbox;
#[cfg(test)]
mod plans;
mod probe;
mod reader;
mod reply;
mod store;
mod takes;
mod throttle;
mod tx;
mod wake;
mod writer;

pub use config::SqliteConfig;
pub use error::OpenError;

use chatcore::error::BackendError;
use chatcore::port::Runtime;
use error::NAME;
use futures_util::future::{Either, select};
use reader::{Look, Reader};
use reply::{Awaited, reply};
use std::fmt;
use std::pin::pin;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tx::Tx;
use wake::{Topics, Wake};
use writer::{Job, Safety, Task, Writer};

/// The store, the outbox, the log of events and the throttle, in one file that several processes may hold open together.
///
/// Cheap to clone. Its threads end with its last clone.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: SyncSender<Box<dyn Job>>,
    looks: SyncSender<Look>,
    wake: Arc<Wake>,
    runtime: Arc<dyn Runtime>,
    call_timeout: Duration,
    redeliver: Duration,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake.close();
    }
}

impl Sqlite {
    /// Opens the file, or makes it. Blocks for a moment.
    ///
    /// # Errors
    /// The file is not fit to be used; the error's text says what to mend.
    pub fn open(config: SqliteConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        let failed = |error| OpenError::of(config.path.clone(), error);
        let (limits, wake) = (config.limits, Arc::new(Wake::new()));
        let (send_job, jobs) = sync_channel(config.queue.max(1));
        let (send_look, looks) = sync_channel(config.queue.max(1));
        let writer = Writer::new(open::open(&config)?, wake.clone(), runtime.clone(), limits, config.batch);
        let looks = Arc::new(Mutex::new(looks));
        for _ in 0..config.readers.max(1) {
            let connection = open::connect_reader(&config).map_err(failed)?;
            let (reader, looks) = (Reader::new(connection, runtime.clone(), limits), looks.clone());
            start(&config, "sqlite-reader", move || reader.run(&looks))?;
        }
        let (others, look_for_others) = (open::connect_reader(&config).map_err(failed)?, wake.clone());
        start(&config, "sqlite-others", move || look_for_others.look_for_others(&others))?;
        start(&config, "sqlite-writer", move || writer.run(&jobs))?;
        let (call_timeout, redeliver) = (config.call_timeout, config.redeliver);
        let inner = Inner { jobs: send_job, looks: send_look, wake, runtime, call_timeout, redeliver };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Does a step that is on the disk when it is answered. The work may be run more than once; one run counts.
    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.job(Safety::Synced, work, |done| done).await
    }

    /// Does a step that a power cut may undo.
    async fn note<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        self.job(Safety::Written, work, |done| done).await
    }

    /// Does a step whose result is made the caller's by `seal`, once it is committed.
    async fn job<T: Send + 'static, U: Send + 'static>(
        &self,
        safety: Safety,
        work: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
        seal: impl FnOnce(T) -> U + Send + 'static,
    ) -> Result<U, BackendError> {
        let (reply, awaited) = reply();
        let job: Box<dyn Job> = Box::new(Task::new(safety, work, seal, reply));
        self.inner.jobs.try_send(job).map_err(refused)?;
        self.answer(awaited).await
    }

    /// Looks at one state of the file.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        let (reply, awaited) = reply();
        let look: Look = Box::new(move |reader| reader.answer(look, reply));
        self.inner.looks.try_send(look).map_err(refused)?;
        self.answer(awaited).await
    }

    async fn answer<T>(&self, awaited: Awaited<T>) -> Result<T, BackendError> {
        match select(pin!(awaited.answer()), self.inner.runtime.sleep(self.inner.call_timeout)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(BackendError::later(NAME, "no answer in time")),
        }
    }

    /// Looks until it has seen enough, or until the time is over; what it saw last.
    async fn watch<T: Send + 'static>(
        &self,
        (topic, wait): (Topics, Duration),
        look: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Clone + Send + 'static,
        enough: impl Fn(&T) -> bool + Send,
    ) -> Result<T, BackendError> {
        let end = self.inner.runtime.elapsed() + wait;
        loop {
            let seen = self.inner.wake.seen(topic);
            let found = self.read(look.clone()).await?;
            let left = end.saturating_sub(self.inner.runtime.elapsed());
            if enough(&found) || left.is_zero() {
                return Ok(found);
            }
            let changed = pin!(self.inner.wake.changed(topic, seen));
            select(changed, self.inner.runtime.sleep(left)).await;
        }
    }
}

fn start(config: &SqliteConfig, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let failed = |source: std::io::Error| OpenError::Other { path: config.path.clone(), source: source.into() };
    std::thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(failed)
}

fn refused<T>(error: TrySendError<T>) -> BackendError {
    match error {
        TrySendError::Full(_) => BackendError::later(NAME, "too many calls wait"),
        TrySendError::Disconnected(_) => BackendError::never(NAME, "the thread has ended"),
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}
