//! The ports: what the core asks of the world. Each is used as `Arc<dyn _>`.
//!
//! The docs of each trait state its **laws**. `chatcore-ports` has a conformance suite with a test of the same name for
//! each of them.
//!
//! Three rules hold for all: arguments own their text and are passed by reference, because a call may be repeated and a
//! failed call may still take effect later; what is foreseen is an `Ok` value, and an error means that the technology
//! failed; every call has a deadline of the adapter's own, so that none hangs.

mod ai_gateway;
mod dead_letters;
mod event_bus;
mod outbox;
mod probe;
mod runtime;
mod session_store;
mod throttle;
mod token_issuer;
mod user_directory;

pub use ai_gateway::{AiChunk, AiError, AiGateway, Prompt};
pub use dead_letters::{DeadLetter, DeadLetterId, DeadLetters, DeadLettersPage, Replay};
pub use event_bus::{Acked, Delivery, DeliveryId, EventBus, Place, Published, Subscription};
pub use outbox::{Backlog, CLAIM_BYTES, Claimed, Entry, EntryId, Mark, Outbox, Settled};
pub use probe::{Health, Probe};
pub use runtime::Runtime;
pub use session_store::SessionStore;
pub use throttle::{Held, Taken, Throttle, Ticket};
pub use token_issuer::{Claims, TokenError, TokenIssuer};
pub use user_directory::{Credentials, User, UserDirectory};
