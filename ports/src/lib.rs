//! The kit for whoever implements or fakes a port of [`chatcore`]. It holds no decision of the chat domain.
//!
//! | module | feature | holds |
//! |---|---|---|
//! | [`ahead`] | | a `Runtime` whose steady clock jumps, for tests |
#![cfg_attr(feature = "conformance", doc = "| [`conformance`] | `conformance` | one test for each law of the ports |")]
#![cfg_attr(feature = "conformance", doc = "| [`manual`] | `conformance` | how to write an adapter |")]
#![cfg_attr(feature = "memory", doc = "| [`memory`] | `memory` | in-memory adapters of every port |")]
#![cfg_attr(feature = "mock", doc = "| [`mock`] | `mock` | mocks of every port, made by mockall |")]
#![cfg_attr(feature = "tokio", doc = "| [`tokio`] | `tokio` | the `Runtime` of programs |")]
#![cfg_attr(feature = "sim", doc = "| [`sim`] | `sim` | a deterministic `Runtime`: virtual time, one seed |")]
//!
//! The feature `plant` lets a `MemoryStore` be made with a bug, to see whether tests find it. The vocabulary is
//! re-exported as [`chatcore`], so that an adapter needs no second dependency.
#![cfg_attr(all(feature = "memory", feature = "tokio"), doc = "\n## A chat in a program of your own\n\n```rust")]
#![cfg_attr(all(feature = "memory", feature = "tokio"), doc = include_str!("../examples/embed.rs"))]
#![cfg_attr(all(feature = "memory", feature = "tokio"), doc = "```")]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

pub use chatcore;

pub mod ahead;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
#[doc = include_str!("manual.md")]
pub mod manual {}
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "tokio")]
pub mod tokio;
