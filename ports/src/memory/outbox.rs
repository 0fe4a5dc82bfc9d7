//! The in-memory `Outbox`: the store's own log.

use super::MemoryStore;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Backlog, Entry, EntryId, Outbox, Settled};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

#[async_trait]
impl Outbox for MemoryStore {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Entry>, BackendError> {
        let look = self.log.wait(|log| log.claim(max));
        match select(pin!(look), self.runtime.sleep(wait)).await {
            Either::Left((entries, _)) => Ok(entries),
            Either::Right(_) => Ok(Vec::new()),
        }
    }

    async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError> {
        self.log.update(|log| entries.iter().for_each(|(id, settled)| log.settle(id, settled)));
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, BackendError> {
        Ok(self.log.read(|log| log.backlog()))
    }
}
