//! What somebody says, checked and made into a turn's beginning.

use super::Core;
use crate::id::{AttemptId, Key, MessageId, RequestId};
use crate::owner::Owner;
use crate::policy::Quota;
use crate::turn::{NewTurn, Target};
use std::time::Duration;
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
    /// The text: something that can be seen, without U+0000, at most
    /// [`max_message`](crate::policy::ChatPolicy::max_message) bytes.
    pub text: String,
    /// The request that asks, for logs, the AI and events.
    pub request_id: Option<RequestId>,
    /// What happens where another message of the session is being answered.
    pub on_busy: OnBusy,
    /// Whether this goes on only where it was asked before under its key; what is new is refused as beyond the quota.
    pub only_known: bool,
}

impl SendMessage {
    /// A message that opens a session, without a key, refused where it has to wait.
    ///
    /// ```
    /// # use chatcore::{id::UserId, owner::Owner, turn::Target, SendMessage};
    /// # fn in_a_session(session: chatcore::id::SessionId) -> Result<SendMessage, chatcore::error::Invalid> {
    /// let alice = Owner::User(UserId::parse("alice")?);
    /// let message = SendMessage { target: Target::Existing(session), ..SendMessage::new(alice, "and then?") };
    /// # Ok(message) }
    /// ```
    pub fn new(owner: Owner, text: impl Into<String>) -> Self {
        let (target, on_busy) = (Target::New, OnBusy::Reject);
        Self { owner, target, key: None, text: text.into(), request_id: None, on_busy, only_known: false }
    }
}

/// What becomes of a message that comes while another one of its session is being answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBusy {
    /// It is refused.
    #[default]
    Reject,
    /// The other is stopped: its text so far becomes its answer. Then this one begins.
    Cancel,
    /// It begins when the other has ended. Those who wait at the same time begin in any order.
    Wait,
}

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// Nothing that can be seen: white space, control characters and characters without a shape.
    #[error("the message is empty")]
    Empty,
    /// The character U+0000 is in it: some stores refuse a text with it, and many tools take it for the end of the text.
    #[error("the message holds the character U+0000")]
    Nul,
    /// More bytes than a message may have.
    #[error("the message is longer than {max} bytes")]
    TooLong {
        /// The most that it may have.
        max: usize,
    },
}

impl Core {
    pub(super) fn new_turn(&self, message: SendMessage) -> Result<NewTurn, InvalidMessage> {
        let SendMessage { owner, target, key, text, request_id, on_busy: _, only_known } = message;
        check(&text, self.policy.max_message)?;
        let nothing = Quota { limit: 0, window: Duration::from_secs(1) };
        Ok(NewTurn {
            owner,
            target,
            key: key.unwrap_or_else(|| Key::made(self.runtime.new_id())),
            body_hash: fnv1a(text.as_bytes()),
            attempt: AttemptId::from(self.runtime.new_id()),
            message: self.new_message_id(),
            text,
            request_id,
            quota: if only_known { Some(nothing) } else { self.policy.quota },
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

fn check(text: &str, max: usize) -> Result<(), InvalidMessage> {
    if text.len() > max {
        Err(InvalidMessage::TooLong { max })
    } else if text.contains('\0') {
        Err(InvalidMessage::Nul)
    } else if text.chars().all(is_invisible) {
        Err(InvalidMessage::Empty)
    } else {
        Ok(())
    }
}

/// Whether nothing is seen of it: white space, control characters, the blank of Braille, and what Unicode has nothing drawn for
/// (`Default_Ignorable_Code_Point`: joiners, marks of direction, fillers, selectors, tags).
fn is_invisible(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// FNV-1a, 64 bits: the same on every build and machine, since stores keep it. It tells honest mistakes, not forgeries,
/// and a forger could only fool himself: keys are an owner's own.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_something_that_can_be_seen() {
        let blank = [
            "",
            " ",
            "\n\t\u{3000}",
            "\u{200b}",
            "\u{feff}\u{7f} \u{85}",
            "\u{2028}\u{2029}",
            "\u{202e}\u{ad}",
            "\u{3164}\u{2800}",
            "\u{fe0f}\u{e0041}",
        ];
        for text in blank {
            assert_eq!(check(text, 100), Err(InvalidMessage::Empty), "{text:?}");
        }
        for text in ["?", " . ", "ư", "🙂", "👨\u{200d}👩", "\u{200b}x", "\u{202e}hi", "\u{1}x\u{1b}"] {
            assert_eq!(check(text, 100), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn a_message_holds_no_nul_and_no_more_than_it_may() {
        assert_eq!(check("a\0b", 3), Err(InvalidMessage::Nul));
        assert_eq!(check("\0", 3), Err(InvalidMessage::Nul), "that it is empty as well is no help");
        assert_eq!(check("abc", 3), Ok(()));
        for long in ["abcd", "    ", "\0\0\0\0", "ab\u{200b}"] {
            assert_eq!(check(long, 3), Err(InvalidMessage::TooLong { max: 3 }), "{long:?}");
        }
    }
}
