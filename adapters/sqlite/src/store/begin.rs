//! `begin_turn`: takes a question, or says what stands against it.

use super::row::{Open, Stored};
use super::{answer, extend, list, owners};
use crate::codec::{Columns, PLACES, between, int, place, span};
use crate::log;
use crate::takes;
use crate::tx::Tx;
use crate::wake::Topics;
use chatcore::event::{Event, EventBody};
use chatcore::id::{Fence, RequestId, SessionId};
use chatcore::message::{Message, MessagesPage};
use chatcore::policy::Left;
use chatcore::port::Taken;
use chatcore::stamp::from_micros;
use chatcore::turn::{Began, NewTurn, Refusal, Replayed, Started, Target, Turn};
use rusqlite::params;

pub(super) const KNOWN: &str = "SELECT place, body_hash FROM messages WHERE session = ?1 AND key = ?2";
pub(super) const FREE_KEY: &str = "UPDATE sessions SET first_key = NULL WHERE opener = ?1 AND first_key = ?2";
const RENEW: &str = "UPDATE turns SET lease_until = ?2 WHERE session = ?1";
const RESUME: &str = "UPDATE turns SET attempt = ?2, resumed = 1, lease_until = ?3, length = 0, request_id = ?4
    WHERE session = ?1";
const ACTIVE: &str = "UPDATE sessions SET fence = ?2, asked = ?3, last_activity = ?4, expires_at = ?5 WHERE no = ?1";
const SWEEP_SOONER: &str = "UPDATE sessions SET sweep_at = ?2 WHERE no = ?1";
const OPEN_SESSION: &str =
    "INSERT INTO sessions (id, owner, opener, first_key, created_at, last_activity, expires_at, sweep_at)
    VALUES (?1, ?2, ?2, ?3, ?4, ?4, ?5, ?5)";
const QUESTION: &str = "INSERT INTO messages (place, session, turn, key, body_hash, content, status, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'accepted', ?7)";
const OPEN_TURN: &str = "INSERT INTO turns (session, message, seq, attempt, lease_until, request_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Takes a question, or says what stands against it. Nothing is written before all checks are done.
pub(super) fn begin(step: &Tx<'_>, new: &NewTurn, fresh: SessionId) -> rusqlite::Result<Began> {
    let found = match &new.target {
        Target::Existing(id) => Stored::by_id(step, id)?,
        Target::New => Stored::by_first_key(step, &new.owner, &new.key)?,
    };
    match (found, new.target) {
        (None, Target::New) => begin_first(step, new, fresh),
        (None, Target::Existing(_)) => refused(Refusal::NotFound),
        (Some(session), _) if session.deleted => refused(Refusal::NotFound),
        (Some(session), _) => begin_in(step, new, session),
    }
}

/// A session that is there. The same attempt comes first: an adoption changes whose the session is, not who runs the turn.
fn begin_in(step: &Tx<'_>, new: &NewTurn, session: Stored) -> rusqlite::Result<Began> {
    if let Some(open) = session.open.as_ref().filter(|open| open.attempt == new.attempt) {
        step.run(RENEW, params![session.no, lease_until(step, new)])?;
        return started(step, new, &session, open, None);
    }
    if session.owner != new.owner {
        return refused(Refusal::NotYours);
    }
    match begin_known(step, new, &session)? {
        Some(began) => Ok(began),
        None => begin_next(step, new, session),
    }
}

fn refused(refusal: Refusal) -> rusqlite::Result<Began> {
    Ok(Began::Refused(refusal))
}

/// What the key says, if it came before.
fn begin_known(step: &Tx<'_>, new: &NewTurn, session: &Stored) -> rusqlite::Result<Option<Began>> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.nat(0)? & PLACES, row.get::<_, i64>(1)?));
    let Some((seq, body_hash)) = step.one(KNOWN, params![session.no, new.key.as_str()], read)? else { return Ok(None) };
    if body_hash != new.body_hash.cast_signed() {
        return refused(Refusal::KeyReused).map(Some);
    }
    match session.open.as_ref().filter(|open| open.seq == seq) {
        None => replayed(step, session, seq),
        Some(open) if open.lease_until > step.now => {
            let retry_after = between(step.now, open.lease_until);
            Ok(Some(Began::Attached { turn: session.turn(open.message), seq, retry_after }))
        }
        Some(open) => resume(step, new, session, open).map(Some),
    }
}

/// The answer follows its question at once: a session has one open turn, and closes it before it takes another.
fn replayed(step: &Tx<'_>, session: &Stored, seq: u64) -> rusqlite::Result<Option<Began>> {
    let question = list::message(step, session.no, seq)?;
    let answer = list::message(step, session.no, seq + 1)?;
    let (Some((question, _)), Some((answer, fence))) = (question, answer) else { return Ok(None) };
    let turn = Turn { fence, ..session.turn(question.turn) };
    Ok(Some(Began::Replayed(Box::new(Replayed { turn, question, answer }))))
}

/// The same question under a new fence. A stop that was asked for still stands.
fn resume(step: &Tx<'_>, new: &NewTurn, session: &Stored, open: &Open) -> rusqlite::Result<Began> {
    extend::forget_text(step, session.no, open)?;
    step.run(RESUME, params![session.no, new.attempt.as_uuid(), lease_until(step, new), request_id(new)])?;
    step.tell(Topics::session(&session.id));
    let session = active(step, new, session.clone(), session.messages)?;
    started(step, new, &session, &Open { resumed: true, ..open.clone() }, None)
}

/// A question that opens a session. Where it is refused, no session is left behind.
fn begin_first(step: &Tx<'_>, new: &NewTurn, fresh: SessionId) -> rusqlite::Result<Began> {
    if !owners::has_room(step, &new.owner)? {
        return refused(Refusal::TooManySessions);
    }
    let left = match counted(step, new, 2, None)? {
        Ok(left) => left,
        Err(refusal) => return refused(refusal),
    };
    let (owner, key) = (new.owner.to_string(), new.key.as_str());
    // An expired session may stand under this key until it is swept.
    step.run(FREE_KEY, params![owner, key])?;
    let expires_at = step.now.saturating_add(span(new.ttl));
    let no = step.add(OPEN_SESSION, params![fresh.as_uuid(), owner, key, step.now, expires_at])?;
    owners::add(step, &new.owner)?;
    accept(step, new, Stored::opened(no, fresh, new.owner.clone(), expires_at), left)
}

/// Another question in a session. An open turn whose lease is over is closed with it.
fn begin_next(step: &Tx<'_>, new: &NewTurn, session: Stored) -> rusqlite::Result<Began> {
    let running = session.open.as_ref().filter(|open| open.lease_until > step.now);
    let busy = running.map(|open| {
        let retry_after = between(step.now, open.lease_until);
        Refusal::Busy { turn: session.turn(open.message).id, retry_after }
    });
    let closed = session.open.is_some();
    let began = match counted(step, new, session.messages + u64::from(closed) + 2, busy)? {
        Ok(left) => accept(step, new, answer::close(step, session)?, left)?,
        Err(refusal) => return refused(refusal),
    };
    Ok(match began {
        Began::Started(started) => Began::Started(Started { closed, ..started }),
        began => began,
    })
}

/// Whether there is room for a new question, with which the session would hold so many messages; it counts from here on.
/// A turn that runs is the last that stands against it: who is told of it may stop it for this question.
fn counted(
    step: &Tx<'_>,
    new: &NewTurn,
    messages: u64,
    busy: Option<Refusal>,
) -> rusqlite::Result<Result<Option<Left>, Refusal>> {
    if messages > step.limits.session_messages.min(PLACES) {
        return Ok(Err(Refusal::SessionFull));
    }
    if log::is_full(step)? {
        return Ok(Err(Refusal::Overloaded));
    }
    let Some(quota) = &new.quota else { return Ok(busy.map_or(Ok(None), Err)) };
    let owner = takes::of_owner(&new.owner);
    if let Some(busy) = busy {
        let wait = takes::wait(step, &owner, quota)?;
        return Ok(Err(wait.map_or(busy, |retry_after| Refusal::Throttled { retry_after })));
    }
    Ok(match takes::take(step, &owner, quota)? {
        Taken::Granted { left, .. } => Ok(Some(left)),
        Taken::Wait(retry_after) => Err(Refusal::Throttled { retry_after }),
    })
}

/// Writes the question with its event and opens its turn.
fn accept(step: &Tx<'_>, new: &NewTurn, session: Stored, left: Option<Left>) -> rusqlite::Result<Began> {
    let asked = session.messages + 1;
    let session = active(step, new, session, asked)?;
    let (no, seq, turn) = (session.no, session.messages, new.message.as_uuid());
    let (key, body_hash) = (new.key.as_str(), new.body_hash.cast_signed());
    step.add(QUESTION, params![place(no, seq), no, turn, key, body_hash, new.text, step.now])?;
    let lease_until = lease_until(step, new);
    step.add(OPEN_TURN, params![no, turn, int(seq), new.attempt.as_uuid(), lease_until, request_id(new)])?;
    let at = from_micros(step.now);
    let question = Message::question(new.message, seq, new.text.clone(), at);
    let body = EventBody::ChatRequested(Box::new(question));
    let (owner, request_id) = (session.owner.clone(), new.request_id.clone());
    log::append(step, &Event { session: session.id, owner, seq, at, request_id, body })?;
    started(step, new, &session, &Open::of(new, seq, lease_until), left)
}

/// The session with this question as its newest: a new fence, and its time to live anew.
fn active(step: &Tx<'_>, new: &NewTurn, session: Stored, asked: u64) -> rusqlite::Result<Stored> {
    let fence = Fence(session.fence.0 + 1);
    let expires_at = step.now.saturating_add(span(new.ttl));
    step.run(ACTIVE, params![session.no, int(fence.0), int(asked), step.now, expires_at])?;
    if expires_at < session.sweep_at {
        step.run(SWEEP_SOONER, params![session.no, expires_at])?;
    }
    Ok(Stored { fence, messages: asked, ..session })
}

fn started(step: &Tx<'_>, new: &NewTurn, session: &Stored, open: &Open, left: Option<Left>) -> rusqlite::Result<Began> {
    let page = MessagesPage { before: Some(open.seq), limit: new.window };
    let window = list::page(step, session.no, &page)?;
    let (turn, seq, resumed) = (session.turn(open.message), open.seq, open.resumed);
    Ok(Began::Started(Started { turn, seq, window, resumed, closed: false, left }))
}

fn lease_until(step: &Tx<'_>, new: &NewTurn) -> i64 {
    step.now.saturating_add(span(new.lease))
}

fn request_id(new: &NewTurn) -> Option<&str> {
    new.request_id.as_ref().map(RequestId::as_str)
}
