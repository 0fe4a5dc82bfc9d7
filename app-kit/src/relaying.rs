//! The relay of a program, and its loops: readies the bus, and moves events to it from the outbox while the program runs.

use chatcore::port::{EventBus, Outbox, Runtime};
use chatcore::relay::Relay;
use futures_util::FutureExt;
use futures_util::future::join;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// How many events are moved at once.
const BATCH: usize = 1000;
/// How long the first is waited for before the relay looks again.
const WAIT: Duration = Duration::from_secs(10);

/// The pauses after failures: each is twice the one before, up to the longest.
struct Pauses(Duration);

impl Pauses {
    const FIRST: Self = Self(Duration::from_millis(100));
    const LONGEST: Duration = Duration::from_secs(2);

    async fn next(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

/// What moves events from an outbox to a bus.
#[derive(Debug, Clone)]
pub struct Relaying {
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn EventBus>,
    runtime: Arc<dyn Runtime>,
}

impl Relaying {
    /// From this outbox to this bus.
    #[must_use]
    pub fn between(outbox: Arc<dyn Outbox>, bus: Arc<dyn EventBus>, runtime: Arc<dyn Runtime>) -> Self {
        Self { outbox, bus, runtime }
    }

    /// Moves events, for ever; it may be dropped at any point. What is left for later comes again.
    pub async fn run(self) {
        loop {
            let relay = Relay::new(self.outbox.clone(), self.bus.clone(), self.runtime.clone(), BATCH, WAIT);
            _ = AssertUnwindSafe(join(ready(&*self.bus), run(relay))).catch_unwind().await;
            tracing::error!("the relay panicked, and begins anew");
            tokio::time::sleep(Pauses::LONGEST).await;
        }
    }
}

/// Has the bus make what it needs before there is an event, as soon as it can be reached.
async fn ready(bus: &dyn EventBus) {
    let mut pauses = Pauses::FIRST;
    while let Err(error) = bus.publish(&[]).await {
        tracing::debug!(%error, source = %error.source, "the bus cannot be made ready");
        pauses.next().await;
    }
}

async fn run(mut relay: Relay) {
    let mut pauses = Pauses::FIRST;
    loop {
        match relay.step().await {
            Ok(_) => pauses = Pauses::FIRST,
            Err(error) => {
                tracing::warn!(%error, source = %error.source, "events wait: the outbox or the bus failed");
                pauses.next().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use chatcore::error::BackendError;
    use chatcore::event::Event;
    use chatcore::port::{Backlog, Claimed, EntryId, Mark, Published, Settled, Subscription};
    use chatcore_ports::tokio::TokioRuntime;
    use futures_util::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// It falls over when it is asked for the first time, and then has nothing.
    #[derive(Debug, Default)]
    struct Fragile(AtomicUsize);

    #[async_trait]
    impl Outbox for Fragile {
        async fn claim_behind(&self, _: &Mark, _: usize, _: Duration) -> Result<Claimed, BackendError> {
            assert_ne!(self.0.fetch_add(1, Ordering::SeqCst), 0, "it falls over");
            pending().await
        }

        async fn settle(&self, _: &[(EntryId, Settled)]) -> Result<(), BackendError> {
            Ok(())
        }

        async fn backlog(&self) -> Result<Backlog, BackendError> {
            Ok(Backlog::default())
        }
    }

    #[async_trait]
    impl EventBus for Fragile {
        async fn publish(&self, _: &[Event]) -> Result<Vec<Published>, BackendError> {
            Ok(Vec::new())
        }

        async fn subscribe(&self, _: &str) -> Result<Arc<dyn Subscription>, BackendError> {
            pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_panics_begins_anew() {
        let (fragile, runtime) = (Arc::new(Fragile::default()), Arc::new(TokioRuntime::current()));
        let relay = Relaying::between(fragile.clone(), fragile.clone(), runtime);
        _ = tokio::time::timeout(Duration::from_secs(10), relay.run()).await;
        assert_eq!(fragile.0.load(Ordering::SeqCst), 2);
    }
}
