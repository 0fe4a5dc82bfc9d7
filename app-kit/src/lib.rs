//! What the two programs share: how they are told things, how they log and count, and how they are told to stop. Nothing of
//! it knows what a program does.

pub mod flags;
pub mod metrics;
pub mod settings;
pub mod stop;
pub mod telemetry;
