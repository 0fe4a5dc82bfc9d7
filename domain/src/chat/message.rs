//! What somebody says, checked and made into a turn's beginning.

use super::Core;
use crate::id::{AttemptId, Key, MessageId, RequestId};
use crate::owner::Owner;
use crate::turn::{NewTurn, Target};
use uuid::Builder;

/// What somebody says.
#[derive(Debug, Clone)]
pub struct SendMessage {
    /// Who.
    pub owner: Owner,
    /// Where.
    pub target: Target,
    /// The client's idempotency key, if it has one. Without one, a repeated message is another message.
    pub key: Option<Key>,
    /// The text: not blank, at most [`max_message`](crate::policy::ChatPolicy::max_message) bytes.
    pub text: String,
    /// The request that asks, for logs, the AI and events.
    pub request_id: Option<RequestId>,
}

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// Nothing but white space.
    #[error("the message is empty")]
    Empty,
    /// More bytes than a message may have.
    #[error("the message is longer than {max} bytes")]
    TooLong {
        /// The most that it may have.
        max: usize,
    },
}

impl Core {
    pub(super) fn new_turn(&self, message: SendMessage) -> Result<NewTurn, InvalidMessage> {
        let SendMessage { owner, target, key, text, request_id } = message;
        if text.trim().is_empty() {
            return Err(InvalidMessage::Empty);
        }
        if text.len() > self.policy.max_message {
            return Err(InvalidMessage::TooLong { max: self.policy.max_message });
        }
        Ok(NewTurn {
            owner,
            target,
            key: key.unwrap_or_else(|| Key::made(self.runtime.new_id())),
            body_hash: fnv1a(text.as_bytes()),
            attempt: AttemptId::from(self.runtime.new_id()),
            message: self.new_message_id(),
            text,
            request_id,
            quota: self.policy.quota,
            window: self.policy.window,
            lease: self.policy.lease,
            ttl: self.policy.session_ttl,
        })
    }

    /// A UUID of version 7: the clock in front, chance behind.
    fn new_message_id(&self) -> MessageId {
        let millis = u64::try_from(self.runtime.now().unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let [_, _, _, _, _, _, chance @ ..] = self.runtime.new_id().into_bytes();
        MessageId::from(Builder::from_unix_timestamp_millis(millis, &chance).into_uuid())
    }
}

/// FNV-1a, 64 bits: the same on every build and machine, since stores keep it. It tells honest mistakes, not forgeries,
/// and a forger could only fool himself: keys are an owner's own.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
