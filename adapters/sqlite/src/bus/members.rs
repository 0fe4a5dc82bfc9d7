//! Who works in a group: a member is alive for a while after each sign of life, and what a dead one held is free.

use super::group::Seat;
use super::held::Name;
use crate::codec::span;
use crate::tx::Tx;
use crate::wake::Topics;
use rusqlite::params;
use std::time::Duration;
use uuid::Uuid;

pub(super) const DEAD: &str = "SELECT id FROM members WHERE grp = ?1 AND alive_until <= ?2 AND id <> ?3";
pub(super) const FREE_ALL: &str = "UPDATE lanes SET member = NULL WHERE member = ?1";
const LEAVE: &str = "DELETE FROM members WHERE id = ?1";
const ALIVE: &str = "INSERT INTO members (id, grp, alive_until) VALUES (?1, ?2, ?3)
    ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until";
pub(super) const STILL_ALIVE: &str = "UPDATE members SET alive_until = ?2
    WHERE id = ?1 AND EXISTS (SELECT 1 FROM lanes WHERE member = ?1)";
const GIVE_BACK: &str = "UPDATE lanes SET member = NULL, attempt = attempt - 1
    WHERE grp = ?1 AND session = ?2 AND head = ?3 AND attempt = ?4 AND member = ?5";

/// A sign of life, with a delivery.
pub(super) fn alive(step: &Tx<'_>, seat: Seat, lease: i64) -> rusqlite::Result<()> {
    step.run(ALIVE, params![seat.member, seat.group, step.now.saturating_add(lease)]).map(drop)
}

/// A sign of life from time to time, while the member holds anything. What it took and nobody saw
/// is free again, and was not delivered.
pub(super) fn beat(step: &Tx<'_>, seat: Seat, lease: Duration, unwanted: &[Name]) -> rusqlite::Result<()> {
    for (event, attempt, session) in unwanted {
        step.run(GIVE_BACK, params![seat.group, session, event, attempt, seat.member])?;
        step.tell(Topics::LOG);
    }
    step.run(STILL_ALIVE, params![seat.member, step.now.saturating_add(span(lease))]).map(drop)
}

/// Others get what the dead ones held. Who asks is alive.
pub(super) fn bury_dead(step: &Tx<'_>, seat: Seat) -> rusqlite::Result<()> {
    let dead: Vec<Uuid> = step.all(DEAD, params![seat.group, step.now, seat.member], |row| row.get(0))?;
    dead.iter().try_for_each(|member| leave(step, member))
}

/// A member is no more; what it held is free.
pub(super) fn leave(step: &Tx<'_>, member: &Uuid) -> rusqlite::Result<()> {
    step.run(FREE_ALL, params![member])?;
    step.run(LEAVE, params![member])?;
    step.tell(Topics::LOG);
    Ok(())
}
