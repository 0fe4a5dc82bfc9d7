//! What a store answers, in one type that can be compared.

use chatcore::error::BackendError;
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::message::Message;
use chatcore::session::{Adopted, Session};
use chatcore::turn::{Began, Extended, Finished, Followed, Position, Stopping};
use std::error::Error;

/// What a store answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Began(Began),
    Extended(Extended),
    Finished(Finished),
    Stopping(Stopping),
    Followed(SessionId, Followed),
    Sessions(Vec<Session>),
    Messages(Vec<Message>),
    Adopted(Adopted),
    Events(Vec<Event>),
    Count(u64),
    Done,
    Denied(String),
    /// The store failed, which it never should here.
    Failed(String),
    /// It failed, and the same call may succeed soon, which it only should while a slot moves.
    Later(String),
}

impl Reply {
    pub(crate) fn failed(error: &BackendError) -> Self {
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        let told = format!("{error}: {source}");
        if error.may_pass() { Self::Later(told) } else { Self::Failed(told) }
    }

    /// A reader who has got nothing yet may be told where it is in either way: before everything, or at the beginning of an
    /// attempt.
    pub(crate) fn followed(session: SessionId, followed: Followed) -> Self {
        let nothing = followed.text.is_empty() && followed.to.offset == 0 && !followed.restarted;
        let to = if nothing { Position::default() } else { followed.to };
        Self::Followed(session, Followed { to, ..followed })
    }
}
