//! What a worker does with an event.

mod log;

pub use log::Log;
