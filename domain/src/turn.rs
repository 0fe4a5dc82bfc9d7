//! Turns: one question and its one terminal answer, as the core and the store speak of them.

use crate::id::{AttemptId, Fence, Key, MessageId, RequestId, SessionId};
use crate::message::Message;
use crate::owner::Owner;
use crate::policy::{Left, Quota};
use std::collections::BTreeMap;
use std::time::Duration;

/// Which session a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One that exists.
    Existing(SessionId),
    /// One that this message opens.
    New,
}

/// Everything that `begin_turn` needs. Sent again unchanged, it means the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTurn {
    /// Who asks.
    pub owner: Owner,
    /// Where.
    pub target: Target,
    /// The client's idempotency key, or one that the core made.
    pub key: Key,
    /// Tells another body under the same key.
    pub body_hash: u64,
    /// Names this call: a repeat of it is `Started` again, where another call is `Attached`.
    pub attempt: AttemptId,
    /// The id of the question, unless it has one already.
    pub message: MessageId,
    /// The question.
    pub text: String,
    /// The request that asks; it goes along with the turn's events.
    pub request_id: Option<RequestId>,
    /// How many questions the owner may start.
    pub quota: Option<Quota>,
    /// How many messages before the question come back in `Started::window`.
    pub window: usize,
    /// How long the turn stays open unless it is renewed.
    pub lease: Duration,
    /// How long the session lives after this question.
    pub ttl: Duration,
}

/// A turn by name, for any reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TurnId {
    /// Its session.
    pub session: SessionId,
    /// Its question.
    pub message: MessageId,
}

/// The right to write a turn's text and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Which turn.
    pub id: TurnId,
    /// Which attempt at it.
    pub fence: Fence,
}

/// What `begin_turn` answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Began {
    /// The caller runs it.
    Started(Started),
    /// The key was answered before.
    Replayed(Box<Replayed>),
    /// The same key, asked by another call, is running.
    Attached {
        /// The running turn; its fence is to read by, not to write.
        turn: Turn,
        /// The question's place.
        seq: u64,
        /// What is left of its lease.
        retry_after: Duration,
    },
    /// Nothing was stored.
    Refused(Refusal),
}

/// A turn that the caller owns from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The right to write.
    pub turn: Turn,
    /// The question's place.
    pub seq: u64,
    /// The newest messages before the question, oldest first.
    pub window: Vec<Message>,
    /// The same question was begun before.
    pub resumed: bool,
    /// This call closed an orphan of another question. A repeat of the call does not tell it again.
    pub closed: bool,
    /// What is left of the owner's quota; `None` where there is none, or where this question counted before.
    pub left: Option<Left>,
}

/// A turn that was answered before.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The turn, with the fence that its answer continues.
    pub turn: Turn,
    /// What was asked.
    pub question: Message,
    /// What was answered.
    pub answer: Message,
}

/// Why nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Another key is running, and nothing else stands against the question: it is taken once that turn has ended.
    #[error("another message of this session is being answered")]
    Busy {
        /// The running turn.
        turn: TurnId,
        /// What is left of its lease.
        retry_after: Duration,
    },
    /// Another body stands under this key.
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// No such session, or no longer.
    #[error("session not found")]
    NotFound,
    /// Another owner's session.
    #[error("access denied")]
    NotYours,
    /// The session holds as many messages as a session may.
    #[error("the session is full")]
    SessionFull,
    /// The owner has as many sessions as one may have.
    #[error("too many sessions")]
    TooManySessions,
    /// The owner's quota is used up.
    #[error("too many messages")]
    Throttled {
        /// When the next question may start.
        retry_after: Duration,
    },
    /// The outbox is full: events wait for a bus that does not take them.
    #[error("too many events wait for the bus")]
    Overloaded,
}

/// A piece of an answer at its byte offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins.
    pub offset: usize,
    /// The text; empty to renew the lease alone.
    pub text: String,
}

/// What `extend_turn` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extended {
    /// Text and lease are kept.
    Held {
        /// Bytes of live text that the store holds.
        length: usize,
    },
    /// The owner asked to stop; nothing was written.
    StopRequested,
    /// The turn has another attempt, or its answer.
    Fenced,
    /// The session was deleted, or has expired.
    Gone,
}

/// What `close_orphans` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// How many turns were closed.
    pub closed: usize,
    /// How long there is nothing to see, unless a turn begins: until the first lease of the open turns is over, at the
    /// earliest. `None` where there is nothing at all.
    pub quiet: Option<Duration>,
    /// What the clocks say by which leases run out, each since some start of its own: one for each part of the store that
    /// answered, by the part's number, since parts on several machines have several clocks. A store in one piece is part 0.
    pub clocks: BTreeMap<u8, Duration>,
}

/// What `finish_turn` answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Finished {
    /// The answer is in history, by this call or by an earlier one with this fence.
    Stored(Box<Message>),
    /// Another attempt, or the sweeper, ended it.
    Fenced,
    /// The session was deleted, or has expired.
    Gone,
}

/// What `request_stop` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopping {
    /// Its server will see it.
    Requested,
    /// Too late: the turn has its answer.
    Ended,
}

/// How much of an answer a reader has: an attempt and a byte offset in it. The default is before everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Which attempt.
    pub fence: Fence,
    /// How many bytes of it.
    pub offset: usize,
}

/// Where a reader of a turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Which turn.
    pub turn: TurnId,
    /// What it has read.
    pub from: Position,
}

/// What `follow` answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The question's place.
    pub seq: u64,
    /// What was read is void; `text` begins at 0.
    pub restarted: bool,
    /// What comes after the cursor; may be empty.
    pub text: String,
    /// Where the reader stands now: in the attempt that runs, or that the answer continues.
    pub to: Position,
    /// The stored answer, once the turn has ended.
    pub end: Option<Box<Message>>,
}
