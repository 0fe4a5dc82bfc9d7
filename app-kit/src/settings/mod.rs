//! Settings: what a program is told from outside, read once and checked as a whole.
//!
//! This is the only reader of the environment and of `.env`. One table holds the settings of both programs, so that one
//! `.env` serves both; each reads those that it needs. All faults are told at once, each with its name and where its value
//! came from. Nothing here shows a secret in `Debug`.

mod dot_env;
mod fault;
mod kafka;
mod logs;
mod near;
pub mod parse;
mod reader;
mod redis;
mod secret;
mod show;
mod source;
mod store;
pub mod table;
mod traces;

pub use fault::{Fault, Faults};
pub use kafka::{Kafka, Mechanism, Sasl};
pub use logs::{LogFormat, Logs};
pub use reader::Reader;
pub use redis::Redis;
pub use secret::Secret;
pub use show::{env_example, help, readme_table};
pub use source::Origin;
pub use store::{Store, StoreKind};
pub use traces::{Sampler, Traces};
