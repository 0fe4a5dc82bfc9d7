//! Puts the adapters behind the ports, as the settings say. No other module names an adapter's crate.

use crate::handlers::{Archive, Counters, Log, Webhook};
use crate::letters::LettersCommand;
use crate::measured::Measured;
use crate::pulse::Pulse;
use crate::settings::{HandlerKind, MongoDbPlace, Settings, opens};
use app_kit::probing::Watched;
use app_kit::relaying::Relaying;
use app_kit::settings::{self, Faults, StoreKind};
use app_kit::{compose, directory};
use chatcore::consume::EventHandler;
use chatcore::port::{DeadLetters, EventBus, Outbox, Probe, Runtime};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_redis::Redis;
use chatcore_sqlite::Sqlite;
use futures_util::FutureExt;
use std::error::Error;
use std::sync::Arc;

/// The group that workers are members of on a store's own log.
const GROUP: &str = "workers";

type Failure = Box<dyn Error + Send + Sync>;

/// What the worker's loops run on.
#[derive(Debug)]
pub struct Parts {
    /// What is done with an event.
    pub handlers: Vec<Arc<dyn EventHandler>>,
    /// How the loops are, and the handlers.
    pub pulse: Arc<Pulse>,
    /// Where events come from.
    pub bus: Arc<dyn EventBus>,
    /// The group to be a member of.
    pub group: String,
    /// What moves events to Kafka, where this program does that.
    pub relay: Option<Relaying>,
    /// What nothing works without.
    pub probes: Vec<Arc<dyn Probe>>,
    /// Time.
    pub runtime: Arc<dyn Runtime>,
}

/// Puts everything together. Called inside a tokio runtime.
///
/// # Errors
/// The bus or a handler's place cannot be opened; the error says what to mend.
pub async fn compose(settings: &Settings) -> Result<Parts, Failure> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    Faults::unless_none(check(Some(&settings.store), &settings.handlers))?;
    let (mut handlers, mut probes, mut relay) = (Vec::new(), Vec::new(), None);
    let pulse = Arc::new(Pulse::new(runtime.clone()));
    for kind in &settings.handlers {
        let (handler, probe) = handler(kind, &runtime).await?;
        handlers.push(Arc::new(Measured::new(kind.name(), handler, runtime.clone(), pulse.clone())) as _);
        probes.extend(probe);
    }
    let Bus { events: bus, probe, .. } = Bus::open(settings, &runtime).await?;
    probes.push(probe);
    if settings.store.kafka.as_ref().is_some_and(|kafka| kafka.relay) {
        let (outbox, probe) = Store::open(&settings.store, &runtime).await?.outbox();
        probes.push(probe);
        relay = Some(Relaying::between(outbox, bus.clone(), runtime.clone()));
    }
    let group = settings.store.kafka.as_ref().map_or(GROUP, |kafka| &kafka.group).to_owned();
    let watched = |probe| -> Arc<dyn Probe> { Arc::new(Watched::new(probe, runtime.clone())) };
    let probes = probes.into_iter().map(watched).collect();
    Ok(Parts { handlers, pulse, bus, group, relay, probes, runtime })
}

/// What shows without a network of settings that cannot be right, and which ones they are. Called inside a tokio runtime.
pub(crate) fn check(store: Option<&settings::Store>, handlers: &[HandlerKind]) -> Vec<String> {
    let of_store = |store| compose::check(store, opens(store), Arc::new(TokioRuntime::current()));
    let of_handlers = handlers.iter().filter_map(|kind| match kind {
        HandlerKind::Archive(config) => {
            directory::unusable(&config.dir).map(|why| format!("nothing can be archived: {why}; see ARCHIVE_DIR"))
        }
        HandlerKind::MongoDb(place) => unreadable(place),
        _ => None,
    });
    store.map(of_store).unwrap_or_default().into_iter().chain(of_handlers).collect()
}

/// Makes the topics that are missing; answers their names. Called inside a tokio runtime.
///
/// # Errors
/// There is no Kafka in the settings, or it does not answer.
pub async fn create_topics(settings: &Settings) -> Result<Vec<String>, Failure> {
    let kafka = settings.store.kafka.as_ref().ok_or("there is no Kafka: set KAFKA_BOOTSTRAP_SERVERS")?;
    let kafka = compose::kafka(kafka, Arc::new(TokioRuntime::current()))?;
    // Boxed, since the compiler would look through all that is inside of it.
    kafka.create_topics().boxed().await.map_err(|error| format!("{error}: {}", error.source).into())
}

/// The place of what no handler could work off; or of what never got out of the outbox. Called inside a tokio runtime.
///
/// # Errors
/// The bus or the store cannot be opened; the error says what to mend.
pub(crate) async fn dead_letters(
    settings: &Settings,
    command: &LettersCommand,
) -> Result<Arc<dyn DeadLetters>, Failure> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current());
    if !command.of_outbox() {
        return Ok(match &settings.store.kafka {
            Some(settings) => {
                let kafka = compose::kafka(settings, runtime)?;
                Arc::new(match command.takes_over() {
                    true => kafka.replaying_to(&settings.group),
                    false => kafka.replaying_of(&settings.group),
                })
            }
            None => Bus::open(settings, &runtime).await?.letters,
        });
    }
    if settings.store.kind == StoreKind::Memory {
        return Err("STORE is memory, which no other process can read".into());
    }
    Ok(Store::open(&settings.store, &runtime).await?.letters())
}

/// The bus, as the ports that a worker needs of it.
struct Bus {
    events: Arc<dyn EventBus>,
    letters: Arc<dyn DeadLetters>,
    probe: Arc<dyn Probe>,
}

impl Bus {
    async fn open(settings: &Settings, runtime: &Arc<dyn Runtime>) -> Result<Self, Failure> {
        Ok(match &settings.store.kafka {
            Some(kafka) => Self::of(compose::kafka(kafka, runtime.clone())?),
            None => match Store::open(&settings.store, runtime).await? {
                Store::Sqlite(store) => Self::of(store),
                Store::Redis(store) => Self::of(store),
            },
        })
    }

    fn of<B: EventBus + DeadLetters + Probe>(bus: B) -> Self {
        let bus = Arc::new(bus);
        Self { events: bus.clone(), letters: bus.clone(), probe: bus }
    }
}

/// A store whose log is the bus, or from whose outbox a relay moves events to Kafka.
enum Store {
    Sqlite(Sqlite),
    Redis(Redis),
}

impl Store {
    async fn open(settings: &settings::Store, runtime: &Arc<dyn Runtime>) -> Result<Self, Failure> {
        Ok(match (settings.kind, &settings.redis) {
            // That it may throw keys away is the server's to refuse, which writes them.
            (StoreKind::Redis, Some(redis)) => {
                Self::Redis(compose::redis(redis, settings.limits, true, runtime.clone()).await?)
            }
            // The settings give the kind `redis` an address, and refuse `memory`.
            _ => Self::Sqlite(compose::sqlite(settings, runtime.clone())?),
        })
    }

    fn letters(self) -> Arc<dyn DeadLetters> {
        match self {
            Self::Sqlite(store) => Arc::new(store),
            Self::Redis(store) => Arc::new(store),
        }
    }

    fn outbox(self) -> (Arc<dyn Outbox>, Arc<dyn Probe>) {
        match self {
            Self::Sqlite(store) => (Arc::new(store.clone()), Arc::new(store)),
            Self::Redis(store) => (Arc::new(store.clone()), Arc::new(store)),
        }
    }
}

/// A handler, and what tells whether it can work, where that depends on something outside.
type Handling = (Arc<dyn EventHandler>, Option<Arc<dyn Probe>>);

async fn handler(kind: &HandlerKind, runtime: &Arc<dyn Runtime>) -> Result<Handling, Failure> {
    Ok(match kind {
        HandlerKind::Log => (Arc::new(Log::new()?), None),
        HandlerKind::Counters => (Arc::new(Counters::new()), None),
        HandlerKind::Archive(config) => {
            let place = config.dir.display();
            let archive = Archive::open(config.clone(), runtime.clone());
            (Arc::new(archive.map_err(|error| format!("cannot archive in {place} (ARCHIVE_DIR): {error}"))?), None)
        }
        HandlerKind::Webhook(config) => (Arc::new(Webhook::new(config.clone(), runtime.clone())?), None),
        HandlerKind::MongoDb(place) => mongodb(place, runtime.clone()).await?,
    })
}

#[cfg(feature = "mongodb")]
async fn mongodb(place: &MongoDbPlace, runtime: Arc<dyn Runtime>) -> Result<Handling, Failure> {
    let mongodb = chatcore_mongodb::MongoDb::open(mongodb_config(place), runtime).await;
    let mongodb = Arc::new(mongodb.map_err(|error| format!("{error}; see MONGODB_URI"))?);
    Ok((mongodb.clone(), Some(mongodb)))
}

#[cfg(feature = "mongodb")]
fn mongodb_config(place: &MongoDbPlace) -> chatcore_mongodb::MongoDbConfig {
    let mut config = chatcore_mongodb::MongoDbConfig::new(place.uri.expose());
    config.database.clone_from(&place.database);
    config
}

/// Why the driver could not be told this.
#[cfg(feature = "mongodb")]
fn unreadable(place: &MongoDbPlace) -> Option<String> {
    mongodb_config(place).check().err().map(|error| format!("{error}; see MONGODB_URI"))
}

/// The settings refuse it before.
#[cfg(not(feature = "mongodb"))]
fn unreadable(_: &MongoDbPlace) -> Option<String> {
    None
}

/// The settings refuse it before.
#[cfg(not(feature = "mongodb"))]
async fn mongodb(_: &MongoDbPlace, _: Arc<dyn Runtime>) -> Result<Handling, Failure> {
    Err(HandlerKind::NO_MONGODB.into())
}
