//! The log of events: appended to in the step of each message, kept within its limit.

use crate::Sqlite;
use crate::codec::{int, rows};
use crate::tx::Tx;
use crate::wake::Topics;
use chatcore::error::BackendError;
use chatcore::event::{Event, Malformed};
use chatcore::id::RequestId;
use chatcore::policy::OutboxFull;
use chatcore::stamp::micros;
use rusqlite::{Row, params};
use uuid::Uuid;

/// The name under which the relay's dead letters stand.
pub(crate) const RELAY: &str = "relay";

/// How many events a step drops at most: one more than it writes would do, unless the limit was lowered.
const DROPPED_AT_ONCE: i64 = 16;
/// How many events a step trims at most.
const TRIMMED_AT_ONCE: i64 = 2000;

const APPEND: &str = "INSERT INTO events (session, at, json, request_id, only_group, settled)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const DROP: &str =
    "DELETE FROM events WHERE no IN (SELECT no FROM events WHERE no <= ?1 ORDER BY no LIMIT ?2)
    RETURNING settled = 1 AND no > (SELECT settled_to FROM log WHERE one = 1)";
const AHEAD: &str = "UPDATE log SET ahead = ahead + ?1 WHERE one = 1";
pub(crate) const BOUNDS: &str = "SELECT settled_to, ahead, (SELECT coalesce(min(no), 1) FROM events),
    (SELECT coalesce(max(no), 0) FROM events), trimmed FROM log WHERE one = 1";
pub(crate) const UNSETTLED: &str = "SELECT no FROM events WHERE no > ?1 AND settled = 0 ORDER BY no LIMIT 1";
pub(crate) const TRIM: &str =
    "DELETE FROM events WHERE no IN (SELECT no FROM events WHERE no <= ?1 ORDER BY no LIMIT ?2)";
const MOVE: &str = "UPDATE log SET settled_to = ?1, ahead = ahead + ?2, trimmed = trimmed + ?3 WHERE one = 1";

/// A record as it stands in the log.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) session: Uuid,
    pub(crate) at: i64,
    pub(crate) json: Vec<u8>,
    pub(crate) request_id: Option<String>,
}

impl Record {
    /// Reads the columns `session, at, json, request_id` from this one on.
    pub(crate) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let (session, at) = (row.get(first)?, row.get(first + 1)?);
        Ok(Self { session, at, json: row.get(first + 2)?, request_id: row.get(first + 3)? })
    }

    /// What it says.
    pub(crate) fn event(&self) -> Result<Event, Malformed> {
        let request_id = self.request_id.clone().and_then(|id| RequestId::parse(id).ok());
        Event::from_json(&self.json, request_id)
    }
}

/// Writes an event for all.
pub(crate) fn append(step: &Tx<'_>, event: &Event) -> rusqlite::Result<()> {
    let (session, at, json) = (event.session.as_uuid(), micros(event.at), event.to_json().into_bytes());
    let request_id = event.request_id.as_ref().map(|id| id.as_str().to_owned());
    step.tell(Topics::session(&event.session));
    add(step, &Record { session, at, json, request_id }, None)
}

/// Writes a record once more, for one group alone.
pub(crate) fn append_for(step: &Tx<'_>, group: &str, record: &Record) -> rusqlite::Result<()> {
    add(step, record, Some(group))
}

fn add(step: &Tx<'_>, record: &Record, only_group: Option<&str>) -> rusqlite::Result<()> {
    let settled = only_group.is_some_and(|group| group != RELAY);
    let Record { session, at, json, request_id } = record;
    let no = step.add(APPEND, params![session, at, json, request_id, only_group, settled])?;
    step.tell(Topics::LOG);
    if settled {
        step.run(AHEAD, params![1])?;
    }
    drop_oldest(step, no)
}

/// Makes room, where the log may drop what is old.
fn drop_oldest(step: &Tx<'_>, newest: i64) -> rusqlite::Result<()> {
    let last = newest.saturating_sub(int(step.limits.outbox_events.max(1)));
    if step.limits.outbox_full != OutboxFull::DropOldest || last <= 0 {
        return Ok(());
    }
    let ahead: Vec<bool> = step.all(DROP, params![last, DROPPED_AT_ONCE], |row| row.get(0))?;
    match ahead.iter().filter(|ahead| **ahead).count() {
        0 => Ok(()),
        some => step.run(AHEAD, params![-rows(some)]).map(drop),
    }
}

/// What the log holds.
struct Bounds {
    /// The relay is done with all up to here, or they were dropped.
    settled_to: i64,
    /// How many behind that it is done with too.
    ahead: i64,
    oldest: i64,
    newest: i64,
    trimmed: i64,
}

impl Bounds {
    fn read(step: &Tx<'_>) -> rusqlite::Result<Self> {
        let read = |row: &Row<'_>| {
            let (ahead, oldest, newest, trimmed) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(Self { settled_to: row.get::<_, i64>(0)?.max(oldest - 1), ahead, oldest, newest, trimmed })
        };
        step.one(BOUNDS, [], read)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn unsettled(&self) -> u64 {
        u64::try_from(self.newest - self.settled_to - self.ahead).unwrap_or(0)
    }

    fn dropped(&self) -> u64 {
        u64::try_from(self.oldest - 1 - self.trimmed).unwrap_or(0)
    }
}

/// So many more events are settled. A queue is trimmed; a log keeps what its groups have still to read.
pub(crate) fn settled(step: &Tx<'_>, events: i64) -> rusqlite::Result<()> {
    let bounds = Bounds::read(step)?;
    let next: Option<i64> = step.one(UNSETTLED, params![bounds.settled_to], |row| row.get(0))?;
    let to = next.map_or(bounds.newest, |next| next - 1);
    let trimmed = match step.limits.outbox_full {
        OutboxFull::Refuse => step.run(TRIM, params![to.min(bounds.newest - 1), TRIMMED_AT_ONCE])?,
        _ => 0,
    };
    step.run(MOVE, params![to, events - (to - bounds.settled_to), rows(trimmed)]).map(drop)
}

/// How many events the relay is not done with.
pub(crate) fn unsettled(step: &Tx<'_>) -> rusqlite::Result<u64> {
    Bounds::read(step).map(|bounds| bounds.unsettled())
}

/// How many events were dropped to make room, since the file was made.
pub(crate) fn dropped(step: &Tx<'_>) -> rusqlite::Result<u64> {
    Bounds::read(step).map(|bounds| bounds.dropped())
}

/// Whether a question has to be refused, since its events would not fit.
pub(crate) fn is_full(step: &Tx<'_>) -> rusqlite::Result<bool> {
    Ok(step.limits.outbox_full == OutboxFull::Refuse && unsettled(step)? >= step.limits.outbox_events)
}

impl Sqlite {
    /// How many events were dropped from the log to make room, since the file was made. For a program's metrics.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn dropped(&self) -> Result<u64, BackendError> {
        self.read(dropped).await
    }
}
