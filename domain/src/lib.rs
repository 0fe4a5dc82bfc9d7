//! A chat backend's core: sessions, messages and turns, the ports they need, and the use cases over them.
//!
//! The crate knows no technology, no clock and no chance. A store, a bus, an AI, an issuer of tokens and a runtime are
//! plugged in through the traits of [`port`]; what they promise to one another stands in the docs of those traits as
//! **laws**. The crate `chatcore-ports` holds in-memory adapters, mocks, a tokio [`Runtime`](port::Runtime) and a suite
//! that tests any adapter law by law.
//!
//! | module | holds |
//! |---|---|
//! | [`chat`] | [`ChatService`]: send, stream, follow, stop, list, delete, adopt, drain |
//! | [`login`] | [`LoginService`]: names and passwords to tokens, guarded by a throttle |
//! | [`guests`] | [`GuestGate`](guests::GuestGate): what guests may do, by address |
//! | [`relay`], [`consume`], [`sweep`] | the steps of the background loops: outbox to bus, bus to handlers, dead turns to answers |
//! | [`port`] | what the core asks of the world |
//! | [`session`], [`message`], [`turn`], [`event`], [`owner`], [`id`] | the vocabulary |
//! | [`policy`] | the numbers the core goes by |
//!
//! Architecture invariant: this crate has no async runtime, does no I/O, reads no environment and no clock. Anything
//! that would need one is a method of a port.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

pub mod chat;
pub mod consume;
pub mod error;
pub mod event;
pub mod guests;
pub mod id;
pub mod login;
pub mod message;
pub mod owner;
pub mod policy;
pub mod port;
pub mod relay;
pub mod session;
pub mod stamp;
pub mod sweep;
mod task;
pub mod turn;
pub mod watch;

/// The target of all spans that tell how long the parts of a request or of an event take. They are for traces, and hold no
/// text of anybody; in a log they say nothing new.
pub const TRACES: &str = "chatcore::traces";

/// The beginning of what comes from outside and may be of any length, where it is to be told.
pub(crate) fn cut(text: &str) -> &str {
    text.char_indices().nth(100).map_or(text, |(end, _)| &text[..end])
}

pub use chat::{Answered, Begun, ChatError, ChatService, SendMessage, TurnEvent};
pub use login::{LoginError, LoginService};
