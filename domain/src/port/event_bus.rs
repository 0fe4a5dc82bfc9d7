//! The bus: where events go and where consumers read them.

use crate::error::BackendError;
use crate::event::{Event, Malformed};
use async_trait::async_trait;
use futures_util::future::pending;
use std::fmt::Debug;
use std::sync::Arc;

/// What became of one event of `publish`.
#[derive(Debug, Clone)]
pub enum Published {
    /// The bus has it.
    Done,
    /// Not now: this one, or an earlier one of its session in the same call, failed.
    Later(BackendError),
    /// Never: too large, unencodable. With the reason.
    Refused(String),
}

/// Names a delivery; the adapter makes and reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryId(pub String);

/// Where a record stands in the logs of its bus: the same at every delivery, and no other record's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The log. A bus that has but one calls it `events`.
    pub topic: String,
    /// The part of the log; records of a part are in order.
    pub partition: u32,
    /// The number in the part; it grows, with gaps.
    pub offset: u64,
}

/// One record, for one consumer.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// Where it stands.
    pub place: Place,
    /// The record's key: the session's id, where it could be read.
    pub key: String,
    /// How often it was delivered, this time included.
    pub attempt: u32,
    /// What it says.
    pub event: Result<Event, Malformed>,
}

/// What `ack` and `park` answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    /// It will not come again.
    Done,
    /// It was given to another meanwhile; not an error.
    Revoked,
}

/// The bus.
///
/// # Laws
/// - **once an event of a session fails no later one of that session is published** in the same call.
/// - **a new group starts at the oldest event**.
#[async_trait]
pub trait EventBus: Debug + Send + Sync + 'static {
    /// Publishes events: one result for each, in order. A call without any makes what the bus needs for those to come.
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError>;

    /// Joins a group of consumers.
    async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError>;
}

/// A member of a group of consumers.
///
/// # Laws
/// - **an event is delivered at least once**, and those of a session in order; where the bus has a log for each kind of event,
///   in order within each log ([`crate::event`]).
/// - **at most one delivery of a session is outstanding** in a group, so that N concurrent consumers are N lanes.
/// - **an unacked delivery comes back**: at once after `close`, else 5 s after its holder died. A live holder renews it
///   while its handler works.
/// - **an ack after a revocation says revoked** and changes nothing.
/// - **a parked record is in the dead letters with its reason**, and the session goes on.
/// - **a closed subscription ends**: `next` gives `None`.
/// - **a malformed record is delivered as such**, with its key where that can be read.
/// - **lag counts what is not worked off**.
#[async_trait]
pub trait Subscription: Debug + Send + Sync + 'static {
    /// The next record, as soon as there is one; `None` once closed. A dropped call loses nothing: what it took comes
    /// back.
    async fn next(&self) -> Result<Option<Delivery>, BackendError>;

    /// It was worked off.
    async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError>;

    /// It never will be: it goes to the dead letters, where the bus has room for it with how often it was tried.
    async fn park(&self, id: &DeliveryId, reason: &str, tries: u32) -> Result<Acked, BackendError>;

    /// Comes when nobody is to wait with this delivery any longer: it is another's now, or another is to have it, who gets it at once by
    /// this. It says nothing to who works on it. By default never: where only a holder that died loses what it holds.
    async fn revoked(&self, _id: &DeliveryId) {
        pending().await
    }

    /// How many events of the group are not worked off.
    async fn lag(&self) -> Result<u64, BackendError>;

    /// Leaves the group; what is unacked goes to others at once.
    async fn close(&self) -> Result<(), BackendError>;
}
