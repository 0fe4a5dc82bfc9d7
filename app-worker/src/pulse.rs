//! Whether the loops are well, for `/readyz`.

use chatcore::port::Runtime;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For how long a failure of the bus counts: longer than a lane takes from one failure to the next, since a lane that only
/// waits for an event tells nothing.
const RECENT: Duration = Duration::from_secs(6);

/// Told by the loops, asked by the health routes.
#[derive(Debug)]
pub struct Pulse {
    runtime: Arc<dyn Runtime>,
    stopping: AtomicBool,
    failed: Mutex<Option<Duration>>,
}

impl Pulse {
    /// Of a worker that begins.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, stopping: AtomicBool::new(false), failed: Mutex::default() }
    }

    /// No more events are taken.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// A step was done, or the bus failed.
    pub(crate) fn stepped(&self, well: bool) {
        let failed = (!well).then(|| self.runtime.elapsed());
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Whether the worker was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether events are consumed, or would be if there were any.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_none_or(|at| self.runtime.elapsed() > at + RECENT)
    }
}
