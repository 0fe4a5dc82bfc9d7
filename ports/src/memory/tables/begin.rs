//! `begin_turn`: the checks in their order, and only then the writes.

use super::super::plant::Plant;
use super::session::Session;
use super::{Now, Tables};
use chatcore::error::AccessError;
use chatcore::id::SessionId;
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::stamp::micros;
use chatcore::turn::{Began, NewTurn, Refusal, Replayed, Started, Target, Turn, TurnId};

impl Tables {
    /// Takes a question, or says what stands against it. A new session is called `fresh`.
    pub(in crate::memory) fn begin(&mut self, new: &NewTurn, fresh: SessionId, now: Now) -> Began {
        self.expire(now.elapsed);
        let named = self.named(new);
        if let Some(started) = named.and_then(|id| self.repeat(id, new, now)) {
            return Began::Started(started);
        }
        let known = match self.target(named, new, now) {
            Ok(known) => known,
            Err(refusal) => return Began::Refused(refusal),
        };
        if let Some(began) = known.and_then(|id| self.begin_known(id, new, now)) {
            return began;
        }
        if let Some(refusal) = self.refusal(known, new, now) {
            return Began::Refused(refusal);
        }
        let id = known.unwrap_or_else(|| self.open_session(fresh, new, now));
        let closed = self.close(id, now).is_some();
        let started = self.ask(id, new, now).map(|started| Began::Started(Started { closed, ..started }));
        started.unwrap_or(Began::Refused(Refusal::NotFound))
    }

    /// The session that the message names, itself or by its key.
    fn named(&self, new: &NewTurn) -> Option<SessionId> {
        match new.target {
            Target::Existing(id) => Some(id),
            Target::New => self.owners.get(&new.owner).and_then(|holdings| holdings.first_keys.get(&new.key)).copied(),
        }
    }

    /// The same session, where it lives and is the owner's; `None` for one that is to be opened.
    fn target(&self, id: Option<SessionId>, new: &NewTurn, now: Now) -> Result<Option<SessionId>, Refusal> {
        match id.map(|id| self.owned(&new.owner, &id, now.elapsed)) {
            Some(Ok(_)) => Ok(id),
            Some(Err(AccessError::NotYours)) => Err(Refusal::NotYours),
            Some(Err(_)) => Err(Refusal::NotFound),
            None if self.living(&new.owner) >= self.limits.owner_sessions => Err(Refusal::TooManySessions),
            None => Ok(None),
        }
    }

    /// What the key says, if it came before.
    fn begin_known(&mut self, id: SessionId, new: &NewTurn, now: Now) -> Option<Began> {
        let plant = self.plant;
        let session = self.sessions.get(&id)?;
        let known = session.keys.get(&new.key)?;
        if known.body_hash != new.body_hash && !plant.is(Plant::KeyIgnoresBody) {
            return Some(Began::Refused(Refusal::KeyReused));
        }
        if let Some(answer) = known.answer {
            let replayed = replayed(id, session, known.question, answer)?;
            if let Some(quota) = new.quota.filter(|_| plant.is(Plant::QuotaCountsReplays)) {
                self.starts.take(&new.owner, &quota, now.elapsed);
            }
            return Some(Began::Replayed(Box::new(replayed)));
        }
        let open = session.open.as_ref()?;
        match open.left(now.elapsed) {
            Some(retry_after) => {
                let turn = Turn { id: TurnId { session: id, message: open.message }, fence: session.fence };
                Some(Began::Attached { turn, seq: open.seq, retry_after })
            }
            None => self.resume(id, new, now).map(Began::Started),
        }
    }

    /// The same call again, whose reply was lost. It does not ask whose the session is: an adoption may have come between,
    /// and the turn would be nobody's.
    fn repeat(&mut self, id: SessionId, new: &NewTurn, now: Now) -> Option<Started> {
        let open = self.sessions.get(&id)?.open.as_ref()?;
        if open.attempt != new.attempt || self.plant.is(Plant::NoAttempt) {
            return None;
        }
        self.tally.repeated += 1;
        self.hold(id, now.elapsed + new.lease);
        self.sessions.get(&id)?.started(id, new.window, None)
    }

    /// The same question again, whose server died.
    fn resume(&mut self, id: SessionId, new: &NewTurn, now: Now) -> Option<Started> {
        self.tally.resumed += 1;
        self.note_overdue(id, now);
        let plant = self.plant;
        self.sessions.get_mut(&id)?.resume(new, plant);
        self.hold(id, now.elapsed + new.lease);
        self.touch(id, new, now);
        self.sessions.get(&id)?.started(id, new.window, None)
    }

    /// What stands against a new question.
    fn refusal(&self, known: Option<SessionId>, new: &NewTurn, now: Now) -> Option<Refusal> {
        let session = known.and_then(|id| self.sessions.get_key_value(&id));
        let open = session.and_then(|(id, session)| Some((*id, session.open.as_ref()?)));
        let busy = open.and_then(|(session, open)| {
            let turn = TurnId { session, message: open.message };
            open.left(now.elapsed).map(|retry_after| Refusal::Busy { turn, retry_after })
        });
        if self.plant.is(Plant::BusyComesFirst) && busy.is_some() {
            return busy;
        }
        // The question and its answer have to fit, and the answer of an open turn before them.
        let held = session.map_or(0, |(_, session)| session.rows.len() as u64) + u64::from(open.is_some());
        if held + 2 > self.limits.session_messages {
            return Some(Refusal::SessionFull);
        }
        if self.log.read(|log| log.is_full()) {
            return Some(Refusal::Overloaded);
        }
        self.throttled(new, now).or(busy)
    }

    fn throttled(&self, new: &NewTurn, now: Now) -> Option<Refusal> {
        let mut quota = new.quota?;
        quota.limit += u32::from(self.plant.is(Plant::QuotaOffByOne));
        self.starts.wait(&new.owner, &quota, now.elapsed).map(|retry_after| Refusal::Throttled { retry_after })
    }

    /// What is left of an owner's quota.
    pub(in crate::memory) fn left(&self, owner: &Owner, quota: &Quota, now: Now) -> Left {
        self.starts.left(owner, quota, now.elapsed)
    }

    fn open_session(&mut self, id: SessionId, new: &NewTurn, now: Now) -> SessionId {
        let session = Session::new(new, now);
        self.ends.insert((session.until, id));
        let holdings = self.owners.entry(new.owner.clone()).or_default();
        holdings.first_keys.insert(new.key.clone(), id);
        holdings.living.insert((micros(session.last_activity), id));
        self.sessions.insert(id, session);
        id
    }

    fn ask(&mut self, id: SessionId, new: &NewTurn, now: Now) -> Option<Started> {
        let question = self.sessions.get_mut(&id)?.ask(new, now);
        self.announce(id, question, new.request_id.clone());
        self.hold(id, now.elapsed + new.lease);
        self.touch(id, new, now);
        let left = new.quota.map(|quota| self.starts.take(&new.owner, &quota, now.elapsed));
        self.sessions.get(&id)?.started(id, new.window, left)
    }

    /// Renews the session's time to live and moves it up in its owner's list.
    fn touch(&mut self, id: SessionId, new: &NewTurn, now: Now) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.ends.remove(&(session.until, id));
        session.until = now.elapsed + new.ttl;
        self.ends.insert((session.until, id));
        if self.plant.is(Plant::ListByBirth) {
            return;
        }
        let old = micros(std::mem::replace(&mut session.last_activity, now.wall));
        if let Some(holdings) = self.owners.get_mut(&new.owner) {
            holdings.living.remove(&(old, id));
            holdings.living.insert((micros(now.wall), id));
        }
    }
}

fn replayed(id: SessionId, session: &Session, question: u64, answer: u64) -> Option<Replayed> {
    let (question, row) = (session.row(question)?.message.clone(), session.row(answer)?);
    let turn = Turn { id: TurnId { session: id, message: question.turn }, fence: row.continues };
    Some(Replayed { turn, question, answer: row.message.clone() })
}
