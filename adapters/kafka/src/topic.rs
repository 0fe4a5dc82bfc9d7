//! The three topics of events, and their partitions.

use chatcore::event::{Event, EventBody};

/// One of the topics that events go to, in the order in which a turn uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Requests,
    Responses,
    Sessions,
}

impl Topic {
    pub(crate) const ALL: [Self; 3] = [Self::Requests, Self::Responses, Self::Sessions];

    /// Where an event belongs. A kind that this build does not know tells of a session.
    pub(crate) fn of(event: &Event) -> Self {
        match event.body {
            EventBody::ChatRequested(_) => Self::Requests,
            EventBody::ChatResponded(_) => Self::Responses,
            _ => Self::Sessions,
        }
    }
}

/// A partition. Those of one number stand together: they hold the same sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) topic: Topic,
}
