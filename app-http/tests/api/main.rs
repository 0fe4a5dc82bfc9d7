//! The API as clients see it, and the program as operators see it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod access;
mod app;
mod bad_input;
mod canaries;
mod check_config;
mod contract;
mod crowd;
mod doctor;
mod ending;
mod errors;
mod guests;
mod idempotency;
mod junk;
mod logs;
mod numbers;
mod openapi;
mod outage;
mod pipelined;
mod process;
mod protect;
mod secrets;
mod sessions;
mod settings;
mod slow;
mod stream;
mod tokens;
#[cfg(feature = "otlp")]
mod traces;
mod turns;
mod wire;
