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
pub(crate) type Look = Box<dyn FnOnce(&mut Reader<'_>) + Send>;

/// A thread's state.
pub(crate) struct Reader<'c> {
    step: Tx<'c>,
    runtime: Arc<dyn Runtime>,
}

impl<'c> Reader<'c> {
    pub(crate) fn new(connection: &'c Connection, runtime: Arc<dyn Runtime>, limits: StoreLimits) -> Self {
        Self { step: Tx::new(connection, limits), runtime }
    }

    /// Works until nobody can send any more.
    pub(crate) fn run(mut self, looks: &Mutex<Receiver<Look>>) {
        loop {
            // The lock is held while waiting: the others wait for the lock instead.
            let look = looks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match look {
                Ok(look) => look(&mut self),
                Err(_) => return,
            }
        }
    }

    /// Looks, and answers.
    pub(crate) fn answer<T>(&mut self, look: impl FnOnce(&Tx<'_>) -> rusqlite::Result<T>, reply: Reply<T>) {
        if !reply.abandoned() {
            reply.send(self.look(look).map_err(failed));
        }
    }

    fn look<T>(&mut self, look: impl FnOnce(&Tx<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        self.execute("BEGIN")?;
        self.step.next(micros(self.runtime.now()));
        let found = look(&self.step);
        let ended = self.execute(if found.is_ok() { "COMMIT" } else { "ROLLBACK" });
        // Where the look itself failed, its error says more.
        found.and_then(|found| ended.map(|()| found))
    }

    fn execute(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.step.run(sql, []).map(drop)
    }
}
