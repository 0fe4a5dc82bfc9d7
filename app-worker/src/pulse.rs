//! Whether the loops are well, for `/readyz`.

use chatcore::port::{Place, Runtime};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For how long a failure of the bus counts: longer than a lane takes from one failure to the next, or a bus to say again what
/// lasts. Neither a lane that waits for an event tells anything, nor one that was handed one: a bus may hand out and not commit.
const RECENT: Duration = Duration::from_secs(6);

/// A handler that is at one event for longer waits for what is away, or hangs: each try of those that ask others is shorter.
const STALLED: Duration = Duration::from_secs(60);

/// Told by the loops, asked by the health routes.
#[derive(Debug)]
pub struct Pulse {
    runtime: Arc<dyn Runtime>,
    stopping: AtomicBool,
    failed: Mutex<Option<Duration>>,
    at_work: Mutex<AtWork>,
}

/// What handlers are at, and since when. Between two tries they are at it as well.
type AtWork = BTreeMap<(&'static str, Place), Duration>;

/// A try, with which the handler is done with the event when this is dropped, unless it waits for the next one.
#[derive(Debug)]
pub(crate) struct Trying<'a> {
    pulse: &'a Pulse,
    what: (&'static str, Place),
    waits: bool,
}

impl Trying<'_> {
    /// Another try will follow.
    pub(crate) fn waits(mut self) {
        self.waits = true;
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if !self.waits {
            self.pulse.at_work().remove(&self.what);
        }
    }
}

impl Pulse {
    /// Of a worker that begins.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, stopping: AtomicBool::new(false), failed: Mutex::default(), at_work: Mutex::default() }
    }

    /// No more events are taken.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The bus failed.
    pub(crate) fn failed(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.runtime.elapsed());
    }

    /// A handler tries an event.
    pub(crate) fn tries_event(&self, handler: &'static str, place: &Place) -> Trying<'_> {
        let what = (handler, place.clone());
        self.at_work().entry(what.clone()).or_insert_with(|| self.runtime.elapsed());
        Trying { pulse: self, what, waits: false }
    }

    fn at_work(&self) -> MutexGuard<'_, AtWork> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn oldest(&self) -> Option<((&'static str, Place), Duration)> {
        let (what, since) =
            self.at_work().iter().min_by_key(|(_, since)| **since).map(|(what, since)| (what.clone(), *since))?;
        Some((what, self.runtime.elapsed().saturating_sub(since)))
    }

    /// For how long a handler is at the event that it is at longest.
    pub(crate) fn oldest_try(&self) -> Duration {
        self.oldest().map(|(_, took)| took).unwrap_or_default()
    }

    /// What stands still, where something does: which handler is at which record, and since when.
    pub(crate) fn stalled(&self) -> Option<String> {
        let ((handler, place), took) = self.oldest().filter(|(_, took)| *took >= STALLED)?;
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
