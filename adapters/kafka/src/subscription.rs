//! The `EventBus` and its `Subscription`s.

use crate::Kafka;
use crate::group::Group;
use crate::lanes::Taken;
use crate::letters::Parked;
use crate::member::Member;
use crate::publish;
use crate::record::Fetched;
use crate::topic::Part;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::port::{Acked, Delivery, DeliveryId, EventBus, Place, Published, Subscription};
use std::sync::Arc;

#[async_trait]
impl EventBus for Kafka {
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        publish::publish(self, events).await
    }

    async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        let config = &self.inner.config;
        self.counts(&config.topics.of_events()).await?;
        let joined = self.within(Group::join(config.clone(), group)).await?;
        let times = (config.call_timeout, config.handover);
        let member = Member::start(joined, group, self.inner.runtime.clone(), times);
        let seat = self.inner.runtime.new_id().simple().to_string();
        Ok(Arc::new(Seat { kafka: self.clone(), group: group.to_owned(), seat, member }))
    }
}

/// What a program holds of a member. Dropping it without closing is like the death of its process.
#[derive(Debug)]
struct Seat {
    kafka: Kafka,
    group: String,
    /// Told apart from others by this, also in the names of its deliveries.
    seat: String,
    member: Arc<Member>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.member.drop_place();
    }
}

impl Seat {
    fn place(&self, record: &Fetched) -> Place {
        let Part { number, topic } = record.part;
        let topic = self.kafka.inner.config.topics.name(topic).to_owned();
        Place { topic, partition: number.cast_unsigned(), offset: record.offset.cast_unsigned() }
    }

    fn name(&self, number: u64) -> DeliveryId {
        DeliveryId(format!("{}/{number}", self.seat))
    }

    /// Reads a name that this seat gave; `None` for any other.
    fn number(&self, id: &DeliveryId) -> Option<u64> {
        let (seat, number) = id.0.split_once('/')?;
        number.parse().ok().filter(|_| seat == self.seat)
    }

    async fn all_lag(&self) -> Result<u64, BackendError> {
        let parts: Vec<_> = self.kafka.counts(&self.kafka.inner.config.topics.of_events()).await?.parts().collect();
        let group = &self.member.group;
        let ends = group.ends(&parts).await?;
        let end = |part: &Part| ends.get(part).copied().unwrap_or_default();
        let mut lag: u64 = 0;
        let mut others = Vec::new();
        {
            let lanes = self.member.lanes();
            for part in parts {
                match lanes.lag(part, end(&part)) {
                    Some(own) => lag += own,
                    None => others.push(part),
                }
            }
        }
        if others.is_empty() {
            return Ok(lag);
        }
        let (committed, starts) = (group.committed(&others).await?, group.starts(&others).await?);
        for part in others {
            let start = starts.get(&part).copied().unwrap_or_default();
            let done = committed.get(&part).map_or(start, |(at, _)| (*at).max(start));
            lag += u64::try_from(end(&part) - done).unwrap_or_default();
        }
        Ok(lag)
    }
}

#[async_trait]
impl Subscription for Seat {
    async fn next(&self) -> Result<Option<Delivery>, BackendError> {
        let Some(taken) = self.member.next().await? else { return Ok(None) };
        let Taken { number, attempt, record } = taken;
        let (id, place, key) = (self.name(number), self.place(&record), record.key_text());
        Ok(Some(Delivery { id, place, key, attempt, event: record.event() }))
    }

    /// It is committed soon after. Until then a crash brings it again.
    async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError> {
        match self.number(id).is_some_and(|number| self.member.done(number)) {
            true => Ok(Acked::Done),
            false => Ok(Acked::Revoked),
        }
    }

    /// The letter is written first. Where that fails, the record is handed out again.
    async fn park(&self, id: &DeliveryId, reason: &str, tries: u32) -> Result<Acked, BackendError> {
        let held = self.number(id).and_then(|number| self.member.lanes().look(number).map(|held| (number, held)));
        let Some((number, record)) = held else { return Ok(Acked::Revoked) };
        let parked = Parked { record: &record, group: &self.group, reason, attempts: tries };
        if let Err(error) = self.kafka.write_letter(parked).await {
            self.member.give_back(number);
            return Err(error);
        }
        self.ack(id).await
    }

    async fn revoked(&self, id: &DeliveryId) {
        if let Some(number) = self.number(id) {
            self.member.let_go(number).await;
        }
    }

    /// Of what this member has it knows exactly; of what others have, by their last commits.
    async fn lag(&self) -> Result<u64, BackendError> {
        self.kafka.within(self.all_lag()).await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.member.close().await
    }
}
