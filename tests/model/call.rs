//! A call of the ports, and what a store answers to it.

use crate::reply::Reply;
use crate::subject::Opened;
use chatcore::error::{AccessError, BackendError};
use chatcore::id::{DeviceId, SessionId, UserId};
use chatcore::message::{Answer, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::port::{EntryId, Settled};
use chatcore::session::{Adopted, AdoptionRest, SessionsPage};
use chatcore::turn::{Cursor, NewTurn, Piece, Target, Turn, TurnId};
use std::time::Duration;

/// More of anything than a sequence makes.
const ALL: usize = 1000;

/// A call, in the words of one of the stores.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Begin(NewTurn),
    Extend(Turn, Piece, Duration),
    Finish(Turn, Answer),
    Stop(Owner, TurnId),
    Follow(Owner, Cursor),
    Session(Owner, SessionId),
    /// All sessions, by pages of this size.
    Sessions(Owner, usize),
    /// What comes before a place, and what comes behind it.
    Messages(Owner, SessionId, MessagesPage),
    Delete(Owner, SessionId),
    Adopt(DeviceId, UserId),
    CloseOrphans(Duration, usize),
    /// All events that wait.
    Claim,
    /// Takes these events out.
    Settle(Vec<(SessionId, u64)>, Settled),
}

impl Call {
    /// Makes the call.
    pub(crate) async fn perform(&self, at: &Opened) -> Reply {
        match self {
            Self::Stop(..) | Self::Follow(..) | Self::Session(..) | Self::Messages(..) | Self::Delete(..) => {
                self.of_owner(at).await.unwrap_or_else(|error| match error {
                    AccessError::Backend(error) => Reply::failed(&error),
                    denied => Reply::Denied(denied.to_string()),
                })
            }
            _ => self.of_all(at).await.unwrap_or_else(|error| Reply::failed(&error)),
        }
    }

    /// The session that it names.
    pub(crate) fn session(&self) -> Option<SessionId> {
        match self {
            Self::Begin(NewTurn { target: Target::Existing(session), .. }) => Some(*session),
            Self::Extend(turn, ..) | Self::Finish(turn, _) => Some(turn.id.session),
            Self::Stop(_, turn) => Some(turn.session),
            Self::Follow(_, cursor) => Some(cursor.turn.session),
            Self::Session(_, session) | Self::Messages(_, session, _) | Self::Delete(_, session) => Some(*session),
            _ => None,
        }
    }

    /// Whether it may write something of a session.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Follow(..) | Self::Session(..) | Self::Sessions(..) | Self::Messages(..) | Self::Claim)
    }

    /// Whether it takes keys of a session away, which cannot be made again where they were while their slot moves.
    pub(crate) fn takes_keys_away(&self) -> bool {
        matches!(self, Self::Finish(..) | Self::Delete(..))
    }

    /// The calls that ask whose a session is.
    async fn of_owner(&self, at: &Opened) -> Result<Reply, AccessError> {
        let store = &at.store;
        Ok(match self {
            Self::Stop(owner, turn) => Reply::Stopping(store.request_stop(owner, turn).await?),
            Self::Follow(owner, cursor) => {
                let followed = store.follow(owner, cursor, Duration::ZERO).await?;
                Reply::followed(cursor.turn.session, followed)
            }
            Self::Session(owner, session) => Reply::Sessions(vec![store.session(owner, session).await?]),
            Self::Messages(owner, session, page) => {
                let mut messages = store.messages(owner, session, page).await?;
                let newer = NewerPage { after: page.before.unwrap_or_default(), limit: page.limit };
                messages.extend(store.newer(owner, session, &newer, Duration::ZERO).await?);
                Reply::Messages(messages)
            }
            Self::Delete(owner, session) => store.delete(owner, session, None).await.map(|()| Reply::Done)?,
            _ => Reply::Done,
        })
    }

    async fn of_all(&self, at: &Opened) -> Result<Reply, BackendError> {
        let store = &at.store;
        Ok(match self {
            Self::Begin(new) => Reply::Began(store.begin_turn(new).await?),
            Self::Extend(turn, piece, lease) => Reply::Extended(store.extend_turn(turn, piece, *lease).await?),
            Self::Finish(turn, answer) => Reply::Finished(store.finish_turn(turn, answer).await?),
            Self::Sessions(owner, limit) => sessions(at, owner, *limit).await?,
            Self::Adopt(guest, user) => adopt(at, guest, user).await?,
            Self::CloseOrphans(grace, max) => close_orphans(at, *grace, *max).await?,
            Self::Claim => {
                let entries = at.outbox.claim(ALL, Duration::ZERO).await?;
                Reply::Events(entries.into_iter().map(|entry| entry.event).collect())
            }
            Self::Settle(events, settled) => settle(at, events, settled).await?,
            _ => Reply::Done,
        })
    }
}

/// All pages, each from the last session of the one before.
async fn sessions(at: &Opened, owner: &Owner, limit: usize) -> Result<Reply, BackendError> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(Into::into);
        let page = at.store.sessions(owner, &SessionsPage { after, limit }).await?;
        let full = page.len() == limit;
        all.extend(page);
        if !full || all.len() > ALL {
            return Ok(Reply::Sessions(all));
        }
    }
}

/// All steps, of which a store may need more than another.
async fn adopt(at: &Opened, guest: &DeviceId, user: &UserId) -> Result<Reply, BackendError> {
    let mut moved = 0;
    for _ in 0..ALL {
        let step = at.store.adopt(guest, user).await?;
        moved += step.moved;
        if step.rest != AdoptionRest::More {
            return Ok(Reply::Adopted(Adopted { moved, ..step }));
        }
    }
    Ok(Reply::Failed("an adoption without an end".into()))
}

/// As the sweeper does it: while a step closes as many as it may, there may be more.
async fn close_orphans(at: &Opened, grace: Duration, max: usize) -> Result<Reply, BackendError> {
    let mut closed = 0;
    loop {
        let step = at.store.close_orphans(grace, max).await?.closed;
        closed += step;
        if step != max || closed > ALL {
            return Ok(if step > max { Reply::Failed(format!("closed {step}")) } else { Reply::Count(closed as u64) });
        }
    }
}

/// Answers how many wait after it.
async fn settle(at: &Opened, events: &[(SessionId, u64)], settled: &Settled) -> Result<Reply, BackendError> {
    let entries = at.outbox.claim(ALL, Duration::ZERO).await?;
    let chosen = entries.into_iter().filter(|entry| events.contains(&(entry.event.session, entry.event.seq)));
    let chosen: Vec<(EntryId, Settled)> = chosen.map(|entry| (entry.id, settled.clone())).collect();
    at.outbox.settle(&chosen).await?;
    at.outbox.settle(&chosen).await?;
    Ok(Reply::Count(at.outbox.backlog().await?.events))
}
