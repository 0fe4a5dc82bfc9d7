//! One session: its history, its keys and its open turn. What other tables hold about it is not touched here.

use super::super::plant::Plant;
use super::Now;
use chatcore::id::{AttemptId, Fence, Key, MessageId, RequestId, SessionId};
use chatcore::message::{Answer, Message};
use chatcore::owner::Owner;
use chatcore::policy::Left;
use chatcore::turn::{NewTurn, Started, Turn, TurnId};
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) owner: Owner,
    /// Under which owner and key it was opened; `None` where that is forgotten.
    pub(super) opened: Option<(Owner, Key)>,
    /// Only the tombstone is left.
    pub(super) deleted: bool,
    pub(super) created_at: OffsetDateTime,
    pub(super) last_activity: OffsetDateTime,
    pub(super) until: Duration,
    pub(super) fence: Fence,
    pub(super) rows: Vec<Row>,
    pub(super) keys: BTreeMap<Key, Known>,
    /// The place of each turn's question.
    pub(super) turns: BTreeMap<MessageId, u64>,
    pub(super) open: Option<Open>,
}

/// A message, and for an answer what followers go by.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) message: Message,
    /// The attempt that wrote it.
    pub(super) fence: Fence,
    /// The attempt that its text continues: none, where the live text was replaced.
    pub(super) continues: Fence,
}

/// A key, and what was made of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) body_hash: u64,
    pub(super) question: u64,
    pub(super) answer: Option<u64>,
}

/// The turn that is being answered.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) message: MessageId,
    pub(super) seq: u64,
    pub(super) attempt: AttemptId,
    pub(super) resumed: bool,
    pub(super) lease_until: Duration,
    pub(super) text: String,
    pub(super) stop: bool,
    pub(super) request_id: Option<RequestId>,
    pub(super) key: Key,
}

impl Open {
    /// What is left of the lease; `None` once it is over.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        self.lease_until.checked_sub(now).filter(|left| !left.is_zero())
    }
}

impl Session {
    /// A session that this first question opens.
    pub(super) fn new(new: &NewTurn, now: Now) -> Self {
        Self {
            owner: new.owner.clone(),
            opened: Some((new.owner.clone(), new.key.clone())),
            deleted: false,
            created_at: now.wall,
            last_activity: now.wall,
            until: now.elapsed + new.ttl,
            fence: Fence::default(),
            rows: Vec::new(),
            keys: BTreeMap::new(),
            turns: BTreeMap::new(),
            open: None,
        }
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.rows.len() as u64 + 1
    }

    pub(super) fn row(&self, seq: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// The answer of a turn that has ended.
    pub(super) fn answer_of(&self, turn: MessageId) -> Option<&Row> {
        let question = *self.turns.get(&turn)?;
        self.row(question + 1)
    }

    /// Writes a question and opens its turn; the lease is set by the tables.
    pub(super) fn ask(&mut self, new: &NewTurn, now: Now) -> Message {
        let seq = self.next_seq();
        self.fence.0 += 1;
        self.keys.insert(new.key.clone(), Known { body_hash: new.body_hash, question: seq, answer: None });
        self.turns.insert(new.message, seq);
        self.open = Some(Open {
            message: new.message,
            seq,
            attempt: new.attempt,
            resumed: false,
            lease_until: Duration::ZERO,
            text: String::new(),
            stop: false,
            request_id: new.request_id.clone(),
            key: new.key.clone(),
        });
        let message = Message::question(new.message, seq, new.text.clone(), now.wall);
        self.rows.push(Row { message: message.clone(), fence: self.fence, continues: self.fence });
        message
    }

    /// Gives the open turn to another attempt.
    pub(super) fn resume(&mut self, new: &NewTurn, plant: Plant) {
        let Some(open) = &mut self.open else { return };
        self.fence.0 += 1;
        open.attempt = new.attempt;
        open.resumed = true;
        open.request_id = new.request_id.clone();
        if !plant.is(Plant::ResumeKeepsText) {
            open.text.clear();
        }
    }

    /// Writes the answer and ends the open turn.
    pub(super) fn answer(&mut self, answer: Answer, now: Now) -> Option<(Open, Message)> {
        let open = self.open.take()?;
        let continues = if answer.content.starts_with(&open.text) { self.fence } else { Fence::default() };
        let message = Message::answer(open.message, self.next_seq(), open.seq, answer, now.wall);
        if let Some(known) = self.keys.get_mut(&open.key) {
            known.answer = Some(message.seq);
        }
        self.rows.push(Row { message: message.clone(), fence: self.fence, continues });
        Some((open, message))
    }

    /// What `begin_turn` says of the open turn.
    pub(super) fn started(&self, id: SessionId, window: usize, left: Option<Left>) -> Option<Started> {
        let open = self.open.as_ref()?;
        let end = usize::try_from(open.seq - 1).ok()?;
        let window = self.rows[end.saturating_sub(window)..end].iter().map(|row| row.message.clone()).collect();
        let turn = Turn { id: TurnId { session: id, message: open.message }, fence: self.fence };
        Some(Started { turn, seq: open.seq, window, resumed: open.resumed, closed: false, left })
    }

    /// Only a tombstone is left.
    pub(super) fn bury(&mut self) -> Option<Open> {
        self.deleted = true;
        self.rows = Vec::new();
        self.keys = BTreeMap::new();
        self.turns = BTreeMap::new();
        self.open.take()
    }
}
