//! The parts of calls and answers in which two stores may differ. A session comes before the fences that belong to it.

use crate::call::Call;
use crate::reply::Reply;
use chatcore::event::{Event, EventBody};
use chatcore::id::{Fence, SessionId};
use chatcore::message::Message;
use chatcore::session::Session;
use chatcore::turn::{Began, Finished, Followed, Refusal, Started, Target, Turn};
use std::time::Duration;
use time::OffsetDateTime;

/// A part in which two stores may differ.
pub(crate) enum Field<'a> {
    Session(&'a mut SessionId),
    Fence(&'a mut Fence),
    Time(&'a mut OffsetDateTime),
    /// A length of time that is measured from the call.
    Span(&'a mut Duration),
}

/// Something with such parts.
pub(crate) trait Fields {
    /// Them, in the same order each time.
    fn fields(&mut self) -> Vec<Field<'_>>;
}

impl Fields for Call {
    fn fields(&mut self) -> Vec<Field<'_>> {
        match self {
            Self::Begin(new) => match &mut new.target {
                Target::Existing(session) => vec![Field::Session(session)],
                Target::New => Vec::new(),
            },
            Self::Extend(turn, ..) | Self::Finish(turn, _) => turn.fields(),
            Self::Stop(_, turn) => vec![Field::Session(&mut turn.session)],
            Self::Follow(_, cursor) => {
                vec![Field::Session(&mut cursor.turn.session), Field::Fence(&mut cursor.from.fence)]
            }
            Self::Session(_, session) | Self::Messages(_, session, _) | Self::Delete(_, session) => {
                vec![Field::Session(session)]
            }
            Self::Settle(events, _) => events.iter_mut().map(|(session, _)| Field::Session(session)).collect(),
            Self::Sessions(..) | Self::Adopt(..) | Self::CloseOrphans(..) | Self::Claim => Vec::new(),
        }
    }
}

impl Fields for Reply {
    fn fields(&mut self) -> Vec<Field<'_>> {
        match self {
            Self::Began(began) => began.fields(),
            Self::Finished(Finished::Stored(message)) => message.fields(),
            Self::Followed(session, followed) => {
                let mut fields = vec![Field::Session(session)];
                fields.extend(followed.fields());
                fields
            }
            Self::Sessions(sessions) => sessions.iter_mut().flat_map(Fields::fields).collect(),
            Self::Messages(messages) => messages.iter_mut().flat_map(Fields::fields).collect(),
            Self::Events(events) => events.iter_mut().flat_map(Fields::fields).collect(),
            _ => Vec::new(),
        }
    }
}

impl Fields for Began {
    fn fields(&mut self) -> Vec<Field<'_>> {
        match self {
            Self::Started(Started { turn, window, left, .. }) => {
                let mut fields = turn.fields();
                fields.extend(window.iter_mut().flat_map(Fields::fields));
                fields.extend(left.as_mut().map(|left| Field::Span(&mut left.reset)));
                fields
            }
            Self::Replayed(replayed) => {
                let mut fields = replayed.turn.fields();
                fields.extend(replayed.question.fields());
                fields.extend(replayed.answer.fields());
                fields
            }
            Self::Attached { turn, retry_after, .. } => {
                let mut fields = turn.fields();
                fields.push(Field::Span(retry_after));
                fields
            }
            Self::Refused(Refusal::Busy { turn, retry_after }) => {
                vec![Field::Session(&mut turn.session), Field::Span(retry_after)]
            }
            Self::Refused(Refusal::Throttled { retry_after }) => vec![Field::Span(retry_after)],
            _ => Vec::new(),
        }
    }
}

impl Fields for Followed {
    fn fields(&mut self) -> Vec<Field<'_>> {
        let mut fields = vec![Field::Fence(&mut self.to.fence)];
        fields.extend(self.end.as_mut().into_iter().flat_map(|end| end.fields()));
        fields
    }
}

impl Fields for Turn {
    fn fields(&mut self) -> Vec<Field<'_>> {
        vec![Field::Session(&mut self.id.session), Field::Fence(&mut self.fence)]
    }
}

impl Fields for Session {
    fn fields(&mut self) -> Vec<Field<'_>> {
        vec![Field::Session(&mut self.id), Field::Time(&mut self.created_at), Field::Time(&mut self.last_activity)]
    }
}

impl Fields for Message {
    fn fields(&mut self) -> Vec<Field<'_>> {
        vec![Field::Time(&mut self.at)]
    }
}

impl Fields for Event {
    fn fields(&mut self) -> Vec<Field<'_>> {
        let mut fields = vec![Field::Session(&mut self.session), Field::Time(&mut self.at)];
        match &mut self.body {
            EventBody::ChatRequested(message) | EventBody::ChatResponded(message) => fields.extend(message.fields()),
            _ => {}
        }
        fields
    }
}
