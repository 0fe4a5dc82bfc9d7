//! What a worker does with an event. A handler gets each event at least once; [`Event::id`](chatcore::event::Event::id) tells
//! a second time, and the place tells a second record of the same event.

pub mod archive;
mod counters;
mod log;
mod webhook;

pub use archive::{Archive, ArchiveConfig};
pub use counters::Counters;
pub use log::Log;
pub use webhook::{Address, Webhook, WebhookConfig};
