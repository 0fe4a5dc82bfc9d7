//! A delivery in the hands of a member, and its name.

use crate::log::Record;
use chatcore::id::SessionId;
use chatcore::port::{Delivery, DeliveryId, Place};
use uuid::Uuid;

/// The event, the attempt at it, and the session: what a [`DeliveryId`] says.
pub(super) type Name = (i64, u32, Uuid);

/// A record that a member holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) event: i64,
    pub(super) attempt: u32,
    pub(super) record: Record,
}

impl Held {
    /// Its name.
    pub(super) fn name(&self) -> Name {
        (self.event, self.attempt, self.record.session)
    }

    /// As the consumer gets it.
    pub(super) fn deliver(self) -> Delivery {
        let (event, attempt, session) = self.name();
        let id = DeliveryId(format!("{event}/{attempt}/{session}"));
        let place = Place { topic: "events".into(), partition: 0, offset: event.cast_unsigned() };
        Delivery { id, place, key: SessionId::from(session).to_string(), attempt, event: self.record.event() }
    }
}

/// Reads an id that [`Held::deliver`] made; `None` for any other.
pub(super) fn name(id: &DeliveryId) -> Option<Name> {
    let mut parts = id.0.splitn(3, '/');
    let (event, attempt, session) = (parts.next()?, parts.next()?, parts.next()?);
    Some((event.parse().ok()?, attempt.parse().ok()?, session.parse().ok()?))
}
