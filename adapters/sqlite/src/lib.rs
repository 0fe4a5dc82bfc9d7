#![doc = include_str!("../README.md")]
//!
//! # Inside
//! | module | holds |
//! |---|---|
//! | `open`, `wal`, `schema.sql` | the file: made, checked, brought to the newest version |
//! | `threads`, `queue`, `writer`, `reader`, `reply` | the threads: one that writes, some that read |
//! | `wake` | who waits for a change is told of it, whichever process made it |
//! | `store` | [`SessionStore`](chatcore::port::SessionStore): a module for each group of calls |
//! | `log`, `outbox`, `bus`, `letters` | the log of events, and those who read it |
//! | `takes`, `throttle` | what is counted by quotas |
//! | `probe`, `place` | whether the file is there and does its work |
//!
//! Architecture invariant: no call does I/O on the caller's thread, and no statement scans a table.

mod bus;
mod codec;
mod config;
mod error;
mod letters;
mod log;
mod open;
#[cfg(test)]
mod others;
mod outbox;
mod place;
#[cfg(test)]
mod plans;
mod probe;
mod queue;
mod reader;
mod reply;
mod store;
mod takes;
mod threads;
mod throttle;
mod tx;
mod wake;
mod wal;
mod writer;

pub use config::SqliteConfig;
pub use error::OpenError;

use chatcore::error::BackendError;
use chatcore::port::Runtime;
use chatcore::watch::Watch;
use error::NAME;
use futures_util::future::{Either, select};
use place::Place;
use probe::Health;
use queue::Queue;
use reader::{Look, Reader};
use reply::{Awaited, reply};
use rusqlite::Connection;
use std::fmt;
use std::pin::pin;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use threads::Threads;
use tx::Tx;
use wake::{Topics, Wake};
use writer::{Job, Safety, Task, Writer};

/// The store, the outbox, the log of events and the throttle, in one file that several processes may hold open together.
///
/// Cheap to clone. To drop the last clone ends its threads and waits for them, for some seconds at most: then all is in the
/// file itself, unless another process holds it open. Nothing is lost where a process ends without that.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    config: SqliteConfig,
    place: Arc<Place>,
    health: Watch<Health>,
    queue: Arc<Queue>,
    looks: SyncSender<Look>,
    wake: Arc<Wake>,
    runtime: Arc<dyn Runtime>,
    /// Dropped last, since they end when the others are gone.
    threads: Threads,
}

impl Inner {
    fn start_reader(&mut self, looks: Arc<Mutex<Receiver<Look>>>) -> Result<(), OpenError> {
        let connection = open::connect_reader(&self.config)?;
        let (runtime, limits) = (self.runtime.clone(), self.config.limits);
        let read = move || Reader::new(&connection, runtime, limits).run(&looks);
        self.threads.start(&self.config.path, "sqlite-reader", read)
    }

    fn start_writer(&mut self, connection: Connection) -> Result<(), OpenError> {
        let (queue, wake, runtime) = (self.queue.clone(), self.wake.clone(), self.runtime.clone());
        let bounds = (self.config.limits, self.config.batch);
        let write = move || Writer::new(&connection, (&queue, &wake), runtime, bounds).run();
        self.threads.start(&self.config.path, "sqlite-writer", write)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Sqlite {
    /// Opens the file, or makes it. Blocks for a moment.
    ///
    /// # Errors
    /// The file is not fit to be used; the error's text says what to mend.
    pub fn open(config: SqliteConfig, runtime: Arc<dyn Runtime>) -> Result<Self, OpenError> {
        let connection = open::open(&config)?;
        let failed = |error: std::io::Error| OpenError::Other { path: config.path.clone(), source: error.into() };
        let place = Arc::new(Place::of(&config.path).map_err(failed)?);
        let (wake, queue) = (Arc::new(Wake::new()), Arc::new(Queue::new(config.queue)));
        let (send_look, looks) = sync_channel(config.queue.max(1));
        let (looks, threads) = (Arc::new(Mutex::new(looks)), Threads::new());
        let health = Watch::default();
        let mut inner = Inner { config, place, health, queue, looks: send_look, wake, runtime, threads };
        for _ in 0..inner.config.readers.max(1) {
            inner.start_reader(looks.clone())?;
        }
        inner.start_writer(connection)?;
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
        self.inner.queue.push(job)?;
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
        match select(pin!(awaited.answer()), self.inner.runtime.sleep(self.inner.config.call_timeout)).await {
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
            select(pin!(self.changed(topic, seen)), self.inner.runtime.sleep(left)).await;
        }
    }

    /// Done after a change since `seen`, whichever process made it.
    async fn changed(&self, topic: Topics, seen: u64) {
        let _watcher = self.inner.queue.watch();
        self.inner.wake.changed(topic, seen).await;
    }
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
