//! Whether the loops are well, for `/readyz`.

use chatcore::port::{Place, Runtime};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For how long a failure of the bus counts: longer than a lane takes from one failure to the next, since a lane that only
/// waits for an event tells nothing.
const RECENT: Duration = Duration::from_secs(6);

/// A handler that is at one event for longer has no room on its disk, or hangs: each try of those that ask others is shorter.
const STALLED: Duration = Duration::from_secs(60);

/// Told by the loops, asked by the health routes.
#[derive(Debug)]
pub struct Pulse {
    runtime: Arc<dyn Runtime>,
    stopping: AtomicBool,
    failed: Mutex<Option<Duration>>,
    tries: Mutex<Tries>,
}

/// Tries of handlers that go on, by the order in which they began.
#[derive(Debug, Default)]
struct Tries {
    last: u64,
    now: BTreeMap<u64, Try>,
}

/// What a handler is at.
#[derive(Debug, Clone)]
struct Try {
    handler: &'static str,
    place: Place,
    since: Duration,
}

/// A try that goes on until this is dropped.
#[derive(Debug)]
pub(crate) struct Trying<'a> {
    pulse: &'a Pulse,
    number: u64,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.pulse.tries().now.remove(&self.number);
    }
}

impl Pulse {
    /// Of a worker that begins.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, stopping: AtomicBool::new(false), failed: Mutex::default(), tries: Mutex::default() }
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

    /// A handler begins with an event.
    pub(crate) fn tries_event(&self, handler: &'static str, place: &Place) -> Trying<'_> {
        let mut tries = self.tries();
        tries.last += 1;
        let (number, since) = (tries.last, self.runtime.elapsed());
        tries.now.insert(number, Try { handler, place: place.clone(), since });
        Trying { pulse: self, number }
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn oldest(&self) -> Option<(Try, Duration)> {
        let oldest = self.tries().now.first_key_value().map(|(_, oldest)| oldest.clone())?;
        let took = self.runtime.elapsed().saturating_sub(oldest.since);
        Some((oldest, took))
    }

    /// For how long the oldest try goes on.
    pub(crate) fn oldest_try(&self) -> Duration {
        self.oldest().map(|(_, took)| took).unwrap_or_default()
    }

    /// What stands still, where something does: which handler is at which record, and since when.
    pub(crate) fn stalled(&self) -> Option<String> {
        let (Try { handler, place, .. }, took) = self.oldest().filter(|(_, took)| *took >= STALLED)?;
        let Place { topic, partition, offset } = place;
        Some(format!("{handler} stands at {topic} {partition} {offset} for {} s", took.as_secs()))
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
