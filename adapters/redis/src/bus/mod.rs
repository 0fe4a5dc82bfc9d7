//! The `EventBus`: the outboxes' streams are the log, and groups of consumers read it.
//!
//! A group hands out sessions, not partitions: whoever asks for a delivery gets the next event of a session that nobody has in
//! hand. Who has what stands in the partition of the session, and each step of it is one script (`lua/bus/group.lua` says what
//! is kept), so any number of members and processes may work in one partition.

mod group;
mod held;
mod look;
mod member;
mod state;

pub(crate) use group::Group;

use crate::Redis;
use crate::event::event_fields;
use crate::keys::Partition;
use crate::letters::MOST_AT_ONCE;
use crate::script::Script;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::policy::OutboxFull;
use chatcore::port::{EventBus, Published, Subscription};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;

static PUBLISH: Script = Script::new(include_str!("../lua/bus/publish.lua"));

#[async_trait]
impl EventBus for Redis {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        let mut places: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
        for (index, event) in events.iter().enumerate() {
            places.entry(self.inner.keys.of_session(&event.session)).or_default().push(index);
        }
        let mut published = vec![Published::Done; events.len()];
        let parts = places.into_iter().map(|(partition, of)| self.append_all(partition, of, events));
        for (index, error) in join_all(parts).await.into_iter().flatten() {
            published[index] = Published::Later(error);
        }
        Ok(published)
    }

    async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        // A group begins to exist with its first delivery. Until then it is at the oldest event.
        Ok(member::join(Group::new(self.clone(), group)))
    }
}

impl Redis {
    /// Appends some of these events to the log of their partition; answers which failed. After a failure none is tried.
    async fn append_all(&self, partition: Partition, of: Vec<usize>, events: &[Event]) -> Vec<(usize, BackendError)> {
        let mut left = of.as_slice();
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(MOST_AT_ONCE));
            let chunk = now.iter().filter_map(|index| events.get(*index));
            if let Err(error) = self.append(partition, chunk).await {
                return left.iter().map(|index| (*index, error.clone())).collect();
            }
            left = later;
        }
        Vec::new()
    }

    async fn append(&self, partition: Partition, events: impl Iterator<Item = &Event>) -> Result<(), BackendError> {
        let most = match self.inner.limits.outbox_full {
            OutboxFull::DropOldest => self.most_events(),
            OutboxFull::Refuse => 0,
        };
        let keys = &self.inner.keys;
        let mut call = PUBLISH.on(&[keys.outbox(partition)]).arg(most).arg(keys.wake_channel(partition));
        for event in events {
            let fields = event_fields(event);
            call = call.arg(fields.len()).arg(&fields);
        }
        self.inner.client.call(&call).await.map(drop)
    }
}
