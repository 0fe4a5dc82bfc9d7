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

/// Where it is said how a dependency is reached.
#[must_use]
pub fn of_dependency(name: &str) -> &'static str {
    match name {
        "redis" => "REDIS_URL, or REDIS_HOST, REDIS_PORT and REDIS_PASSWORD; and REDIS_CA_FILE",
        "kafka" => {
            "KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, KAFKA_CA_FILE, KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME \
             and KAFKA_SASL_PASSWORD"
        }
        "ai" => "AI_API_URL and AI_API_KEY",
        _ => "DATA_DIR",
    }
}
