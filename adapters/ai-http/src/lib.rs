//! An AI service over HTTP as the [`AiGateway`](chatcore::port::AiGateway) of chatcore.
//!
//! [`HttpAi`] asks one service in one [`Wire`] format, with deadlines, caps on what comes back, a circuit breaker and a
//! limit on calls at once. The last two are decorators of any gateway, [`Breaker`] and [`Bulkhead`], for use elsewhere.
//! What is sent, what is taken and what is guarded against stands in the README.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

mod clients;
mod config;
mod error;
mod gateway;
pub mod resilience;
mod tokens;
mod upstream;
mod wire;

pub use config::{HttpAiConfig, Secret};
pub use error::ConfigError;
pub use gateway::HttpAi;
pub use resilience::{Breaker, BreakerPolicy, Bulkhead, BulkheadPolicy};
pub use tokens::Tokens;
pub use wire::{OpenAi, Wire};
