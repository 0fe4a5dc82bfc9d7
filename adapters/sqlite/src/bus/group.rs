//! The steps of a group: who gets what next, and what is worked off.
//!
//! A group has looked at the log up to its frontier. Of what it has seen it keeps only what is not worked off: for each
//! session a lane with the event that comes next, and the events behind it. So a delivery costs the same however long the
//! log is and however far one slow session lies behind.

use super::held::Held;
use crate::codec::{Columns, span};
use crate::letters;
use crate::log::{self, Record};
use crate::tx::Tx;
use crate::wake::Topics;
use chatcore::port::Acked;
use rusqlite::params;
use std::time::Duration;
use uuid::Uuid;

/// How many events of the log a step looks at.
const WINDOW: usize = 64;

const JOIN: &str = "INSERT INTO groups (name, frontier) SELECT ?1, coalesce(min(no), 1) - 1 FROM events WHERE true
    ON CONFLICT (name) DO NOTHING";
const GROUP: &str = "SELECT no FROM groups WHERE name = ?1";
pub(super) const FREE_LANE: &str =
    "SELECT session, head, attempt FROM lanes WHERE grp = ?1 AND member IS NULL ORDER BY head LIMIT 1";
const EVENT: &str = "SELECT session, at, json, request_id FROM events WHERE no = ?1";
const HOLD: &str = "UPDATE lanes SET member = ?3, attempt = attempt + 1 WHERE grp = ?1 AND session = ?2";
pub(super) const HELD: &str = "SELECT 1 FROM lanes
    WHERE grp = ?1 AND session = ?2 AND head = ?3 AND attempt = ?4 AND member = ?5";
pub(super) const NEXT: &str = "SELECT min(event) FROM behind WHERE grp = ?1 AND session = ?2";
const SHIFT: &str = "DELETE FROM behind WHERE grp = ?1 AND session = ?2 AND event = ?3";
const TURN_TO: &str = "UPDATE lanes SET head = ?3, attempt = 0, member = NULL WHERE grp = ?1 AND session = ?2";
const END_LANE: &str = "DELETE FROM lanes WHERE grp = ?1 AND session = ?2";
const STATE: &str = "SELECT frontier, name FROM groups WHERE no = ?1";
pub(super) const AHEAD: &str = "SELECT no, session, only_group FROM events WHERE no > ?1 ORDER BY no LIMIT 1";
const LANE: &str = "SELECT 1 FROM lanes WHERE grp = ?1 AND session = ?2";
const OPEN_LANE: &str = "INSERT INTO lanes (grp, session, head, attempt, member) VALUES (?1, ?2, ?3, 1, ?4)";
const QUEUE: &str = "INSERT INTO behind (grp, session, event) VALUES (?1, ?2, ?3)";
const ADVANCE: &str = "UPDATE groups SET frontier = ?2 WHERE no = ?1";
const BOUNDS: &str = "SELECT coalesce(min(no), 1), coalesce(max(no), 0) FROM events";
const SEEN: &str = "SELECT (SELECT count(*) FROM lanes WHERE grp = ?1 AND head >= ?2)
    + (SELECT count(*) FROM behind WHERE grp = ?1 AND event >= ?2)";
const NOT_OURS: &str = "SELECT count(*) FROM events WHERE only_group IS NOT NULL AND only_group <> ?1 AND no > ?2";

/// A member of a group, by their numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) group: i64,
    pub(super) member: Uuid,
}

/// What a step has found.
#[derive(Debug)]
pub(super) enum Found {
    /// Something to deliver; it is the member's from now on.
    Delivery(Held),
    /// Nothing yet, but there is more to look at.
    More,
    /// Nothing.
    Nothing,
}

/// What a step has taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) found: Found,
    /// How many events the log had dropped, as the step saw, before the group had worked them off.
    pub(super) dropped: u64,
}

/// The group of this name; a new one starts at the oldest event.
pub(super) fn join(step: &Tx<'_>, name: &str) -> rusqlite::Result<i64> {
    step.run(JOIN, params![name])?;
    step.one(GROUP, params![name], |row| row.get(0))?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The next delivery for a member: of a session that waits for somebody, or else of one that has no lane yet.
pub(super) fn take(step: &Tx<'_>, seat: Seat, lease: Duration) -> rusqlite::Result<Taken> {
    super::members::bury_dead(step, seat)?;
    let mut dropped = 0;
    let found = match take_free(step, seat, &mut dropped)? {
        Some(held) => Found::Delivery(held),
        None => take_ahead(step, seat, &mut dropped)?,
    };
    if matches!(found, Found::Delivery(_)) {
        super::members::alive(step, seat, span(lease))?;
    }
    Ok(Taken { found, dropped })
}

fn take_free(step: &Tx<'_>, seat: Seat, dropped: &mut u64) -> rusqlite::Result<Option<Held>> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    while let Some((session, event, attempt)) = step.one(FREE_LANE, params![seat.group], read)? {
        let (session, attempt): (Uuid, u32) = (session, attempt);
        if let Some(record) = step.one(EVENT, params![event], |row| Record::read(row, 0))? {
            step.run(HOLD, params![seat.group, session, seat.member])?;
            return Ok(Some(Held { event, attempt: attempt.saturating_add(1), record }));
        }
        // The log has dropped it.
        *dropped += 1;
        move_on(step, seat.group, &session)?;
    }
    Ok(None)
}

/// Looks further into the log. What belongs to a session with a lane waits behind it.
fn take_ahead(step: &Tx<'_>, seat: Seat, dropped: &mut u64) -> rusqlite::Result<Found> {
    let read_state = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let Some((start, name)) = step.one(STATE, params![seat.group], read_state)? else { return Ok(Found::Nothing) };
    let (start, name): (i64, String) = (start, name);
    let (mut frontier, mut found) = (start, Found::More);
    for _ in 0..WINDOW {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?));
        let Some((event, session, only)) = step.one(AHEAD, params![frontier], read)? else {
            found = Found::Nothing;
            break;
        };
        if event > frontier + 1 {
            // Numbers have no gaps: the log has removed those between.
            let gone = u64::try_from(event - frontier - 1).unwrap_or(0);
            // Not those that a relay was done with, while it was a queue.
            *dropped += gone.min(log::dropped(step)?);
        }
        frontier = event;
        if only.is_some_and(|only| only != name) {
            continue;
        }
        if let Some(held) = open_lane(step, seat, session, event)? {
            found = Found::Delivery(held);
            break;
        }
    }
    if frontier != start {
        step.run(ADVANCE, params![seat.group, frontier])?;
    }
    Ok(found)
}

/// Holds an event, unless another of its session comes before it: then it waits.
fn open_lane(step: &Tx<'_>, seat: Seat, session: Uuid, event: i64) -> rusqlite::Result<Option<Held>> {
    if step.one(LANE, params![seat.group, session], |_| Ok(()))?.is_some() {
        step.run(QUEUE, params![seat.group, session, event])?;
        return Ok(None);
    }
    step.run(OPEN_LANE, params![seat.group, session, event, seat.member])?;
    let record = step.one(EVENT, params![event], |row| Record::read(row, 0))?;
    Ok(record.map(|record| Held { event, attempt: 1, record }))
}

/// A delivery was worked off, or never will be: then with the reason.
pub(super) fn done(
    step: &Tx<'_>,
    seat: Seat,
    (event, attempt, session): (i64, u32, Uuid),
    parked: Option<&str>,
) -> rusqlite::Result<Acked> {
    let held = params![seat.group, session, event, attempt, seat.member];
    if step.one(HELD, held, |_| Ok(()))?.is_none() {
        return Ok(Acked::Revoked);
    }
    if let Some(reason) = parked {
        // What the log has dropped meanwhile was counted there.
        let state = step.one(STATE, params![seat.group], |row| row.get::<_, String>(1))?;
        let record = step.one(EVENT, params![event], |row| Record::read(row, 0))?;
        if let (Some(name), Some(record)) = (state, record) {
            letters::add(step, &name, &record, reason)?;
        }
    }
    move_on(step, seat.group, &session)?;
    step.tell(Topics::LOG);
    Ok(Acked::Done)
}

/// A session's next event comes to the head of its lane; the lane ends with its last.
fn move_on(step: &Tx<'_>, group: i64, session: &Uuid) -> rusqlite::Result<()> {
    match step.one(NEXT, params![group, session], |row| row.get::<_, Option<i64>>(0))?.flatten() {
        Some(event) => {
            step.run(SHIFT, params![group, session, event])?;
            step.run(TURN_TO, params![group, session, event])?;
        }
        None => drop(step.run(END_LANE, params![group, session])?),
    }
    Ok(())
}

/// How many events of the log are not worked off.
pub(super) fn lag(step: &Tx<'_>, group: i64) -> rusqlite::Result<u64> {
    let read_state = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let Some((frontier, name)) = step.one(STATE, params![group], read_state)? else { return Ok(0) };
    let (frontier, name): (i64, String) = (frontier, name);
    let (oldest, newest): (i64, i64) = step.one(BOUNDS, [], |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or((1, 0));
    let seen = step.one(SEEN, params![group, oldest], |row| row.nat(0))?.unwrap_or(0);
    let not_ours = step.one(NOT_OURS, params![name, frontier], |row| row.nat(0))?.unwrap_or(0);
    let ahead = newest.saturating_sub(frontier.max(oldest - 1));
    Ok((seen + u64::try_from(ahead).unwrap_or(0)).saturating_sub(not_ours))
}
