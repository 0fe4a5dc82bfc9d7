//! The `EventHandler`: tells a server that is away from what never can be stored.

use crate::MongoDb;
use crate::error::Failed;
use async_trait::async_trait;
use chatcore::consume::{EventHandler, Unhandled};
use chatcore::event::Event;
use chatcore::port::Place;

#[async_trait]
impl EventHandler for MongoDb {
    async fn handle(&self, event: &Event, _place: &Place) -> Result<(), Unhandled> {
        let inner = &self.inner;
        let stored = inner.within(inner.call_timeout, inner.store(event)).await;
        stored.map_err(|failed| match failed {
            Failed::Later(reason) => Unhandled::away(format!("MongoDB takes no events: {reason}")),
            Failed::Never(reason) => Unhandled::Refused(reason),
        })
    }
}
