//! The log of events: appended to in the step of each message, kept within its limit.

use crate::codec::int;
use crate::tx::Tx;
use crate::wake::Topics;
use crate::{Sqlite, codec::Columns};
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

const APPEND: &str = "INSERT INTO events (session, at, json, request_id, only_group, settled)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const DROP: &str =
    "DELETE FROM events WHERE no IN (SELECT no FROM events WHERE no <= ?1 ORDER BY no LIMIT ?2) RETURNING settled";
const CHANGE: &str = "UPDATE log SET unsettled = unsettled + ?1, dropped = dropped + ?2 WHERE one = 1";
pub(crate) const UNSETTLED: &str = "SELECT unsettled FROM log WHERE one = 1";
const DROPPED: &str = "SELECT dropped FROM log WHERE one = 1";

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
    let (dropped, unsettled) = drop_oldest(step, no)?;
    let added = i64::from(!settled);
    if (added, dropped) != (0, 0) {
        step.run(CHANGE, params![added - unsettled, dropped])?;
    }
    Ok(())
}

/// Makes room, where the log may drop what is old: how many were dropped, and how many of those the relay had not settled.
/// Numbers have no gaps in such a log, so its size needs no count.
fn drop_oldest(step: &Tx<'_>, newest: i64) -> rusqlite::Result<(i64, i64)> {
    let last = newest.saturating_sub(int(step.limits.outbox_events));
    if step.limits.outbox_full != OutboxFull::DropOldest || last <= 0 {
        return Ok((0, 0));
    }
    let settled: Vec<bool> = step.all(DROP, params![last, DROPPED_AT_ONCE], |row| row.get(0))?;
    let unsettled = settled.iter().filter(|settled| !**settled).count();
    Ok((settled.len() as i64, unsettled as i64))
}

/// So many events are settled from now on.
pub(crate) fn settled(step: &Tx<'_>, events: i64) -> rusqlite::Result<()> {
    step.run(CHANGE, params![-events, 0]).map(drop)
}

/// Whether a question has to be refused, since its events would not fit.
pub(crate) fn is_full(step: &Tx<'_>) -> rusqlite::Result<bool> {
    if step.limits.outbox_full != OutboxFull::Refuse {
        return Ok(false);
    }
    Ok(step.one(UNSETTLED, [], |row| row.nat(0))?.unwrap_or(0) >= step.limits.outbox_events)
}

impl Sqlite {
    /// How many events were dropped from the log to make room, since the file was made. For a program's metrics.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn dropped(&self) -> Result<u64, BackendError> {
        self.read(|step| Ok(step.one(DROPPED, [], |row| row.nat(0))?.unwrap_or(0))).await
    }
}
