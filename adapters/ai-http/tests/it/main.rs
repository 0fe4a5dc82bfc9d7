//! The gateway against real servers, its decorators against a scripted gateway.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test may stop where it stands")]

mod breaker;
mod bulkhead;
mod config;
mod connect;
mod drops;
mod hostile;
mod laws;
mod native;
mod openai;
mod packages;
mod pieces;
mod probe;
mod server;
mod support;
