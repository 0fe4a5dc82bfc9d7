//! `close_orphans`: turns whose server died, and the removal of what has expired, a bounded piece at a time.

use super::row::Stored;
use super::{answer, delete, owners};
use crate::codec::{between, place, rows, span};
use crate::takes;
use crate::tx::Tx;
use chatcore::turn::Swept;
use rusqlite::params;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many sessions a call removes.
const SESSIONS: i64 = 250;
/// How many messages a call removes.
const MESSAGES: i64 = 2000;

/// Turns of sessions that have expired are gone with them, and must not take the room of others.
pub(super) const ORPHANS: &str = "SELECT t.session FROM turns t JOIN sessions s ON s.no = t.session
    WHERE t.lease_until <= ?1 AND s.expires_at > ?3 ORDER BY t.lease_until LIMIT ?2";
pub(super) const EXPIRED: &str = "SELECT no, owner, deleted, expires_at FROM sessions
    WHERE sweep_at <= ?1 LIMIT ?2";
pub(super) const FIRST_LEASE: &str = "SELECT min(lease_until) FROM turns";
pub(super) const FIRST_TO_SWEEP: &str = "SELECT min(sweep_at) FROM sessions";
const LOOK_LATER: &str = "UPDATE sessions SET sweep_at = ?2 WHERE no = ?1";
const FORGET_TEXT: &str = "DELETE FROM live WHERE session = ?1";
const REMOVE: &str = "DELETE FROM sessions WHERE no = ?1";
const END_TURN: &str = "DELETE FROM turns WHERE session = ?1";
const IN_TRASH: &str = "SELECT session FROM trash LIMIT 1";
pub(super) const EMPTY: &str =
    "DELETE FROM messages WHERE no IN (SELECT no FROM messages WHERE place > ?1 AND place < ?2 LIMIT ?3)";
const EMPTIED: &str = "DELETE FROM trash WHERE session = ?1";

pub(super) fn sweep(step: &Tx<'_>, grace: Duration, max: usize) -> rusqlite::Result<Swept> {
    let closed = close_orphans(step, grace, max)?;
    remove_expired(step)?;
    empty_trash(step)?;
    takes::sweep(step)?;
    Ok(Swept { closed, quiet: quiet(step)?, clocks: BTreeMap::from([(0, between(0, step.now))]) })
}

/// How long no lease is over and there is nothing to remove.
fn quiet(step: &Tx<'_>) -> rusqlite::Result<Option<Duration>> {
    if step.one(IN_TRASH, [], |_| Ok(()))?.is_some() {
        return Ok(Some(Duration::ZERO));
    }
    let first = |sql| step.one(sql, [], |row| row.get::<_, Option<i64>>(0)).map(Option::flatten);
    let next = first(FIRST_LEASE)?.into_iter().chain(first(FIRST_TO_SWEEP)?).min();
    Ok(next.map(|next| between(step.now, next)))
}

fn close_orphans(step: &Tx<'_>, grace: Duration, max: usize) -> rusqlite::Result<usize> {
    let over = step.now.saturating_sub(span(grace));
    let orphans: Vec<i64> = step.all(ORPHANS, params![over, rows(max), step.now], |row| row.get(0))?;
    let mut closed = 0;
    for no in orphans {
        if let Some(session) = Stored::by_number(step, no)? {
            answer::close(step, session)?;
            closed += 1;
        }
    }
    Ok(closed)
}

fn end_turn(step: &Tx<'_>, session: i64) -> rusqlite::Result<()> {
    step.run(FORGET_TEXT, params![session])?;
    step.run(END_TURN, params![session]).map(drop)
}

/// Their messages go to the trash: there may be many.
fn remove_expired(step: &Tx<'_>) -> rusqlite::Result<()> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?));
    let due: Vec<(i64, String, bool, i64)> = step.all(EXPIRED, params![step.now, SESSIONS], read)?;
    for (no, owner, deleted, expires_at) in due {
        if expires_at > step.now {
            // It was renewed since.
            step.run(LOOK_LATER, params![no, expires_at])?;
            continue;
        }
        end_turn(step, no)?;
        step.run(delete::THROW_AWAY, params![no])?;
        step.run(REMOVE, params![no])?;
        if !deleted {
            owners::remove(step, &owner, 1)?;
        }
    }
    Ok(())
}

fn empty_trash(step: &Tx<'_>) -> rusqlite::Result<()> {
    let mut room = MESSAGES;
    while room > 0 {
        let Some(session) = step.one(IN_TRASH, [], |row| row.get::<_, i64>(0))? else { return Ok(()) };
        let removed = rows(step.run(EMPTY, params![place(session, 0), place(session + 1, 0), room])?);
        if removed < room {
            step.run(EMPTIED, params![session])?;
        }
        // A session without messages costs something too.
        room -= removed.max(1);
    }
    Ok(())
}
