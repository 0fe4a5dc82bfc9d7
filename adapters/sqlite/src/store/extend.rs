//! A turn while it runs: its live text, its lease, and the wish to stop it.

use super::row::{Open, Stored};
use super::{Access, follow};
use crate::codec::{Columns, rows, span};
use crate::tx::Tx;
use crate::wake::Topics;
use chatcore::error::AccessError;
use chatcore::owner::Owner;
use chatcore::turn::{Extended, Piece, Stopping, Turn, TurnId};
use rusqlite::params;
use std::time::Duration;

const HOLD: &str = "UPDATE turns SET lease_until = ?2, length = ?3 WHERE session = ?1";
const STOP: &str = "UPDATE turns SET stop = 1 WHERE session = ?1";
const ADD: &str = "INSERT INTO live (session, start, text) VALUES (?1, ?2, ?3)";
const FORGET_TEXT: &str = "DELETE FROM live WHERE session = ?1";
const CUT: &str = "DELETE FROM live WHERE session = ?1 AND start >= ?2";
pub(super) const PIECES: &str = "SELECT start, text FROM live WHERE session = ?1 AND start >=
    (SELECT coalesce(max(start), 0) FROM live WHERE session = ?1 AND start <= ?2) ORDER BY start";

/// Keeps a piece and renews the lease.
pub(super) fn extend(step: &Tx<'_>, turn: &Turn, piece: &Piece, lease: Duration) -> rusqlite::Result<Extended> {
    let session = match Stored::by_id(step, &turn.id.session)? {
        Some(session) if !session.deleted => session,
        _ => return Ok(Extended::Gone),
    };
    let open = match session.open_as(&turn.id.message) {
        Some(open) if session.fence == turn.fence => open,
        _ => return Ok(Extended::Fenced),
    };
    if open.stop {
        return Ok(Extended::StopRequested);
    }
    let length = keep(step, &session, open, piece)?;
    step.run(HOLD, params![session.no, step.now.saturating_add(span(lease)), rows(length)])?;
    Ok(Extended::Held { length })
}

/// Writes a piece that goes beyond what is there and leaves no gap; answers the length then.
fn keep(step: &Tx<'_>, session: &Stored, open: &Open, piece: &Piece) -> rusqlite::Result<usize> {
    let end = piece.offset.saturating_add(piece.text.len());
    if piece.offset > open.length || end <= open.length {
        return Ok(open.length);
    }
    let cut = if piece.offset < open.length { cut_at(step, session.no, piece.offset)? } else { true };
    if !cut {
        return Ok(open.length);
    }
    step.add(ADD, params![session.no, rows(piece.offset), piece.text])?;
    step.tell(Topics::session(&session.id));
    Ok(end)
}

/// Takes away the text from an offset on; does nothing if that is inside a character.
fn cut_at(step: &Tx<'_>, session: i64, offset: usize) -> rusqlite::Result<bool> {
    let (start, text) = live_text(step, session, offset)?;
    let Some(head) = text.get(..offset - start) else { return Ok(false) };
    step.run(CUT, params![session, rows(start)])?;
    if !head.is_empty() {
        step.add(ADD, params![session, rows(start), head])?;
    }
    Ok(true)
}

/// Takes away the live text of a turn.
pub(super) fn forget_text(step: &Tx<'_>, session: i64, open: &Open) -> rusqlite::Result<()> {
    if open.length > 0 {
        step.run(FORGET_TEXT, params![session])?;
    }
    Ok(())
}

/// The live text from the beginning of the piece that holds this offset, and where that is.
pub(super) fn live_text(step: &Tx<'_>, session: i64, offset: usize) -> rusqlite::Result<(usize, String)> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.length(0)?, row.get::<_, String>(1)?));
    let pieces = step.all(PIECES, params![session, rows(offset)], read)?;
    let start = pieces.first().map_or(0, |(start, _)| *start);
    Ok((start, pieces.into_iter().map(|(_, text)| text).collect()))
}

/// All live text of an open turn.
pub(super) fn whole_text(step: &Tx<'_>, session: i64, open: &Open) -> rusqlite::Result<String> {
    if open.length == 0 {
        return Ok(String::new());
    }
    live_text(step, session, 0).map(|(_, text)| text)
}

/// Leaves a mark that the turn's server finds when it extends.
pub(super) fn request_stop(step: &Tx<'_>, owner: &Owner, turn: &TurnId) -> Access<Stopping> {
    let session = match Stored::of(step, owner, &turn.session)? {
        Ok(session) => session,
        Err(denied) => return Ok(Err(denied)),
    };
    if session.open_as(&turn.message).is_some() {
        step.run(STOP, params![session.no])?;
        return Ok(Ok(Stopping::Requested));
    }
    let question = follow::question(step, &session, &turn.message)?;
    Ok(question.map(|_| Stopping::Ended).ok_or(AccessError::NotFound))
}
