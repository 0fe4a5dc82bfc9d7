//! What is known of a sequence so far, in the model's words: it makes calls of operations.

use crate::call::Call;
use crate::op::{From, Holder, Op, Pick, Who};
use crate::reply::Reply;
use crate::text::{Stream, beside};
use crate::who::{owner, phone, user};
use chatcore::id::SessionId;
use chatcore::message::{Answer, MessagesPage};
use chatcore::owner::Owner;
use chatcore::port::{SessionStore, Settled};
use chatcore::turn::{Began, Cursor, Extended, NewTurn, Position, Turn, TurnId};
use chatcore_ports::memory::{MemoryBus, MemoryStore};
use futures_util::FutureExt;
use std::collections::BTreeSet;
use std::str::FromStr;

/// More turns than a sequence has open.
const MANY: usize = 100;

/// What is known of a sequence so far.
pub(crate) struct Known {
    pub(crate) model: MemoryStore,
    /// All that were ever opened.
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) turns: Vec<TurnId>,
    pub(crate) deleted: BTreeSet<SessionId>,
    /// Questions that were asked.
    pub(crate) calls: Vec<NewTurn>,
    rights: Vec<Right>,
    /// How many ids were made.
    pub(crate) made: u64,
}

/// A right to write, and what its holder writes.
#[derive(Debug, Clone)]
struct Right {
    turn: Turn,
    stream: Stream,
    /// The bytes of it that are kept, as far as its holder knows.
    kept: usize,
}

impl Known {
    pub(crate) fn new(model: MemoryStore) -> Self {
        let (sessions, turns, deleted) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { model, sessions, turns, deleted, calls: Vec::new(), rights: Vec::new(), made: 0 }
    }

    /// Whose the session is; ann's, where nobody has it.
    pub(crate) fn owner_of(&self, session: &SessionId) -> Owner {
        let found = self.model.dump().into_iter().find(|dump| dump.session == *session);
        found.map_or_else(|| owner(Who::Ann), |dump| dump.owner)
    }

    /// The call that an operation means now, if it means any.
    pub(crate) fn call(&mut self, op: &Op) -> Option<Call> {
        Some(match *op {
            Op::Ask { .. } | Op::Resend { .. } => self.question(op)?,
            Op::Repeat { call } => Call::Begin(newest(&self.calls, call)?),
            Op::Extend { right, skip, length, lease } => {
                let Right { turn, stream, kept } = self.right(right)?;
                Call::Extend(turn, stream.piece(kept, skip, length), lease.time())
            }
            Op::Finish { right, words, status, products } => {
                let Right { turn, stream, kept } = self.right(right)?;
                Call::Finish(turn, Answer { status, content: stream.answer(kept, words), reply: beside(products) })
            }
            Op::CloseOrphans { grace, one } => {
                Call::CloseOrphans(grace.time(), if one && self.open() <= 1 { 1 } else { MANY })
            }
            Op::Settle { which, refused } => self.settle(which, refused),
            Op::Adopt { ann } => Call::Adopt(phone(), user(if ann { "ann" } else { "bob" })),
            _ => self.look(op)?,
        })
    }

    /// What readers and owners do.
    fn look(&self, op: &Op) -> Option<Call> {
        let session = |pick| newest(&self.sessions, pick).unwrap_or_else(unknown);
        Some(match *op {
            Op::Stop { who, turn } => {
                let turn = self.turn(turn);
                Call::Stop(self.who(who, &turn.session), turn)
            }
            Op::Follow { who, turn, from } => {
                let turn = self.turn(turn);
                Call::Follow(self.who(who, &turn.session), Cursor { turn, from: self.position(&turn, from) })
            }
            Op::Session { who, session: pick } => Call::Session(self.who(who, &session(pick)), session(pick)),
            Op::Sessions { who, limit } => Call::Sessions(self.who(who, &session(0)), limit),
            Op::Messages { who, session: pick, before, limit } => {
                Call::Messages(self.who(who, &session(pick)), session(pick), MessagesPage { before, limit })
            }
            Op::Delete { who, session: pick } => Call::Delete(self.who(who, &session(pick)), session(pick)),
            _ => return None,
        })
    }

    fn settle(&self, which: u8, refused: bool) -> Call {
        let events = MemoryBus::over(&self.model).events();
        let chosen = (0..8).cycle().zip(events).filter(|(bit, _)| which & (1 << bit) != 0);
        let chosen = chosen.map(|(_, event)| (event.session, event.seq)).collect();
        Call::Settle(chosen, if refused { Settled::Refused("too large".into()) } else { Settled::Published })
    }

    fn right(&self, holder: Holder) -> Option<Right> {
        let newer = |old: &Right, right: &Right| right.turn.id == old.turn.id && right.turn.fence > old.turn.fence;
        let replaced = |old: &&Right| self.rights.iter().any(|right| newer(old, right));
        match holder {
            Holder::Any(pick) => newest(&self.rights, pick),
            Holder::Replaced(pick) => newest(&self.rights.iter().filter(replaced).cloned().collect::<Vec<_>>(), pick),
        }
    }

    fn turn(&self, pick: Pick) -> TurnId {
        newest(&self.turns, pick).unwrap_or_else(|| TurnId { session: unknown(), message: parsed(1) })
    }

    /// How many turns are open, in sessions that have not expired.
    fn open(&self) -> usize {
        let shown = |id: &SessionId| self.model.session(&self.owner_of(id), id).now_or_never()?.ok()?.open;
        self.sessions.iter().filter_map(shown).count()
    }

    /// Who does something to this session.
    pub(crate) fn who(&self, who: Who, session: &SessionId) -> Owner {
        if who == Who::Theirs { self.owner_of(session) } else { owner(who) }
    }

    fn position(&self, turn: &TurnId, from: From) -> Position {
        let of = |pick| {
            let rights = self.rights.iter().filter(|right| right.turn.id.session == turn.session);
            newest(&rights.map(|right| right.turn.fence).collect::<Vec<_>>(), pick)
        };
        match from {
            From::Start => Position::default(),
            From::Of(right, offset) => Position { fence: of(right).unwrap_or_default(), offset },
            From::Replaced(offset) => Position { offset, ..Position::default() },
        }
    }

    /// Takes note of what a call was answered.
    pub(crate) fn learn(&mut self, call: &Call, reply: &Reply) {
        match (call, reply) {
            (Call::Begin(new), reply) => {
                if !self.calls.contains(new) {
                    // Those that were refused are seldom sent again.
                    let place = if matches!(reply, Reply::Began(Began::Refused(_))) { 0 } else { self.calls.len() };
                    self.calls.insert(place, new.clone());
                }
                if let Reply::Began(Began::Started(started)) = reply {
                    self.started(started.turn);
                }
            }
            (Call::Extend(turn, ..), Reply::Extended(Extended::Held { length })) => {
                let held = self.rights.iter_mut().filter(|right| right.turn == *turn);
                held.for_each(|right| right.kept = *length);
            }
            (Call::Delete(_, session), Reply::Done) => drop(self.deleted.insert(*session)),
            _ => {}
        }
    }

    fn started(&mut self, turn: Turn) {
        if !self.sessions.contains(&turn.id.session) {
            self.sessions.push(turn.id.session);
        }
        if !self.turns.contains(&turn.id) {
            self.turns.push(turn.id);
        }
        if !self.rights.iter().any(|right| right.turn == turn) {
            self.rights.push(Right { turn, stream: Stream::new(self.rights.len()), kept: 0 });
        }
    }
}

/// The one that is meant, if there is any.
pub(crate) fn newest<T: Clone>(all: &[T], pick: Pick) -> Option<T> {
    let back = usize::from(pick).checked_rem(all.len())?;
    all.iter().rev().nth(back).cloned()
}

/// A session that never was.
pub(crate) fn unknown() -> SessionId {
    parsed(0xffff_ffff_ffff)
}

/// An id of this number; even ones are free for questions, since an answer's is the next.
pub(crate) fn parsed<T: FromStr>(number: u64) -> T
where
    T::Err: std::fmt::Debug,
{
    format!("00000000-0000-7000-8000-{number:012x}").parse().expect("an id")
}
