//! The programs on a real Apache Kafka, also one that misbehaves: real processes, one test for each fault.
//!
//! What breaks a broker has a broker of its own; the others share one.
#![expect(clippy::disallowed_methods, reason = "how long something real takes is real time")]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

#[path = "../../adapters/kafka/tests/common/broker.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the adapter's own tests use the rest")]
#[expect(clippy::print_stderr, reason = "a test says why it is skipped")]
mod brokers;
#[path = "../it/client.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod client;
mod field;
mod interop;
mod latency;
mod outage;
mod parked;
mod poisoned;
mod printer;
#[path = "../it/process.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod process;
mod records;
#[path = "../../adapters/redis/tests/common/server.rs"]
#[allow(dead_code, reason = "the adapter's own tests use the rest")]
mod redis;
mod secured;
mod shared;
mod slow;
#[path = "../it/stand_in.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod stand_in;
mod talk;
mod topics;
#[path = "../it/worker_process.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod worker_process;
