//! A job of the writer: work that may be run again, and a caller who waits for what came of it.

use crate::error::failed;
use crate::reply::Reply;
use crate::tx::Tx;
use chatcore::error::BackendError;

/// How safe a commit has to be before the caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Safety {
    /// On the disk: it survives a power cut.
    Synced,
    /// With the system: it survives the process. For what may come again anyway, such as who works on what.
    Written,
}

/// A job, whatever its result.
pub(crate) trait Job: Send {
    /// How safe it has to be.
    fn safety(&self) -> Safety;

    /// Does the work. An error is kept for the caller too.
    fn run(&mut self, step: &Tx<'_>) -> Result<(), BackendError>;

    /// Tells the caller, after the commit or instead of it.
    fn answer(self: Box<Self>, commit: Result<(), BackendError>);

    /// Whether nobody waits any more.
    fn abandoned(&self) -> bool;
}

/// A job whose work gives a `T`, which is made a `U` for the caller once it is committed.
pub(crate) struct Task<T, U, W, S> {
    safety: Safety,
    work: W,
    seal: S,
    result: Option<Result<T, BackendError>>,
    reply: Reply<U>,
}

impl<T, U, W, S> Task<T, U, W, S> {
    pub(crate) fn new(safety: Safety, work: W, seal: S, reply: Reply<U>) -> Self {
        Self { safety, work, seal, result: None, reply }
    }
}

impl<T, U, W, S> Job for Task<T, U, W, S>
where
    T: Send,
    U: Send,
    W: Fn(&Tx<'_>) -> rusqlite::Result<T> + Send,
    S: FnOnce(T) -> U + Send,
{
    fn safety(&self) -> Safety {
        self.safety
    }

    fn run(&mut self, step: &Tx<'_>) -> Result<(), BackendError> {
        let result = (self.work)(step).map_err(failed);
        let outcome = result.as_ref().map(drop).map_err(Clone::clone);
        self.result = Some(result);
        outcome
    }

    fn answer(self: Box<Self>, commit: Result<(), BackendError>) {
        match (commit, self.result) {
            (Ok(()), Some(result)) => self.reply.send(result.map(self.seal)),
            (Err(error), _) => self.reply.send(Err(error)),
            // A job is answered after it was run.
            (Ok(()), None) => {}
        }
    }

    fn abandoned(&self) -> bool {
        self.reply.abandoned()
    }
}
