//! Puts the adapters behind the ports, as the settings say. No other module names an adapter's crate.

use crate::handlers::{Archive, Counters, Log, Webhook};
use crate::measured::Measured;
use crate::settings::{HandlerKind, Settings};
use app_kit::settings::StoreKind;
use chatcore::consume::{Consumer, EventHandler};
use chatcore::port::{DeadLetters, EventBus, Probe, Runtime, Subscription};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::{Redis, RedisConfig};
use chatcore_sqlite::{Sqlite, SqliteConfig};
use std::error::Error;
use std::sync::Arc;

/// The group that workers are members of.
const GROUP: &str = "workers";

type Failure = Box<dyn Error + Send + Sync>;

/// What the worker's loops run on.
#[derive(Debug)]
pub struct Parts {
    /// Takes one delivery a step.
    pub consumer: Consumer,
    /// Where they come from.
    pub subscription: Arc<dyn Subscription>,
    /// What nothing works without.
    pub probes: Vec<Arc<dyn Probe>>,
    /// Time.
    pub runtime: Arc<dyn Runtime>,
}

/// Puts everything together and joins the group. Called inside a tokio runtime.
///
/// # Errors
/// The bus or a handler's place cannot be opened; the error says what to mend.
pub async fn compose(settings: &Settings) -> Result<Parts, Failure> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    let handlers = settings.handlers.iter().map(|kind| handler(kind, &runtime)).collect::<Result<_, _>>()?;
    let Bus { events, probe, .. } = Bus::open(settings, &runtime).await?;
    let subscription = events.subscribe(GROUP).await?;
    let consumer = Consumer::new(subscription.clone(), handlers, runtime.clone(), settings.tries);
    let names: Vec<_> = settings.handlers.iter().map(HandlerKind::name).collect();
    tracing::info!(lanes = settings.lanes, handlers = names.join(","), "working");
    Ok(Parts { consumer, subscription, probes: vec![probe], runtime })
}

/// The place of what no handler could work off. Called inside a tokio runtime.
///
/// # Errors
/// The bus cannot be opened; the error says what to mend.
pub async fn dead_letters(settings: &Settings) -> Result<Arc<dyn DeadLetters>, Failure> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    Ok(Bus::open(settings, &runtime).await?.letters)
}

/// One technology, as the ports that a worker needs of it.
struct Bus {
    events: Arc<dyn EventBus>,
    letters: Arc<dyn DeadLetters>,
    probe: Arc<dyn Probe>,
}

impl Bus {
    async fn open(settings: &Settings, runtime: &Arc<dyn Runtime>) -> Result<Self, Failure> {
        let (store, limits, runtime) = (&settings.store, settings.store.limits, runtime.clone());
        Ok(match (store.kind, &store.redis) {
            (StoreKind::Redis, Some(redis)) => {
                let mut config = RedisConfig::new("");
                config.urls = redis.urls.iter().map(|url| url.expose().to_owned()).collect();
                (config.key_prefix, config.limits) = (redis.key_prefix.clone(), limits);
                Self::of(Arc::new(Redis::open(config, runtime).await?))
            }
            // The settings give the kind `redis` an address, and refuse `memory`.
            _ => {
                let path = store.file();
                Self::of(Arc::new(Sqlite::open(SqliteConfig { path, limits, ..SqliteConfig::default() }, runtime)?))
            }
        })
    }

    /// The store's own log.
    fn of<S: EventBus + DeadLetters + Probe>(store: Arc<S>) -> Self {
        Self { events: store.clone(), letters: store.clone(), probe: store }
    }
}

fn handler(kind: &HandlerKind, runtime: &Arc<dyn Runtime>) -> Result<Arc<dyn EventHandler>, Failure> {
    let handler: Arc<dyn EventHandler> = match kind {
        HandlerKind::Log => Arc::new(Log::new(runtime.clone())?),
        HandlerKind::Counters => Arc::new(Counters::new()),
        HandlerKind::Archive(config) => {
            let place = config.dir.display();
            let archive = Archive::open(config.clone(), runtime.clone());
            Arc::new(archive.map_err(|error| format!("cannot archive in {place} (ARCHIVE_DIR): {error}"))?)
        }
        HandlerKind::Webhook(config) => Arc::new(Webhook::new(config.clone(), runtime.clone())?),
    };
    Ok(Arc::new(Measured::new(kind.name(), handler, runtime.clone())))
}
