//! The conformance suite: one test for each law of the ports, for any adapter.
//!
//! Each port has a module with its laws, a harness that says how to make what is tested, and a macro that expands
//! into one `#[test]` for each law, so that a broken adapter fails by the name of what it broke. [`broken`] runs the
//! same laws from a program. How to use it stands in the [manual](crate::manual).
#![expect(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a suite of tests fails by panicking")]

mod chat;
mod law;
mod store_harness;

pub mod ai_gateway;
pub mod dead_letters;
pub mod event_bus;
pub mod outbox;
pub mod runtime;
pub mod session_store;
pub mod throttle;
pub mod token_issuer;
pub mod user_directory;

pub use ai_gateway::AiHarness;
pub use event_bus::{BusHarness, OpenBus};
pub use law::{Broken, Law, broken, check};
pub use runtime::RuntimeHarness;
pub use store_harness::{OpenStore, StoreHarness};
pub use throttle::ThrottleHarness;
pub use token_issuer::TokenHarness;
pub use user_directory::UsersHarness;
