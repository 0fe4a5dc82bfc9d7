//! The end of a turn: by its server, or by whoever finds it orphaned.

use super::row::{Open, Stored};
use super::{extend, list};
use crate::codec::{int, place};
use crate::log;
use crate::tx::Tx;
use chatcore::event::{Event, EventBody};
use chatcore::id::Fence;
use chatcore::message::{AiReply, Answer, Message, Status};
use chatcore::stamp::from_micros;
use chatcore::turn::{Finished, Turn};
use rusqlite::params;

const ANSWER: &str = "INSERT INTO messages
    (place, session, turn, content, products, intent, confidence, status, fence, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const END_TURN: &str = "DELETE FROM turns WHERE session = ?1";
const MOVE_FENCE: &str = "UPDATE sessions SET fence = ?2 WHERE no = ?1";

/// Stores the answer with its event, and ends the turn.
pub(super) fn finish(step: &Tx<'_>, turn: &Turn, answer: &Answer) -> rusqlite::Result<Finished> {
    let session = match Stored::by_id(step, &turn.id.session)? {
        Some(session) if !session.deleted => session,
        _ => return Ok(Finished::Gone),
    };
    if session.fence != turn.fence {
        return Ok(Finished::Fenced);
    }
    if session.open.is_none() {
        return stored_before(step, turn, &session);
    }
    let Some(open) = session.open_as(&turn.id.message).cloned() else { return Ok(Finished::Fenced) };
    // What a follower has read is the beginning of the answer, or it has to read anew.
    let live = extend::whole_text(step, session.no, &open)?;
    let continued = if answer.content.starts_with(&live) { session.fence } else { Fence(0) };
    let (_, stored) = write(step, session, &open, answer.clone(), continued)?;
    Ok(Finished::Stored(Box::new(stored)))
}

/// This call came before: whoever else ends a turn moves the fence.
fn stored_before(step: &Tx<'_>, turn: &Turn, session: &Stored) -> rusqlite::Result<Finished> {
    let newest = list::message(step, session.no, session.messages)?.map(|(message, _)| message);
    let same = newest.filter(|message| message.turn == turn.id.message);
    Ok(same.map_or(Finished::Fenced, |message| Finished::Stored(Box::new(message))))
}

/// Ends the open turn as failed, with its text so far. The fence moves, so that its server writes no more.
pub(super) fn close(step: &Tx<'_>, session: Stored) -> rusqlite::Result<Stored> {
    let Some(open) = session.open.clone() else { return Ok(session) };
    let content = extend::whole_text(step, session.no, &open)?;
    let answer = Answer { status: Status::Failed, content, reply: AiReply::default() };
    let continued = session.fence;
    let (session, _) = write(step, session, &open, answer, continued)?;
    let fence = Fence(session.fence.0 + 1);
    step.run(MOVE_FENCE, params![session.no, int(fence.0)])?;
    Ok(Stored { fence, ..session })
}

/// Writes an answer, with the fence whose live text it continues. The session's row stays as it is: an answer is told from
/// the question alone by the open turn, which is no more.
fn write(
    step: &Tx<'_>,
    session: Stored,
    open: &Open,
    answer: Answer,
    continued: Fence,
) -> rusqlite::Result<(Stored, Message)> {
    let (seq, at) = (session.messages + 1, from_micros(step.now));
    let message = Message::answer(open.message, seq, open.seq, answer, at);
    let reply = &message.reply;
    let products = (!reply.products.is_empty()).then(|| reply.products.as_json());
    step.add(
        ANSWER,
        params![
            place(session.no, seq),
            session.no,
            open.message.as_uuid(),
            message.content,
            products,
            reply.intent,
            reply.confidence,
            message.status.as_str(),
            int(continued.0),
            step.now,
        ],
    )?;
    extend::forget_text(step, session.no, open)?;
    step.run(END_TURN, params![session.no])?;
    let body = EventBody::ChatResponded(Box::new(message.clone()));
    let (owner, request_id) = (session.owner.clone(), open.request_id.clone());
    log::append(step, &Event { session: session.id, owner, seq, at, request_id, body })?;
    Ok((Stored { messages: seq, open: None, ..session }, message))
}
