//! The readers: a few threads with a connection each. A look sees one state of the file, whatever is written meanwhile.

use crate::error::failed;
use crate::reply::Reply;
use crate::tx::Tx;
use chatcore::policy::StoreLimits;
use chatcore::port::Runtime;
use chatcore::stamp::micros;
use rusqlite::Connection;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

/// A look at the file; it answers its caller itself.
pub(crate) type Look = Box<dyn FnOnce(&Reader) + Send>;

/// A thread's state.
pub(crate) struct Reader {
    connection: Connection,
    runtime: Arc<dyn Runtime>,
    limits: StoreLimits,
}

impl Reader {
    pub(crate) fn new(connection: Connection, runtime: Arc<dyn Runtime>, limits: StoreLimits) -> Self {
        Self { connection, runtime, limits }
    }

    /// Works until nobody can send any more.
    pub(crate) fn run(&self, looks: &Mutex<Receiver<Look>>) {
        loop {
            // The lock is held while waiting: the others wait for the lock instead.
            let look = looks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match look {
                Ok(look) => look(self),
                Err(_) => return,
            }
        }
    }

    /// Looks, and answers.
    pub(crate) fn answer<T>(&self, look: impl FnOnce(&Tx<'_>) -> rusqlite::Result<T>, reply: Reply<T>) {
        if !reply.abandoned() {
            reply.send(self.look(look).map_err(failed));
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Tx<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        self.execute("BEGIN")?;
        let found = look(&Tx::new(&self.connection, micros(self.runtime.now()), &self.limits));
        let ended = self.execute(if found.is_ok() { "COMMIT" } else { "ROLLBACK" });
        // Where the look itself failed, its error says more.
        found.and_then(|found| ended.map(|()| found))
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}
