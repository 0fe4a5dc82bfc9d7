//! The in-memory `EventBus` and `DeadLetters`: one log, and groups that read it.

use super::MemoryStore;
use super::log::{Log, Take};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::port::{
    Acked, DeadLetter, DeadLetterId, DeadLetters, DeadLettersPage, Delivery, DeliveryId, EventBus, Published, Replay,
    Runtime, Subscription,
};
use chatcore::watch::Watch;
use futures_util::future::select;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a dead member's records stay with it.
const COME_BACK: Duration = Duration::from_secs(5);

/// Carries events in memory: an `EventBus` and the `DeadLetters` beside it. Clones are the same bus.
///
/// The holder of a record is its `Subscription`. While that lives, it keeps what it took; on `close` that goes to others at
/// once, and 5 s after it was dropped.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    log: Arc<Watch<Log>>,
    runtime: Arc<dyn Runtime>,
    come_back: Duration,
}

impl MemoryBus {
    /// An empty bus of its own, which keeps the newest 1,000,000 events. A relay fills it.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self::over(&MemoryStore::new(runtime))
    }

    /// A bus that is the store's own outbox: it holds each event as soon as the store does, and needs no relay. For a store
    /// whose outbox drops the oldest event when it is full.
    #[must_use]
    pub fn over(store: &MemoryStore) -> Self {
        Self { log: store.log.clone(), runtime: store.runtime.clone(), come_back: COME_BACK }
    }

    /// The same bus, where what a dead member held comes back after this time.
    #[must_use]
    pub fn come_back_after(self, come_back: Duration) -> Self {
        Self { come_back, ..self }
    }

    /// How many events and dead letters were dropped because there was no room for them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.log.read(Log::dropped)
    }

    /// All events that the bus holds, oldest first, for those who test.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.log.read(Log::events)
    }
}

#[async_trait]
impl EventBus for MemoryBus {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        self.log.update(|log| events.iter().cloned().for_each(|event| log.publish(event)));
        Ok(vec![Published::Done; events.len()])
    }

    async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        let member = self.log.update(|log| log.join(group));
        Ok(Arc::new(Member { bus: self.clone(), group: group.to_owned(), member }))
    }
}

#[async_trait]
impl DeadLetters for MemoryBus {
    async fn list(&self, page: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError> {
        Ok(self.log.read(|log| log.letters(page)))
    }

    async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError> {
        Ok(self.log.update(|log| log.replay(id)))
    }
}

/// One member of a group. A dropped one is a dead one.
#[derive(Debug)]
struct Member {
    bus: MemoryBus,
    group: String,
    member: u64,
}

impl Member {
    fn done(&self, id: &DeliveryId, reason: Option<&str>) -> Acked {
        match self.bus.log.update(|log| log.done(&self.group, self.member, id, reason)) {
            true => Acked::Done,
            false => Acked::Revoked,
        }
    }

    fn leave(&self, come_back: Duration) {
        let now = self.bus.runtime.elapsed();
        self.bus.log.update(|log| log.leave(&self.group, self.member, now + come_back, now));
    }

    /// Waits until there may be something to take; one whose holder died comes back at `back`.
    async fn news(&self, back: Option<Duration>) {
        let has_news = |log: &Log| log.has_news(&self.group, self.member, back).then_some(());
        let news = self.bus.log.wait(has_news);
        match back {
            Some(back) => {
                let rest = back.saturating_sub(self.bus.runtime.elapsed());
                select(pin!(news), self.bus.runtime.sleep(rest)).await;
            }
            None => news.await,
        }
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&self) -> Result<Option<Delivery>, BackendError> {
        loop {
            let now = self.bus.runtime.elapsed();
            match self.bus.log.update(|log| log.take(&self.group, self.member, now)) {
                Take::One(delivery) => return Ok(Some(*delivery)),
                Take::Nothing { back } => self.news(back).await,
                Take::Left => return Ok(None),
            }
        }
    }

    async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError> {
        Ok(self.done(id, None))
    }

    async fn park(&self, id: &DeliveryId, reason: &str, _: u32) -> Result<Acked, BackendError> {
        Ok(self.done(id, Some(reason)))
    }

    async fn lag(&self) -> Result<u64, BackendError> {
        Ok(self.bus.log.read(|log| log.lag(&self.group)))
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.leave(Duration::ZERO);
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave(self.bus.come_back);
    }
}
