//! A session with its open turn, as the steps find it.

use super::Access;
use crate::codec::Columns;
use crate::tx::Tx;
use chatcore::error::AccessError;
use chatcore::id::{AttemptId, Fence, Key, MessageId, RequestId, SessionId};
use chatcore::owner::Owner;
use chatcore::turn::{NewTurn, Turn, TurnId};
use rusqlite::{Row, params};

/// A session that has not expired; it may be a tombstone.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Its number in the file.
    pub(super) no: i64,
    pub(super) id: SessionId,
    pub(super) owner: Owner,
    pub(super) deleted: bool,
    /// How many messages it has.
    pub(super) messages: u64,
    pub(super) fence: Fence,
    /// When the sweeper looks at it.
    pub(super) sweep_at: i64,
    pub(super) open: Option<Open>,
}

/// An open turn.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) message: MessageId,
    /// The question's place.
    pub(super) seq: u64,
    pub(super) attempt: AttemptId,
    pub(super) resumed: bool,
    pub(super) stop: bool,
    pub(super) lease_until: i64,
    /// Bytes of live text.
    pub(super) length: usize,
    pub(super) request_id: Option<RequestId>,
}

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT s.no, s.id, s.owner, s.deleted, s.asked, s.fence, s.expires_at, ",
            "t.message, t.seq, t.attempt, t.resumed, t.stop, t.lease_until, t.length, t.request_id, s.sweep_at ",
            "FROM sessions s LEFT JOIN turns t ON t.session = s.no WHERE ",
            $where
        )
    };
}

pub(super) const BY_ID: &str = select!("s.id = ?1");
pub(super) const BY_FIRST_KEY: &str = select!("s.opener = ?1 AND s.first_key = ?2");
pub(super) const BY_NUMBER: &str = select!("s.no = ?1");

impl Open {
    /// The turn that this call has opened.
    pub(super) fn of(new: &NewTurn, seq: u64, lease_until: i64) -> Self {
        let (message, attempt, request_id) = (new.message, new.attempt, new.request_id.clone());
        Self { message, seq, attempt, resumed: false, stop: false, lease_until, length: 0, request_id }
    }
}

impl Stored {
    /// The session that a step has opened, before its first question.
    pub(super) fn opened(no: i64, id: SessionId, owner: Owner, sweep_at: i64) -> Self {
        Self { no, id, owner, deleted: false, messages: 0, fence: Fence(0), sweep_at, open: None }
    }

    /// The session of this id, unless it has expired.
    pub(super) fn by_id(step: &Tx<'_>, id: &SessionId) -> rusqlite::Result<Option<Self>> {
        living(step, step.one(BY_ID, params![id.as_uuid()], read)?)
    }

    /// The session that this owner opened with this key, unless it has expired.
    pub(super) fn by_first_key(step: &Tx<'_>, opener: &Owner, key: &Key) -> rusqlite::Result<Option<Self>> {
        living(step, step.one(BY_FIRST_KEY, params![opener.to_string(), key.as_str()], read)?)
    }

    /// The session of this number, unless it has expired.
    pub(super) fn by_number(step: &Tx<'_>, no: i64) -> rusqlite::Result<Option<Self>> {
        living(step, step.one(BY_NUMBER, params![no], read)?)
    }

    /// The session of this id, if it is there for this owner.
    pub(super) fn of(step: &Tx<'_>, owner: &Owner, id: &SessionId) -> Access<Self> {
        Ok(match Self::by_id(step, id)? {
            Some(session) if session.deleted => Err(AccessError::NotFound),
            Some(session) if session.owner != *owner => Err(AccessError::NotYours),
            Some(session) => Ok(session),
            None => Err(AccessError::NotFound),
        })
    }

    /// The open turn, if this is it.
    pub(super) fn open_as(&self, message: &MessageId) -> Option<&Open> {
        self.open.as_ref().filter(|open| open.message == *message)
    }

    /// The right to write this turn, as it is now.
    pub(super) fn turn(&self, message: MessageId) -> Turn {
        Turn { id: TurnId { session: self.id, message }, fence: self.fence }
    }
}

fn living(step: &Tx<'_>, found: Option<(Stored, i64)>) -> rusqlite::Result<Option<Stored>> {
    Ok(found.filter(|(_, expires_at)| *expires_at > step.now).map(|(session, _)| session))
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Stored, i64)> {
    let open = match row.get::<_, Option<i64>>(8)? {
        Some(_) => Some(read_open(row)?),
        None => None,
    };
    let session = Stored {
        no: row.get(0)?,
        id: row.id(1)?,
        owner: row.parsed(2)?,
        deleted: row.get(3)?,
        messages: row.nat(4)? + u64::from(open.is_none()),
        fence: Fence(row.nat(5)?),
        sweep_at: row.get(15)?,
        open,
    };
    Ok((session, row.get(6)?))
}

fn read_open(row: &Row<'_>) -> rusqlite::Result<Open> {
    Ok(Open {
        message: row.id(7)?,
        seq: row.nat(8)?,
        attempt: row.id(9)?,
        resumed: row.get(10)?,
        stop: row.get(11)?,
        lease_until: row.get(12)?,
        length: row.length(13)?,
        // One that is not valid is of no use to anybody.
        request_id: row.get::<_, Option<String>>(14)?.and_then(|id| RequestId::parse(id).ok()),
    })
}
