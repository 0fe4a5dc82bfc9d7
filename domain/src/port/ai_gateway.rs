//! Whoever answers.

use crate::id::RequestId;
use crate::message::{AiReply, Message};
use crate::owner::Owner;
use crate::turn::TurnId;
use futures_core::stream::BoxStream;
use std::fmt::Debug;

/// A question with what came before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Which turn; its message id serves as the upstream's idempotency key.
    pub turn: TurnId,
    /// Who asks.
    pub owner: Owner,
    /// The request that asks.
    pub request_id: Option<RequestId>,
    /// The question.
    pub text: String,
    /// Usable earlier messages, oldest first: questions with their completed answers.
    pub history: Vec<Message>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum AiChunk {
    /// Text, to be appended to what came before.
    Text(String),
    /// The end, with what came beside the text. A stream that ends without it broke off.
    Done(AiReply),
}

/// The AI gave no answer, or no whole one. The reason is for logs and holds no text of a user.
///
/// The core makes no difference between them; whoever counts faults does, so that one user whose questions are refused
/// cannot make a service look dead to all others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AiError {
    /// The service is at fault: it is away, late, or answers nonsense.
    #[error("{0}")]
    Failed(String),
    /// The question is: the service is well, but does not answer this one, or not in the time there is.
    #[error("{0}")]
    Refused(String),
    /// The service was not asked: it is given a rest, or has enough to do.
    #[error("{0}")]
    Unasked(String),
}

/// Whoever answers.
///
/// Not async: the stream connects when it is first polled, so that all errors come from one place. A backend that
/// answers in one piece yields one [`Text`](AiChunk::Text) and [`Done`](AiChunk::Done).
///
/// # Laws
/// - **an answer is text and one done**: any number of `Text`, then `Done`, then nothing.
/// - **a dropped stream stops the upstream call**: nothing of it goes on in the background.
/// - **a malformed answer is an error**, never a panic and never an answer.
///
/// The deadline and the cap on an answer's size are the core's.
pub trait AiGateway: Debug + Send + Sync + 'static {
    /// The answer in pieces.
    fn answer(&self, prompt: Prompt) -> BoxStream<'static, Result<AiChunk, AiError>>;
}
