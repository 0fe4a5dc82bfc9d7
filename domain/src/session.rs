//! Sessions: conversations of one owner, and how they are listed.

use crate::id::{MessageId, SessionId};
use crate::owner::Owner;
use time::OffsetDateTime;

/// A conversation of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Who it belongs to.
    pub owner: Owner,
    /// When its first question was taken.
    pub created_at: OffsetDateTime,
    /// When its newest question was taken, or taken up again; its time to live counts from here.
    pub last_activity: OffsetDateTime,
    /// How many messages it has: questions and answers.
    pub message_count: u64,
    /// The question that is being answered.
    pub open: Option<MessageId>,
}

/// A page of a list of sessions, newest activity first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionsPage {
    /// Where the page before it ended; `None` for the first page.
    pub after: Option<SessionsCursor>,
    /// How many sessions at most.
    pub limit: usize,
}

/// The last session of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionsCursor {
    /// Its last activity.
    pub last_activity: OffsetDateTime,
    /// Its name, which orders sessions of the same instant.
    pub session: SessionId,
}

impl From<&Session> for SessionsCursor {
    fn from(session: &Session) -> Self {
        Self { last_activity: session.last_activity, session: session.id }
    }
}

/// What a step of an adoption did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// Sessions that are now the user's.
    pub moved: usize,
    /// What is left to do.
    pub rest: AdoptionRest,
}

/// What is left of an adoption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdoptionRest {
    /// The guest has no session any more.
    Nothing,
    /// There may be more: call again.
    More,
    /// The user has as many sessions as one may have; the others stay the guest's.
    NoRoom,
}
