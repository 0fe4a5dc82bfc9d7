//! A delivery in the hands of a member, and its name.

use crate::event::Entry;
use crate::keys::Partition;
use crate::value::{Read, fixed, number, text, worded};
use chatcore::port::{Delivery, DeliveryId, Place};
use deadpool_redis::redis::Value;
use std::fmt;

/// Names one attempt at the event at the head of a session's lane: what a [`DeliveryId`] says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) partition: Partition,
    pub(super) head: String,
    pub(super) attempt: u32,
    pub(super) session: String,
}

impl Name {
    /// Reads an id that [`Held::deliver`] made; `None` for any other.
    pub(super) fn parse(id: &DeliveryId) -> Option<Self> {
        let mut parts = id.0.splitn(4, '/');
        let (partition, head, attempt, session) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (head, session) = (head.to_owned(), session.to_owned());
        Some(Self { partition: Partition(partition.parse().ok()?), head, attempt: attempt.parse().ok()?, session })
    }

    /// Where the record stands. A replayed one stands in another log than the one that all groups read.
    fn place(&self) -> Place {
        let (topic, id) = match self.head.strip_suffix('r') {
            Some(id) => ("replayed", id),
            None => ("events", self.head.as_str()),
        };
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
        let mut parts = id.splitn(2, '-');
        let (millis, count) = (number(parts.next()), number(parts.next()));
        // Milliseconds fit into 42 bits until the year 2109. A sum, since the count goes on where the clock went back.
        let offset = (millis << 22).wrapping_add(count);
        Place { topic: topic.to_owned(), partition: self.partition.0.into(), offset }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.partition.0, self.head, self.attempt, self.session)
    }
}

/// A record that a member holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) name: Name,
    record: Entry,
}

impl Held {
    /// As the consumer gets it.
    pub(super) fn deliver(self) -> Delivery {
        let id = DeliveryId(self.name.to_string());
        let (place, event) = (self.name.place(), self.record.event());
        Delivery { id, place, key: self.name.session, attempt: self.name.attempt, event }
    }
}

/// What a step has found.
#[derive(Debug)]
pub(super) enum Found {
    /// Something to deliver; it is the member's from now on.
    Delivery(Box<Held>),
    /// Nothing yet, but there is more to look at.
    More,
    /// Nothing.
    Nothing,
}

impl Found {
    /// Beside it: how many events the log has dropped before the group had worked them off.
    pub(super) fn read(partition: Partition, answer: Value) -> Read<(Self, u64)> {
        let (word, rest) = worded(answer)?;
        let mut rest = rest.into_iter();
        let dropped = number(rest.next().unwrap_or_default())?;
        let found = match word.as_str() {
            "MORE" => Self::More,
            "NOTHING" => Self::Nothing,
            _ => {
                let [session, attempt, record] = fixed(Value::Array(rest.collect()))?;
                let record = Entry::read(record)?;
                let (head, attempt, session) = (record.id.clone(), number(attempt)?, text(session)?);
                Self::Delivery(Box::new(Held { name: Name { partition, head, attempt, session }, record }))
            }
        };
        Ok((found, dropped))
    }
}
