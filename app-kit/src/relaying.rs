//! The relay of a program, and its loops: readies the bus, and moves events to it from the outbox while the program runs.

use chatcore::port::{EventBus, Outbox, Runtime};
use chatcore::relay::Relay;
use futures_util::future::join;
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
        let relay = Relay::new(self.outbox, self.bus.clone(), self.runtime, BATCH, WAIT);
        join(ready(&*self.bus), run(relay)).await;
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
