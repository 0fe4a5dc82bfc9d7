//! A bulkhead: so many calls at once, some more that wait, and no others.

use super::{refusal, until_end};
use chatcore::port::{AiChunk, AiError, AiGateway, Prompt, Runtime};
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream, StreamExt};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many calls of a gateway go on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadPolicy {
    /// How many run; at least 1.
    pub running: usize,
    /// How many more wait for their turn; may be 0.
    pub waiting: usize,
    /// How long one waits.
    pub patience: Duration,
}

impl Default for BulkheadPolicy {
    /// As many wait as the core runs turns: 1,000 run, 10,000 wait, each for at most 10 s.
    fn default() -> Self {
        Self { running: 1_000, waiting: 10_000, patience: Duration::from_secs(10) }
    }
}

/// Lets so many calls run at once. Others wait in order, within limits, and get an error beyond them.
///
/// A place is taken when a stream is first polled, and given back at the end of the answer or when the stream is
/// dropped.
#[derive(Debug)]
pub struct Bulkhead<G> {
    inner: Arc<G>,
    places: Arc<Places>,
}

impl<G: AiGateway> Bulkhead<G> {
    /// Shields a gateway from too many callers.
    #[must_use]
    pub fn new(inner: G, policy: BulkheadPolicy, runtime: Arc<dyn Runtime>) -> Self {
        let running = Arc::new(Semaphore::new(policy.running.clamp(1, Semaphore::MAX_PERMITS)));
        let waiting = Semaphore::new(policy.waiting.min(Semaphore::MAX_PERMITS));
        let places = Places { running, waiting, patience: policy.patience, runtime };
        Self { inner: Arc::new(inner), places: Arc::new(places) }
    }

    /// What is shielded.
    #[must_use]
    pub fn inner(&self) -> &G {
        &self.inner
    }
}

impl<G: AiGateway> AiGateway for Bulkhead<G> {
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>> {
        let (inner, places) = (Arc::clone(&self.inner), Arc::clone(&self.places));
        let enter = async move {
            match places.take().await {
                Ok(place) => until_end(inner.answer(prompt), place, |_| (), |place, _| drop(place)),
                Err(why) => refusal(why),
            }
        };
        stream::once(enter).flatten().boxed()
    }
}

#[derive(Debug)]
struct Places {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    patience: Duration,
    runtime: Arc<dyn Runtime>,
}

impl Places {
    async fn take(&self) -> Result<OwnedSemaphorePermit, &'static str> {
        // A place that is given back goes to those who wait, so nobody gets ahead of them here.
        if let Ok(place) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(place);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| "too many calls wait for the AI")?;
        let turn = pin!(Arc::clone(&self.running).acquire_owned());
        match select(turn, self.runtime.sleep(self.patience)).await {
            Either::Left((place, _)) => place.map_err(|_| "the AI takes no more calls"),
            Either::Right(_) => Err("the AI had no place for this call in time"),
        }
    }
}
