//! What a turn of this process says so far, and the list of such turns.

use super::ChatError;
use crate::id::{AttemptId, Fence, SessionId};
use crate::message::Message;
use crate::policy::Left;
use crate::turn::TurnId;
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A turn that has been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Its name.
    pub turn: TurnId,
    /// Which attempt.
    pub fence: Fence,
    /// The question's place.
    pub seq: u64,
    /// What is left of the owner's quota, where this call took of it.
    pub left: Option<Left>,
    /// What the call found.
    pub found: Found,
}

impl Begun {
    /// The turn's answer, where the turn is the call's own.
    #[must_use]
    pub fn answered(self, answer: Box<Message>) -> Answered {
        let Self { turn, seq, left, found, .. } = self;
        Answered { turn, seq, answer, replayed: false, resumed: found == Found::Question, left }
    }
}

/// What a call found where it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nobody who answers: the turn is this call's own.
    Nobody,
    /// The question, which nobody answered any more: its turn is this call's own.
    Question,
    /// The turn, running by another call of the same key or by one that is only read.
    Running,
    /// Its answer.
    Answer,
}

impl Found {
    /// Whether the turn is the call's own.
    #[must_use]
    pub fn is_own(self) -> bool {
        matches!(self, Self::Nobody | Self::Question)
    }
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The turn; its session is perhaps a new one.
    pub turn: TurnId,
    /// The question's place.
    pub seq: u64,
    /// The answer.
    pub answer: Box<Message>,
    /// The answer stood there before this call.
    pub replayed: bool,
    /// The question stood there before this call, the answer did not.
    pub resumed: bool,
    /// What is left of the owner's quota, where this call took of it.
    pub left: Option<Left>,
}

impl Answered {
    /// What the call found.
    #[must_use]
    pub fn found(&self) -> Found {
        match (self.replayed, self.resumed) {
            (true, _) => Found::Answer,
            (_, true) => Found::Question,
            _ => Found::Nobody,
        }
    }
}

/// What became of a turn's task.
#[derive(Debug, Clone)]
pub(super) enum End {
    Answered(Answered),
    /// Another attempt, or the sweeper, has the turn: its end is in the store.
    Lost(Begun),
    Failed(ChatError),
}

impl End {
    /// In a word, for traces.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Answered(answered) if answered.replayed => "replayed",
            Self::Answered(answered) => answered.answer.status.as_str(),
            Self::Lost(_) => "lost",
            Self::Failed(_) => "failed",
        }
    }
}

/// What a running turn shows to its callers.
#[derive(Debug, Default)]
pub(super) struct State {
    pub begun: Option<Begun>,
    pub text: String,
    /// Somebody asked to stop, or deleted the session: the keeper looks at once.
    pub poked: bool,
    /// The process is about to stop: what has not begun does not begin.
    pub draining: bool,
    /// The process stops: the turn ends with what it has.
    pub halted: bool,
    /// Since when the answer is known, where the store would not take it at once.
    pub settling: Option<Duration>,
    pub end: Option<End>,
}

/// A running turn as its callers see it: text grows, an end comes.
pub(super) type Live = Watch<State>;

impl Live {
    pub(super) async fn begun(&self) -> Result<Begun, ChatError> {
        self.wait(|state| match (&state.begun, &state.end) {
            (Some(begun), _) => Some(Ok(*begun)),
            (None, Some(End::Failed(error))) => Some(Err(error.clone())),
            _ => None,
        })
        .await
    }

    /// The first end counts.
    pub(super) fn finish(&self, end: End) {
        self.update(|state| {
            state.end.get_or_insert(end);
        });
    }

    pub(super) fn turn(&self) -> Option<TurnId> {
        self.read(|state| state.begun.map(|begun| begun.turn))
    }

    fn poke(&self) {
        self.update(|state| state.poked = true);
    }
}

/// The turns of this process.
#[derive(Debug, Default)]
pub(super) struct Registry(Watch<Turns>);

#[derive(Debug, Default)]
struct Turns {
    refusing: bool,
    live: BTreeMap<AttemptId, Arc<Live>>,
}

impl Registry {
    pub(super) fn enter(&self, attempt: AttemptId, live: Arc<Live>, max: usize) -> Result<(), ChatError> {
        self.0.update(|turns| {
            if turns.refusing {
                return Err(ChatError::Stopping { turn: None });
            }
            if turns.live.len() >= max {
                return Err(ChatError::Overloaded);
            }
            turns.live.insert(attempt, live);
            Ok(())
        })
    }

    pub(super) fn leave(&self, attempt: AttemptId) {
        self.0.update(|turns| turns.live.remove(&attempt));
    }

    pub(super) fn refuse(&self) {
        self.0.update(|turns| turns.refusing = true);
        self.all().iter().for_each(|live| live.update(|state| state.draining = true));
    }

    pub(super) async fn empty(&self) {
        self.0.wait(|turns| turns.live.is_empty().then_some(())).await;
    }

    pub(super) fn halt(&self) {
        self.all().iter().for_each(|live| live.update(|state| state.halted = true));
    }

    /// Lets the keeper of a turn look into the store at once. One that is just beginning may be the one that is meant.
    pub(super) fn poke(&self, turn: TurnId) {
        self.all().iter().filter(|live| live.turn().is_none_or(|own| own == turn)).for_each(|live| live.poke());
    }

    /// The same for whatever turn of the session runs here.
    pub(super) fn poke_session(&self, session: SessionId) {
        let of_session = |live: &&Arc<Live>| live.turn().is_none_or(|turn| turn.session == session);
        self.all().iter().filter(of_session).for_each(|live| live.poke());
    }

    fn all(&self) -> Vec<Arc<Live>> {
        self.0.read(|turns| turns.live.values().cloned().collect())
    }
}
