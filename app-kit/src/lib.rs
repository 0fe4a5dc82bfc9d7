//! What the two programs share: how they are told things, what they run on, how they log, trace and count, and how they are told to stop. Nothing of
//! it knows what a program does.

pub mod alive;
pub mod compose;
pub mod directory;
pub mod flags;
pub mod metrics;
pub mod probing;
pub mod program;
pub mod relaying;
pub mod settings;
pub mod stop;
pub mod telemetry;
pub mod traces;
pub mod warnings;
