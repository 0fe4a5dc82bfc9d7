//! The in-memory `Outbox`: the store's own log.

use super::MemoryStore;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Backlog, Claimed, EntryId, Mark, Outbox, Settled};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

#[async_trait]
impl Outbox for MemoryStore {
    async fn claim_behind(&self, mark: &Mark, max: usize, wait: Duration) -> Result<Claimed, BackendError> {
        let last = mark.0.parse().unwrap_or_default();
        let look = self.log.wait(|log| log.claim(last, max));
        let entries = match select(pin!(look), self.runtime.sleep(wait)).await {
            Either::Left((entries, _)) => entries,
            Either::Right(_) => Vec::new(),
        };
        // The order of the log is that of its ids, whatever the order in which a claim gives them.
        let end = entries.iter().filter_map(|entry| entry.id.0.parse().ok()).max().unwrap_or(last);
        Ok(Claimed { entries, end: Mark(end.to_string()) })
    }

    async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError> {
        self.log.update(|log| entries.iter().for_each(|(id, settled)| log.settle(id, settled)));
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, BackendError> {
        Ok(self.log.read(|log| log.backlog()))
    }
}
