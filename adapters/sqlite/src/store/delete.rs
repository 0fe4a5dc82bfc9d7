//! Sessions that end or change hands: `delete` and `adopt`.

use super::row::Stored;
use super::{Access, extend, owners};
use crate::log;
use crate::tx::Tx;
use crate::wake::Topics;
use chatcore::error::AccessError;
use chatcore::event::{Event, EventBody};
use chatcore::id::{RequestId, SessionId};
use chatcore::owner::Owner;
use chatcore::session::{Adopted, AdoptionRest};
use chatcore::stamp::from_micros;
use rusqlite::params;
use uuid::Uuid;

/// How many sessions one step of an adoption moves.
const ADOPTED_AT_ONCE: usize = 100;

const BURY: &str = "UPDATE sessions SET deleted = 1 WHERE no = ?1";
const END_TURN: &str = "DELETE FROM turns WHERE session = ?1";
pub(super) const THROW_AWAY: &str = "INSERT OR IGNORE INTO trash (session) VALUES (?1)";
pub(super) const OF_GUEST: &str = "SELECT no, id FROM sessions
    WHERE owner = ?1 AND deleted = 0 AND expires_at > ?2 ORDER BY last_activity DESC, id DESC LIMIT ?3";
const MOVE: &str = "UPDATE sessions SET owner = ?2 WHERE no = ?1";

/// Ends a session. A tombstone stays until its time is over, so that nothing opens it again.
pub(super) fn delete(step: &Tx<'_>, owner: &Owner, id: &SessionId, request_id: Option<RequestId>) -> Access<()> {
    let session = match Stored::by_id(step, id)? {
        Some(session) if session.deleted && session.owner == *owner => return Ok(Ok(())),
        Some(session) if session.deleted => return Ok(Err(AccessError::NotFound)),
        Some(session) if session.owner != *owner => return Ok(Err(AccessError::NotYours)),
        Some(session) => session,
        None => return Ok(Err(AccessError::NotFound)),
    };
    step.run(BURY, params![session.no])?;
    if let Some(open) = &session.open {
        extend::forget_text(step, session.no, open)?;
        step.run(END_TURN, params![session.no])?;
    }
    step.run(THROW_AWAY, params![session.no])?;
    owners::remove(step, &owner.to_string(), 1)?;
    let (owner, seq, at) = (owner.clone(), session.messages + 1, from_micros(step.now));
    let event = Event { session: *id, owner, seq, at, request_id, body: EventBody::SessionDeleted };
    log::append(step, &event).map(Ok)
}

/// Makes some of a guest's sessions a user's. A turn that runs goes on: its right is the fence, not the owner.
pub(super) fn adopt(step: &Tx<'_>, guest: &Owner, user: &Owner) -> rusqlite::Result<Adopted> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Uuid>(1)?));
    let some = (ADOPTED_AT_ONCE + 1) as i64;
    let sessions = step.all(OF_GUEST, params![guest.to_string(), step.now, some], read)?;
    let mut rest = if sessions.len() > ADOPTED_AT_ONCE { AdoptionRest::More } else { AdoptionRest::Nothing };
    let mut moved = 0;
    for (no, id) in sessions.into_iter().take(ADOPTED_AT_ONCE) {
        if !owners::has_room(step, user)? {
            rest = AdoptionRest::NoRoom;
            break;
        }
        step.run(MOVE, params![no, user.to_string()])?;
        owners::add(step, user)?;
        // Its followers are told that it is not theirs any more.
        step.tell(Topics::session(&id.into()));
        moved += 1;
    }
    if moved > 0 {
        owners::remove(step, &guest.to_string(), moved)?;
    }
    Ok(Adopted { moved, rest })
}
