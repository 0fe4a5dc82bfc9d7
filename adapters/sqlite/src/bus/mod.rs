//! The `EventBus`: groups of consumers that read the log.

mod group;
mod held;
mod member;
mod members;

use crate::Sqlite;
use crate::log;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::port::{EventBus, Published, Subscription};
use std::sync::Arc;

/// The statements whose plans are tested.
#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 7] =
    [group::FREE_LANE, group::HELD, group::NEXT, group::AHEAD, members::DEAD, members::FREE_ALL, members::STILL_ALIVE];

#[async_trait]
impl EventBus for Sqlite {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        let (count, events) = (events.len(), events.to_vec());
        self.write(move |step| events.iter().try_for_each(|event| log::append(step, event))).await?;
        Ok(vec![Published::Done; count])
    }

    async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        let name = group.to_owned();
        let joined = self.write(move |step| group::join(step, &name)).await?;
        Ok(member::join(self.clone(), joined, group.to_owned()))
    }
}
