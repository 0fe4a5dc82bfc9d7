//! Messages: what was asked and what was answered.

use crate::error::Invalid;
use crate::id::MessageId;
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;

mod products;

pub use products::Products;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Role {
    /// The owner.
    User,
    /// The AI, or what stands in for it.
    Assistant,
}

impl Role {
    /// As it stands in JSON and in stores: `user`, `assistant`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// How a turn ended; a question is `Accepted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Status {
    /// A question.
    Accepted,
    /// The AI answered to its end: with text, or with products alone.
    Completed,
    /// The AI gave nothing; the fallback text stands in.
    Fallback,
    /// The answer broke off; its text so far is kept.
    Failed,
    /// The owner stopped it; its text so far is kept.
    Cancelled,
}

impl Status {
    const ALL: [Self; 5] = [Self::Accepted, Self::Completed, Self::Fallback, Self::Failed, Self::Cancelled];

    /// As it stands in JSON and in stores: `accepted`, `completed`, `fallback`, `failed`, `cancelled`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Completed => "completed",
            Self::Fallback => "fallback",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let rule = "accepted, completed, fallback, failed or cancelled";
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(Invalid { what: "status", rule })
    }
}

/// What an AI says beside its text.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AiReply {
    /// The products that the answer speaks of, kept as they came.
    pub products: Products,
    /// What the AI took the question for.
    pub intent: Option<String>,
    /// How sure it is; finite, by convention from 0 to 1.
    pub confidence: Option<f64>,
}

/// The terminal answer of a turn, before the store numbers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// How the turn ended; never `Accepted`.
    pub status: Status,
    /// Its text; may be empty where products are the answer, or where the owner stopped it before any.
    pub content: String,
    /// What came beside the text.
    pub reply: AiReply,
}

/// A message of a session's history.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The turn that it belongs to, by its question's id.
    pub turn: MessageId,
    /// 1, 2, 3 ... without gaps.
    pub seq: u64,
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: String,
    /// What the AI said beside its text; empty for a question.
    pub reply: AiReply,
    /// `Accepted` for a question, how the turn ended for an answer.
    pub status: Status,
    /// The question's `seq`, for an answer.
    pub reply_to: Option<u64>,
    /// When the store took it.
    pub at: OffsetDateTime,
}

impl Message {
    /// A question as a store writes it.
    #[must_use]
    pub fn question(turn: MessageId, seq: u64, content: String, at: OffsetDateTime) -> Self {
        let (role, status) = (Role::User, Status::Accepted);
        Self { turn, seq, role, content, reply: AiReply::default(), status, reply_to: None, at }
    }

    /// The answer to question number `reply_to` as a store writes it.
    #[must_use]
    pub fn answer(turn: MessageId, seq: u64, reply_to: u64, answer: Answer, at: OffsetDateTime) -> Self {
        let Answer { status, content, reply } = answer;
        Self { turn, seq, role: Role::Assistant, content, reply, status, reply_to: Some(reply_to), at }
    }

    /// Its own name, unlike that of any other message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        match self.role {
            Role::User => self.turn,
            Role::Assistant => self.turn.of_answer(),
        }
    }
}

/// A page of a history: the newest `limit` messages before a place, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagesPage {
    /// Only messages with a smaller `seq`; `None` for the newest.
    pub before: Option<u64>,
    /// How many messages at most.
    pub limit: usize,
}

/// A page of what came later in a history: the oldest `limit` messages behind a place, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewerPage {
    /// Only messages with a larger `seq`; 0 for all.
    pub after: u64,
    /// How many messages at most; at least 1.
    pub limit: usize,
}
