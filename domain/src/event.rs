//! Events: what the rest of the world learns, written together with the message that it tells of.
//!
//! # The order that is promised
//!
//! Of a session, first occurrences come in the order of `seq` to who reads one log. A bus with a log for each kind, as Kafka with its
//! topics, promises that within each log alone: an answer may be seen before its question, and a deletion before both, above all
//! after something was killed or partitions moved. Between sessions there is no order.
//!
//! So a consumer of several topics waits for nothing, and joins what comes: a question and its answer have the same `message_id`
//! ([`Message::turn`]), the answer has the question's `seq` as `reply_to` ([`Message::reply_to`]), and what comes again has the same
//! `event_id` ([`Event::id`]).

use crate::id::{RequestId, SessionId};
use crate::message::Message;
use crate::owner::Owner;
use std::fmt;
use time::OffsetDateTime;

#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "serde")]
mod version_0;

/// One thing that happened to a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The session; the bus's key.
    pub session: SessionId,
    /// Who it belonged to at that moment.
    pub owner: Owner,
    /// Its place among the session's events: the message's `seq`, or the next for a deletion.
    pub seq: u64,
    /// When it happened.
    pub at: OffsetDateTime,
    /// The request that asked, where there was one.
    pub request_id: Option<RequestId>,
    /// What happened.
    pub body: EventBody,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventBody {
    /// A question was taken.
    ChatRequested(Box<Message>),
    /// A turn has its terminal answer.
    ChatResponded(Box<Message>),
    /// The session is no more.
    SessionDeleted,
}

impl Event {
    /// Its name, the same whenever it is delivered, so that a consumer can tell a second delivery.
    #[must_use]
    pub fn id(&self) -> EventId {
        EventId { session: self.session, seq: self.seq }
    }

    /// Its type: `chat.requested`, `chat.responded` or `session.deleted`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.body {
            EventBody::ChatRequested(_) => "chat.requested",
            EventBody::ChatResponded(_) => "chat.responded",
            EventBody::SessionDeleted => "session.deleted",
        }
    }

    /// The message that it tells of; `None` for a deletion.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match &self.body {
            EventBody::ChatRequested(message) | EventBody::ChatResponded(message) => Some(message),
            EventBody::SessionDeleted => None,
        }
    }
}

/// Names an event: a session and a place in it, which no other event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    session: SessionId,
    seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.session, self.seq)
    }
}

/// A record of a bus that cannot be read as an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It is of a version that this build does not know.
    #[error("newer_version")]
    NewerVersion,
    /// It is something else.
    #[error("malformed: {0}")]
    Other(String),
}
