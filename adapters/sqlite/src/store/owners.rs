//! How many sessions an owner has: counted as they come and go, so that a new one costs the same however many there are.

use crate::codec::{int, rows};
use crate::tx::Tx;
use chatcore::owner::Owner;
use rusqlite::params;

const COUNT: &str = "SELECT sessions FROM owners WHERE owner = ?1";
const CHANGE: &str = "INSERT INTO owners (owner, sessions) VALUES (?1, ?2)
    ON CONFLICT (owner) DO UPDATE SET sessions = sessions + ?2";
const FORGET: &str = "DELETE FROM owners WHERE owner = ?1 AND sessions <= 0";
pub(super) const EXPIRED: &str = "SELECT count(*) FROM sessions
    WHERE sweep_at <= ?1 AND expires_at <= ?1 AND owner = ?2 AND deleted = 0";

/// Whether the owner may have one more. Expired sessions that are not yet swept do not count.
pub(super) fn has_room(step: &Tx<'_>, owner: &Owner) -> rusqlite::Result<bool> {
    let (key, limit) = (owner.to_string(), int(step.limits.owner_sessions));
    let count: i64 = step.one(COUNT, params![key], |row| row.get(0))?.unwrap_or(0);
    if count < limit {
        return Ok(true);
    }
    let expired: i64 = step.one(EXPIRED, params![step.now, key], |row| row.get(0))?.unwrap_or(0);
    Ok(count - expired < limit)
}

/// The owner has one more.
pub(super) fn add(step: &Tx<'_>, owner: &Owner) -> rusqlite::Result<()> {
    step.run(CHANGE, params![owner.to_string(), 1]).map(drop)
}

/// The owner has so many fewer.
pub(super) fn remove(step: &Tx<'_>, owner: &str, sessions: usize) -> rusqlite::Result<()> {
    step.run(CHANGE, params![owner, -rows(sessions)])?;
    step.run(FORGET, params![owner]).map(drop)
}
