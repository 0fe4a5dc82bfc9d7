//! The worker of chatcore: takes events from the bus and hands each to its handlers.
//!
//! | module | holds |
//! |---|---|
//! | `settings` | what it is told |
//! | [`compose`] | the only place that names adapters |
//! | `application`, [`runner`] | the worker as one value, and its loops |
//! | [`handlers`] | what is done with an event |
//! | [`health`], `pulse`, `measured` | whether it is well, and its numbers |
//! | `letters` | the commands over dead letters |

mod application;
mod cli;
pub mod compose;
pub mod handlers;
pub mod health;
mod letters;
mod measured;
mod pulse;
pub mod runner;
mod settings;

pub use application::Application;
pub use cli::Cli;
pub use measured::Measured;
pub use pulse::Pulse;
pub use settings::{HandlerKind, MongoDbPlace, Settings};
