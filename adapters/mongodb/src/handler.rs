//! The `EventHandler`: waits for a server that is away, and refuses only what never can be stored.

use crate::MongoDb;
use crate::error::Failed;
use async_trait::async_trait;
use chatcore::consume::EventHandler;
use chatcore::event::Event;
use chatcore::port::Place;
use std::time::Duration;

/// How long it waits before it writes again where MongoDB takes nothing.
const PAUSE: Duration = Duration::from_secs(1);

#[async_trait]
impl EventHandler for MongoDb {
    async fn handle(&self, event: &Event, _place: &Place) -> Result<(), String> {
        let inner = &self.inner;
        // A database that is away is no fault of the event, so it is no reason to park it: it waits until the database is
        // back, and comes again where the worker is stopped meanwhile.
        loop {
            match inner.within(inner.call_timeout, inner.store(event)).await {
                Ok(()) => return Ok(()),
                Err(Failed::Never(reason)) => return Err(reason),
                Err(Failed::Later(reason)) => {
                    tracing::error!(reason, event_id = %event.id(), "MongoDB takes no events; trying again");
                }
            }
            inner.runtime.sleep(PAUSE).await;
        }
    }
}
