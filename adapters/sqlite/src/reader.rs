//! The readers: a few threads with a connection each. A look sees one state of the file, whatever is written meanwhile.

use crate::error::failed;
use crate::reply::Reply;
use crate::tx::Tx;
use chatcore::error::BackendError;
use chatcore::policy::StoreLimits;
use chatcore::port::Runtime;
use chatcore::stamp::micros;
use rusqlite::Connection;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

/// A look at the file, or why there can be none; it answers its caller itself.
pub(crate) type Look = Box<dyn FnOnce(Result<&Tx<'_>, &BackendError>) + Send>;

/// How many looks share a state of the file at most. To get one costs as much as a short look.
const SHARED: usize = 16;

/// A look whose result is sent to the caller.
pub(crate) fn look<T: Send + 'static>(
    look: impl FnOnce(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    reply: Reply<T>,
) -> Look {
    Box::new(move |step| {
        if !reply.abandoned() {
            reply.send(step.map_err(Clone::clone).and_then(|step| look(step).map_err(failed)));
        }
    })
}

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
        while let Some(looks) = waiting(looks) {
            self.step.next(micros(self.runtime.now()));
            match self.execute("BEGIN").map_err(failed) {
                Ok(()) => looks.into_iter().for_each(|look| look(Ok(&self.step))),
                Err(error) => looks.into_iter().for_each(|look| look(Err(&error))),
            }
            if !self.step.is_over() && self.execute("COMMIT").is_err() {
                // Nothing is left to be done where this fails too: the next BEGIN will say so.
                let _ = self.execute("ROLLBACK");
            }
        }
    }

    fn execute(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.step.run(sql, []).map(drop)
    }
}

/// Some of the looks that wait. The lock is held while waiting: the others wait for the lock instead.
fn waiting(looks: &Mutex<Receiver<Look>>) -> Option<Vec<Look>> {
    let looks = looks.lock().unwrap_or_else(PoisonError::into_inner);
    let mut some = vec![looks.recv().ok()?];
    some.extend(looks.try_iter().take(SHARED - 1));
    Some(some)
}
