//! The worker of chatcore: takes events from the bus and hands each to its handlers.
//!
//! | module | holds |
//! |---|---|
//! | `settings` | what it is told |
//! | [`compose`] | the only place that names adapters |
//! | [`runner`] | the loops |
//! | [`handlers`] | what is done with an event |

mod cli;
pub mod compose;
pub mod handlers;
pub mod runner;
mod settings;

pub use cli::Cli;
pub use settings::{HandlerKind, Settings};
