//! In-memory adapters of every port. They are adapters like any other: they pass the conformance suite, and a small
//! program may run on them. What they hold is bounded, and gone with the process.
//!
//! | adapter | ports |
//! |---|---|
//! | [`MemoryStore`] | `SessionStore`, `Outbox`, `Probe` |
//! | [`MemoryBus`] | `EventBus` with its `Subscription`s, `DeadLetters` |
//! | [`MemoryAi`] | `AiGateway` |
//! | [`MemoryThrottle`] | `Throttle` |
//! | [`MemoryTokens`] | `TokenIssuer` |
//! | [`MemoryUsers`] | `UserDirectory` |

mod ai;
mod bus;
mod log;
mod outbox;
mod plant;
mod sliding;
mod store;
mod tables;
#[cfg(test)]
#[cfg(feature = "sim")]
mod tests;
mod throttle;
mod tokens;
mod users;

pub use ai::MemoryAi;
pub use bus::MemoryBus;
#[cfg(feature = "plant")]
pub use plant::Plant;
pub use store::MemoryStore;
pub use tables::{Dump, Tally};
pub use throttle::MemoryThrottle;
pub use tokens::MemoryTokens;
pub use users::MemoryUsers;
