//! The threads of one handle, and the wait for their end: when it is over they have closed the file.

use crate::error::OpenError;
use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, ThreadId};
use std::time::Duration;

/// How long the end of the threads is waited for. A process that ends all the same loses nothing: its log stays beside the
/// file.
const END: Duration = Duration::from_secs(3);

/// The threads of one handle. What tells them to end has to be done before this is dropped.
pub(crate) struct Threads {
    /// Each thread has a clone of it.
    alive: Option<Sender<()>>,
    ended: Mutex<Receiver<()>>,
    ids: Vec<ThreadId>,
}

impl Threads {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (alive, ended) = channel();
        Self { alive: Some(alive), ended: Mutex::new(ended), ids: Vec::new() }
    }

    /// Starts one more, which works for this file.
    pub(crate) fn start(
        &mut self,
        path: &Path,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), OpenError> {
        let alive = self.alive.clone();
        let thread = Builder::new().name(name.into()).spawn(move || {
            // Dropped last: what `run` owns is closed before.
            let _alive = alive;
            run();
        });
        let failed = |source: std::io::Error| OpenError::Other { path: path.to_owned(), source: source.into() };
        self.ids.push(thread.map_err(failed)?.thread().id());
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.alive = None;
        // The last handle may have been in the hands of one of them.
        if !self.ids.contains(&std::thread::current().id()) {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            // Nobody sends: this waits until the last sender is gone.
            let _ = ended.recv_timeout(END);
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Threads")
    }
}
