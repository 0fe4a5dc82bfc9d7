//! The relay of a program, and its loop: moves events from the outbox to the bus while the program runs.

use chatcore::port::{EventBus, Outbox};
use chatcore::relay::{Moved, Relay};
use std::sync::Arc;
use std::time::Duration;

/// How many events are moved at once.
const BATCH: usize = 1000;
/// How long the first is waited for before the relay looks again.
const WAIT: Duration = Duration::from_secs(10);

/// The pause after a failure, doubled up to the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

/// What moves events from this outbox to this bus.
#[must_use]
pub fn between(outbox: Arc<dyn Outbox>, bus: Arc<dyn EventBus>) -> Relay {
    Relay::new(outbox, bus, BATCH, WAIT)
}

/// Moves events, for ever; it may be dropped at any point. What is left for later comes again.
pub async fn relay(relay: Relay) {
    let mut pause = PAUSES[0];
    loop {
        match relay.step().await {
            Ok(Moved { left: 0, .. }) => {
                pause = PAUSES[0];
                continue;
            }
            // The bus has said why.
            Ok(Moved { .. }) => {}
            Err(error) => tracing::warn!(%error, source = %error.source, "events wait: the outbox or the bus failed"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}
