//! What only looks. Nothing is thrown away here, so whatever has expired is passed over.

use super::super::plant::Plant;
use super::Tables;
use super::session::{Row, Session};
use chatcore::error::AccessError;
use chatcore::id::{Fence, SessionId};
use chatcore::message::{Message, MessagesPage, NewerPage, Role};
use chatcore::owner::Owner;
use chatcore::session::{Session as Shown, SessionsPage};
use chatcore::stamp::micros;
use chatcore::turn::{Cursor, Followed, Position};
use std::ops::Bound;
use std::time::Duration;

/// A session as it stands in the store, for those who test.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Dump {
    /// Which session.
    pub session: SessionId,
    /// Whose it is.
    pub owner: Owner,
    /// Its history; `None` where only the tombstone of a deleted one is left.
    pub messages: Option<Vec<Message>>,
    /// The fence of the attempt that wrote each answer, in order.
    pub fences: Vec<Fence>,
    /// Whether a turn is open.
    pub open: bool,
}

impl Tables {
    /// What comes after the cursor; empty while there is nothing.
    pub(in crate::memory) fn follow(
        &self,
        owner: &Owner,
        cursor: &Cursor,
        now: Duration,
    ) -> Result<Followed, AccessError> {
        let (turn, from) = (cursor.turn.message, cursor.from);
        let session = self.owned(owner, &cursor.turn.session, now)?;
        let seq = *session.turns.get(&turn).ok_or(AccessError::NotFound)?;
        if let Some(open) = session.open.as_ref().filter(|open| open.message == turn) {
            // Its server shows text before it keeps it, so a reader may be ahead of a turn that runs.
            return Ok(after(seq, from, session.fence, &open.text, true));
        }
        let Row { message, continues, .. } = session.answer_of(turn).ok_or(AccessError::NotFound)?;
        let ahead = self.plant.is(Plant::FollowBelievesOffset);
        let followed = after(seq, from, *continues, &message.content, ahead);
        Ok(Followed { end: Some(Box::new(message.clone())), ..followed })
    }

    pub(in crate::memory) fn session(
        &self,
        owner: &Owner,
        id: &SessionId,
        now: Duration,
    ) -> Result<Shown, AccessError> {
        self.owned(owner, id, now).map(|session| session.shown(*id))
    }

    /// A page of an owner's sessions, newest activity first.
    pub(in crate::memory) fn list_sessions(&self, owner: &Owner, page: &SessionsPage, now: Duration) -> Vec<Shown> {
        let Some(holdings) = self.owners.get(owner) else { return Vec::new() };
        let end = match page.after {
            Some(after) => Bound::Excluded((micros(after.last_activity), after.session)),
            None => Bound::Unbounded,
        };
        let listed = holdings.living.range((Bound::Unbounded, end)).rev();
        let sessions = listed.filter_map(|(_, id)| self.owned(owner, id, now).ok().map(|session| session.shown(*id)));
        sessions.take(page.limit).collect()
    }

    /// The newest messages before a place, oldest first.
    pub(in crate::memory) fn messages(
        &self,
        owner: &Owner,
        id: &SessionId,
        page: &MessagesPage,
        now: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        let rows = &self.owned(owner, id, now)?.rows;
        let before =
            page.before.map_or(rows.len(), |before| usize::try_from(before.saturating_sub(1)).unwrap_or(usize::MAX));
        let end = before.min(rows.len());
        Ok(rows[end.saturating_sub(page.limit)..end].iter().map(|row| row.message.clone()).collect())
    }

    /// The oldest messages behind a place, oldest first.
    pub(in crate::memory) fn newer(
        &self,
        owner: &Owner,
        id: &SessionId,
        page: &NewerPage,
        now: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        let rows = &self.owned(owner, id, now)?.rows;
        let answers_only = self.plant.is(Plant::NewerForgetsQuestions);
        let newer = rows.iter().map(|row| &row.message).skip(usize::try_from(page.after).unwrap_or(usize::MAX));
        let newer = newer.filter(|message| !answers_only || message.role == Role::Assistant);
        Ok(newer.take(page.limit).cloned().collect())
    }

    pub(in crate::memory) fn dump(&self) -> Vec<Dump> {
        let dump = |(id, session): (&SessionId, &Session)| Dump {
            session: *id,
            owner: session.owner.clone(),
            messages: (!session.deleted).then(|| session.rows.iter().map(|row| row.message.clone()).collect()),
            fences: session
                .rows
                .iter()
                .filter(|row| row.message.role == Role::Assistant)
                .map(|row| row.fence)
                .collect(),
            open: session.open.is_some(),
        };
        self.sessions.iter().map(dump).collect()
    }
}

impl Session {
    fn shown(&self, id: SessionId) -> Shown {
        Shown {
            id,
            owner: self.owner.clone(),
            created_at: self.created_at,
            last_activity: self.last_activity,
            message_count: self.rows.len() as u64,
            open: self.open.as_ref().map(|open| open.message),
        }
    }
}

/// The text after a position. One of another attempt, beyond the text or inside a character is nobody's: there the text
/// begins anew, unless the reader may be `ahead` of it.
fn after(seq: u64, from: Position, fence: Fence, text: &str, ahead: bool) -> Followed {
    let followed = |restarted, text: &str, to| Followed { seq, restarted, text: text.to_owned(), to, end: None };
    let end = Position { fence, offset: text.len() };
    match text.get(from.offset..).filter(|_| from.fence == fence) {
        Some(rest) => followed(false, rest, end),
        None if ahead && from.fence == fence && from.offset > text.len() => followed(false, "", from),
        None => followed(from != Position::default(), text, end),
    }
}
