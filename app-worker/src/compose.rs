//! Puts the adapters behind the ports, as the settings say. No other module names an adapter's crate.

use crate::handlers::Log;
use crate::runner::Runner;
use crate::settings::{HandlerKind, Settings};
use chatcore::consume::{Consumer, EventHandler};
use chatcore::port::{EventBus, Runtime};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_sqlite::{Sqlite, SqliteConfig};
use std::error::Error;
use std::io;
use std::sync::Arc;

/// The group that workers are members of.
const GROUP: &str = "workers";
/// How often a handler tries an event before the event is parked.
const TRIES: u32 = 5;

/// Puts everything together and joins the group. Called inside a tokio runtime.
///
/// # Errors
/// The store cannot be opened; the error says what to mend.
pub async fn compose(settings: &Settings) -> Result<Runner, Box<dyn Error + Send + Sync>> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    let (path, limits) = (settings.store.file(), settings.store.limits);
    let bus = Sqlite::open(SqliteConfig { path, limits, ..SqliteConfig::default() }, runtime.clone())?;
    let subscription = bus.subscribe(GROUP).await?;
    let handlers = settings.handlers.iter().map(|kind| handler(*kind, &runtime)).collect::<Result<_, _>>()?;
    let consumer = Consumer::new(subscription.clone(), handlers, runtime.clone(), TRIES);
    tracing::info!(lanes = settings.lanes, handlers = ?settings.handlers, "working");
    Ok(Runner { consumer, subscription, runtime, lanes: settings.lanes, grace: settings.grace })
}

fn handler(kind: HandlerKind, runtime: &Arc<dyn Runtime>) -> io::Result<Arc<dyn EventHandler>> {
    Ok(match kind {
        HandlerKind::Log => Arc::new(Log::new(runtime.clone())?),
    })
}
