//! `follow`: what comes after a reader's position, while the turn runs and after it has ended.

use super::row::Stored;
use super::{Access, extend, list};
use crate::codec::{Columns, PLACES};
use crate::tx::Tx;
use chatcore::error::AccessError;
use chatcore::id::{Fence, MessageId};
use chatcore::owner::Owner;
use chatcore::turn::{Cursor, Followed, Position};
use rusqlite::params;

pub(super) const QUESTION: &str = "SELECT place FROM messages WHERE turn = ?1 AND session = ?2 AND key IS NOT NULL";

/// Whether a reader is waiting for this.
pub(super) fn is_news(looked: &Result<Followed, AccessError>) -> bool {
    looked.as_ref().map_or(true, |found| found.restarted || !found.text.is_empty() || found.end.is_some())
}

/// What comes after the cursor now; no text while there is none.
pub(super) fn follow(step: &Tx<'_>, owner: &Owner, cursor: &Cursor) -> Access<Followed> {
    let session = match Stored::of(step, owner, &cursor.turn.session)? {
        Ok(session) => session,
        Err(denied) => return Ok(Err(denied)),
    };
    let Some(seq) = question(step, &session, &cursor.turn.message)? else { return Ok(Err(AccessError::NotFound)) };
    if session.open_as(&cursor.turn.message).is_some() {
        return while_open(step, &session, seq, cursor.from).map(Ok);
    }
    let answer = list::message(step, session.no, seq + 1)?;
    Ok(answer.ok_or(AccessError::NotFound).map(|(answer, fence)| {
        let followed = after(seq, cursor.from, fence, &answer.content);
        Followed { end: Some(Box::new(answer)), ..followed }
    }))
}

/// The place of a turn's question.
pub(super) fn question(step: &Tx<'_>, session: &Stored, turn: &MessageId) -> rusqlite::Result<Option<u64>> {
    step.one(QUESTION, params![turn.as_uuid(), session.no], |row| Ok(row.nat(0)? & PLACES))
}

/// A reader may be ahead of what is kept, since its server shows text before it keeps it: then it waits.
fn while_open(step: &Tx<'_>, session: &Stored, seq: u64, from: Position) -> rusqlite::Result<Followed> {
    let length = session.open.as_ref().map_or(0, |open| open.length);
    if from.fence == session.fence {
        if from.offset >= length {
            return Ok(Followed { seq, restarted: false, text: String::new(), to: from, end: None });
        }
        let (start, text) = extend::live_text(step, session.no, from.offset)?;
        if let Some(rest) = text.get(from.offset - start..) {
            let to = Position { fence: session.fence, offset: length };
            return Ok(Followed { seq, restarted: false, text: rest.to_owned(), to, end: None });
        }
    }
    let (_, text) = extend::live_text(step, session.no, 0)?;
    Ok(after(seq, from, session.fence, &text))
}

/// The text after a position, or all of it where the position is not in it.
fn after(seq: u64, from: Position, fence: Fence, text: &str) -> Followed {
    let rest = text.get(from.offset..).filter(|_| from.fence == fence);
    let restarted = rest.is_none() && from != Position::default();
    let to = Position { fence, offset: text.len() };
    Followed { seq, restarted, text: rest.unwrap_or(text).to_owned(), to, end: None }
}
