//! Looks: one session, a page of sessions, a page of messages.

use super::Access;
use super::row::Stored;
use crate::codec::{self, Columns, PLACES, message_columns, place, rows};
use crate::tx::Tx;
use chatcore::error::AccessError;
use chatcore::id::{Fence, SessionId};
use chatcore::message::{Message, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::session::{Session, SessionsPage};
use chatcore::stamp::micros;
use rusqlite::{Row, params};
use uuid::Uuid;

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT s.id, s.created_at, s.last_activity, s.asked, t.message ",
            "FROM sessions s LEFT JOIN turns t ON t.session = s.no WHERE ",
            $where
        )
    };
}

const ONE: &str = select!("s.no = ?1");
pub(super) const FIRST_PAGE: &str = select!(
    "s.owner = ?1 AND s.deleted = 0 AND s.expires_at > ?2
     ORDER BY s.last_activity DESC, s.id DESC LIMIT ?3"
);
pub(super) const NEXT_PAGE: &str = select!(
    "s.owner = ?1 AND s.deleted = 0 AND s.expires_at > ?2 AND (s.last_activity, s.id) < (?4, ?5)
     ORDER BY s.last_activity DESC, s.id DESC LIMIT ?3"
);
pub(super) const MESSAGE: &str =
    concat!("SELECT ", message_columns!(), ", coalesce(fence, 0) FROM messages WHERE place = ?1");
pub(super) const MESSAGES: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM messages WHERE place > ?1 AND place < ?2 ORDER BY place DESC LIMIT ?3"
);

pub(super) const NEWER: &str =
    concat!("SELECT ", message_columns!(), " FROM messages WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3");

/// One session.
pub(super) fn session(step: &Tx<'_>, owner: &Owner, id: &SessionId) -> Access<Session> {
    let stored = match Stored::of(step, owner, id)? {
        Ok(stored) => stored,
        Err(denied) => return Ok(Err(denied)),
    };
    let found = step.one(ONE, params![stored.no], |row| read(row, owner))?;
    Ok(found.ok_or(AccessError::NotFound))
}

/// A page of an owner's sessions.
pub(super) fn sessions(step: &Tx<'_>, owner: &Owner, page: &SessionsPage) -> rusqlite::Result<Vec<Session>> {
    let (key, limit) = (owner.to_string(), rows(page.limit));
    match &page.after {
        None => step.all(FIRST_PAGE, params![key, step.now, limit], |row| read(row, owner)),
        Some(last) => {
            let (at, id) = (micros(last.last_activity), last.session.as_uuid());
            step.all(NEXT_PAGE, params![key, step.now, limit, at, id], |row| read(row, owner))
        }
    }
}

fn read(row: &Row<'_>, owner: &Owner) -> rusqlite::Result<Session> {
    let open: Option<Uuid> = row.get(4)?;
    Ok(Session {
        id: row.id(0)?,
        owner: owner.clone(),
        created_at: row.time(1)?,
        last_activity: row.time(2)?,
        message_count: row.nat(3)? + u64::from(open.is_none()),
        open: open.map(Into::into),
    })
}

/// A page of a session's history.
pub(super) fn messages(step: &Tx<'_>, owner: &Owner, id: &SessionId, asked: &MessagesPage) -> Access<Vec<Message>> {
    match Stored::of(step, owner, id)? {
        Ok(session) => page(step, session.no, asked).map(Ok),
        Err(denied) => Ok(Err(denied)),
    }
}

/// The newest messages before a place, oldest first.
pub(super) fn page(step: &Tx<'_>, session: i64, page: &MessagesPage) -> rusqlite::Result<Vec<Message>> {
    // No message has the place 0, nor the last one.
    let (start, before) = (place(session, 0), place(session, page.before.unwrap_or(PLACES)));
    let mut messages = step.all(MESSAGES, params![start, before, rows(page.limit)], codec::message)?;
    messages.reverse();
    Ok(messages)
}

/// Whether somebody waits for this.
pub(super) fn is_news(looked: &Result<Vec<Message>, AccessError>) -> bool {
    looked.as_ref().map_or(true, |messages| !messages.is_empty())
}

/// The oldest messages behind a place, oldest first.
pub(super) fn newer(step: &Tx<'_>, owner: &Owner, id: &SessionId, page: &NewerPage) -> Access<Vec<Message>> {
    let session = match Stored::of(step, owner, id)? {
        Ok(session) => session,
        Err(denied) => return Ok(Err(denied)),
    };
    let (after, end) = (place(session.no, page.after), place(session.no, PLACES));
    step.all(NEWER, params![after, end, rows(page.limit)], codec::message).map(Ok)
}

/// One message, with the fence whose text it continues.
pub(super) fn message(step: &Tx<'_>, session: i64, seq: u64) -> rusqlite::Result<Option<(Message, Fence)>> {
    step.one(MESSAGE, params![place(session, seq)], |row| Ok((codec::message(row)?, Fence(row.nat(8)?))))
}
