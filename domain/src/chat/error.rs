//! What a caller of the chat may be told instead of an answer.

use super::live::Begun;
use super::message::InvalidMessage;
use crate::error::BackendError;
use crate::turn::{Refusal, TurnId};
use std::time::Duration;

/// What a caller may be told instead of an answer.
///
/// Only [`Invalid`](Self::Invalid) and [`Refused`](Self::Refused) say for certain that nothing was stored. After any
/// other but [`Gone`](Self::Gone), the same message under the same idempotency key gives the one answer of the turn.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The message is none.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// The store took no question.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The question was taken, and its session deleted before it was answered.
    #[error("the session was deleted before the answer was there")]
    Gone,
    /// The same key is running elsewhere; its answer comes under the same key, or by following.
    #[error("this message is being answered")]
    Running {
        /// The running turn.
        begun: Begun,
        /// When its lease is over, at the latest.
        retry_after: Duration,
    },
    /// The store is away.
    #[error("the store is not available")]
    Unavailable {
        /// The turn, if it is known to be taken.
        turn: Option<TurnId>,
        /// What the store said last; `None` where it is still being asked.
        source: Option<BackendError>,
    },
    /// As many turns run in this process as may.
    #[error("too many messages are being answered")]
    Overloaded,
    /// This process is stopping.
    #[error("the server is stopping")]
    Stopping {
        /// The turn, if one was taken; it stays open for its key.
        turn: Option<TurnId>,
    },
}

impl ChatError {
    /// The turn that the message has, where one is known: a client without a key finds its answer by it.
    #[must_use]
    pub fn turn(&self) -> Option<TurnId> {
        match self {
            Self::Refused(Refusal::Busy { turn, .. }) => Some(*turn),
            Self::Running { begun, .. } => Some(begun.turn),
            Self::Unavailable { turn, .. } | Self::Stopping { turn } => *turn,
            _ => None,
        }
    }
}
