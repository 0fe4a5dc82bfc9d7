//! What happens to a turn after it was begun: text, answer, stop, and the end of an orphan.

use super::super::log::Log;
use super::super::plant::Plant;
use super::{Now, Tables};
use chatcore::error::AccessError;
use chatcore::event::{Event, EventBody};
use chatcore::id::{RequestId, SessionId};
use chatcore::message::{AiReply, Answer, Message, Role, Status};
use chatcore::owner::Owner;
use chatcore::turn::{Extended, Finished, Piece, Stopping, Swept, Turn, TurnId};
use std::collections::BTreeMap;
use std::time::Duration;

impl Tables {
    /// Keeps a piece of live text and renews the lease.
    pub(in crate::memory) fn extend(&mut self, turn: &Turn, piece: &Piece, lease: Duration, now: Now) -> Extended {
        self.expire(now.elapsed);
        let plant = self.plant;
        let Some(session) = self.sessions.get_mut(&turn.id.session).filter(|session| !session.deleted) else {
            return Extended::Gone;
        };
        let stale = session.fence != turn.fence && !plant.is(Plant::ExtendIgnoresFence);
        let Some(open) = session.open.as_mut().filter(|open| !stale && open.message == turn.id.message) else {
            return Extended::Fenced;
        };
        if open.stop {
            return Extended::StopRequested;
        }
        let held = open.text.len();
        if plant.is(Plant::ExtendAppends) {
            open.text.push_str(&piece.text);
        } else if held < piece.offset + piece.text.len() && open.text.is_char_boundary(piece.offset) {
            // Beyond the stored text is no boundary, so such a piece is not kept.
            open.text.truncate(piece.offset);
            open.text.push_str(&piece.text);
        }
        let length = open.text.len();
        self.hold(turn.id.session, now.elapsed + lease);
        Extended::Held { length }
    }

    /// Stores the answer.
    pub(in crate::memory) fn finish(&mut self, turn: &Turn, answer: &Answer, now: Now) -> Finished {
        self.expire(now.elapsed);
        let Some(session) = self.sessions.get(&turn.id.session).filter(|session| !session.deleted) else {
            return Finished::Gone;
        };
        if session.fence != turn.fence && !self.plant.is(Plant::FinishIgnoresFence) {
            self.note_late(turn, answer);
            return Finished::Fenced;
        }
        let stored = match &session.open {
            Some(open) if open.message != turn.id.message => None,
            Some(_) => self.write_answer(turn.id.session, answer.clone(), now),
            // It was stored by an earlier call: whoever else ends a turn moves the fence.
            None => session.answer_of(turn.id.message).map(|row| row.message.clone()),
        };
        stored.map_or(Finished::Fenced, |message| Finished::Stored(Box::new(message)))
    }

    fn write_answer(&mut self, id: SessionId, answer: Answer, now: Now) -> Option<Message> {
        self.note_overdue(id, now);
        let (open, message) = self.sessions.get_mut(&id)?.answer(answer, now)?;
        self.leases.remove(&(open.lease_until, id));
        if !(open.resumed && self.plant.is(Plant::ResumedAnswerHasNoEvent)) {
            self.announce(id, message.clone(), open.request_id);
        }
        Some(message)
    }

    /// Closes the open turn, if there is one, with its text so far.
    pub(super) fn close(&mut self, id: SessionId, now: Now) -> Option<()> {
        let open = self.sessions.get(&id)?.open.as_ref()?;
        let (content, key) = (open.text.clone(), open.key.clone());
        self.write_answer(id, Answer { status: Status::Failed, content, reply: AiReply::default() }, now);
        self.tally.closed += 1;
        let session = self.sessions.get_mut(&id)?;
        if !self.plant.is(Plant::CloseKeepsFence) {
            session.fence.0 += 1;
        }
        if self.plant.is(Plant::CloseForgetsKey) {
            session.keys.remove(&key);
        }
        Some(())
    }

    /// Closes turns whose lease has been over for the grace, the oldest first.
    pub(in crate::memory) fn close_orphans(&mut self, grace: Duration, max: usize, now: Now) -> Swept {
        self.expire(now.elapsed);
        let grace = if self.plant.is(Plant::CloseIgnoresGrace) { Duration::ZERO } else { grace };
        let over = self.leases.iter().take_while(|(until, _)| *until + grace <= now.elapsed).take(max);
        let ids: Vec<SessionId> = over.map(|(_, id)| *id).collect();
        let closed = ids.into_iter().filter_map(|id| self.close(id, now)).count();
        let first = if self.plant.is(Plant::QuietOfTheLast) { self.leases.last() } else { self.leases.first() };
        let quiet = first.map(|(until, _)| until.saturating_sub(now.elapsed));
        let clock = if self.plant.is(Plant::LookTellsNoTime) { Duration::ZERO } else { now.elapsed };
        Swept { closed, quiet, clocks: BTreeMap::from([(0, clock)]) }
    }

    /// Marks a turn that is to stop. The mark names the turn: it stays through a resume, and no later turn has it.
    pub(in crate::memory) fn request_stop(
        &mut self,
        owner: &Owner,
        turn: &TurnId,
        now: Now,
    ) -> Result<Stopping, AccessError> {
        self.expire(now.elapsed);
        let session = self.owned(owner, &turn.session, now.elapsed)?;
        if !session.turns.contains_key(&turn.message) {
            return Err(AccessError::NotFound);
        }
        let open = self.sessions.get_mut(&turn.session).and_then(|session| session.open.as_mut());
        let Some(open) = open.filter(|open| open.message == turn.message) else { return Ok(Stopping::Ended) };
        open.stop = true;
        Ok(Stopping::Requested)
    }

    /// Sets the lease of the open turn.
    pub(super) fn hold(&mut self, id: SessionId, until: Duration) {
        let Some(open) = self.sessions.get_mut(&id).and_then(|session| session.open.as_mut()) else { return };
        self.leases.remove(&(open.lease_until, id));
        open.lease_until = until;
        self.leases.insert((until, id));
    }

    /// Writes the event of a message.
    pub(super) fn announce(&self, id: SessionId, message: Message, request_id: Option<RequestId>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (owner, seq, at, role) = (session.owner.clone(), message.seq, message.at, message.role);
        let message = Box::new(message);
        let body = match role {
            Role::User => EventBody::ChatRequested(message),
            Role::Assistant => EventBody::ChatResponded(message),
        };
        self.write_event(Event { session: id, owner, seq, at, request_id, body });
    }

    pub(super) fn write_event(&self, event: Event) {
        self.log.update(|log: &mut Log| log.queue(event));
    }

    pub(super) fn note_overdue(&mut self, id: SessionId, now: Now) {
        let Some(open) = self.sessions.get(&id).and_then(|session| session.open.as_ref()) else { return };
        self.tally.overdue = self.tally.overdue.max(now.elapsed.saturating_sub(open.lease_until));
    }

    fn note_late(&mut self, turn: &Turn, answer: &Answer) {
        let session = self.sessions.get(&turn.id.session);
        let stored = session.and_then(|session| session.answer_of(turn.id.message));
        let known = stored.is_some_and(|row| row.message.content == answer.content);
        self.tally.late += u64::from(answer.status == Status::Completed && !known);
    }
}
