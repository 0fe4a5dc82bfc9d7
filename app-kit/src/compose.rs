//! Opens the stores and the bus that both programs can run on, as the settings say. Beside the programs' own `compose`, no
//! module names an adapter's crate.

use crate::directory;
use crate::settings::{self, Mechanism, Store, StoreKind};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::StoreLimits;
use chatcore::port::{Health, Probe, Runtime};
use chatcore_kafka::{Compression, GroupProtocol, Kafka, KafkaConfig, Sasl, Security, Tls, Topics};
use chatcore_redis::{Redis, RedisConfig};
use chatcore_sqlite::{Sqlite, SqliteConfig};
use std::fmt::Display;
use std::sync::Arc;

/// The file under `DATA_DIR`.
///
/// # Errors
/// It cannot be opened; the error says what to mend, and by which setting.
pub fn sqlite(store: &Store, runtime: Arc<dyn Runtime>) -> Result<Sqlite, String> {
    let (path, limits) = (store.file(), store.limits);
    let opened = Sqlite::open(SqliteConfig { path, limits, ..SqliteConfig::default() }, runtime);
    opened.map_err(|error| fault("sqlite", error))
}

/// Why the file under `DATA_DIR` cannot be made or written, as far as that shows without doing so.
#[must_use]
pub fn unusable_file(store: &Store) -> Option<String> {
    let file = store.file();
    let (what, why) = match file.exists() {
        true => ("read and written", directory::unusable_file(&file)),
        false => ("made", directory::unusable(&store.data_dir)),
    };
    why.map(|why| fault("sqlite", format!("the file {} cannot be {what}: {why}", file.display())))
}

/// A Redis, or a cluster. One that throws keys away when it is full is refused unless it may.
///
/// # Errors
/// It is unfit; the error says what to mend, and by which settings. One that is away is none.
pub async fn redis(
    settings: &settings::Redis,
    limits: StoreLimits,
    may_evict: bool,
    runtime: Arc<dyn Runtime>,
) -> Result<Redis, String> {
    let mut config = redis_config(settings);
    (config.limits, config.may_evict) = (limits, may_evict);
    Redis::open(config, runtime).await.map_err(|error| fault("redis", error))
}

fn redis_config(settings: &settings::Redis) -> RedisConfig {
    let mut config = RedisConfig::new("");
    config.urls = settings.urls.iter().map(|url| url.expose().to_owned()).collect();
    config.ca_file.clone_from(&settings.ca_file);
    config.key_prefix.clone_from(&settings.key_prefix);
    config
}

/// What shows without a network of settings that cannot be right, and which ones they are. `opens` says whether this program
/// opens the store.
pub fn check(store: &Store, opens: bool, runtime: Arc<dyn Runtime>) -> Vec<String> {
    let sqlite = if opens && store.kind == StoreKind::Sqlite { unusable_file(store) } else { None };
    let redis = store.redis.as_ref().filter(|_| store.kind == StoreKind::Redis);
    let redis = redis.and_then(|settings| redis_config(settings).check().err());
    let kafka = store.kafka.as_ref().and_then(|settings| kafka(settings, runtime).err());
    let redis = redis.map(|error| fault("redis", error));
    sqlite.into_iter().chain(redis).chain(kafka.map(|error| fault("kafka", error))).collect()
}

/// Why a dependency cannot be used, and by which settings it is reached.
pub fn fault(dependency: &str, why: impl Display) -> String {
    format!("{why}; see {}", settings::of_dependency(dependency))
}

/// A Kafka.
///
/// # Errors
/// The settings cannot be right. Brokers that are away are none.
pub fn kafka(settings: &settings::Kafka, runtime: Arc<dyn Runtime>) -> Result<Kafka, chatcore_kafka::OpenError> {
    let mut config = KafkaConfig::new(settings.servers.clone());
    config.topics = Topics {
        requests: settings.requests.clone(),
        responses: settings.responses.clone(),
        sessions: settings.sessions.clone(),
        dlq: settings.dlq.clone(),
    };
    (config.partitions, config.replication) = (settings.partitions, settings.replication);
    config.group_protocol = if settings.newer_protocol { GroupProtocol::Consumer } else { GroupProtocol::Classic };
    config.compression = if settings.gzip { Compression::Gzip } else { Compression::None };
    config.security = Security {
        tls: settings.tls.then(|| Tls { ca_file: settings.ca_file.clone() }),
        sasl: settings.sasl.as_ref().map(sasl),
    };
    Kafka::open(config, runtime)
}

/// A Kafka that is looked at alone. Nobody makes its topics meanwhile, so those that are missing are told.
#[derive(Debug)]
pub struct KafkaAlone(pub Kafka);

#[async_trait]
impl Probe for KafkaAlone {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn check(&self) -> Result<Health, BackendError> {
        // It has longer than the probe, which is asked again and again, and then has the connection.
        let missing = match self.0.missing_topics().await {
            Ok(missing) if !missing.is_empty() => missing,
            _ => return self.0.check().await,
        };
        let then =
            "a server makes them at its start if it can; `app-worker create-topics` does so now, or says why not";
        Ok(Health::Partly(format!("topics are missing, or may not be seen: {}; {then}", missing.join(", "))))
    }
}

fn sasl(settings: &settings::Sasl) -> Sasl {
    let mechanism = match settings.mechanism {
        Mechanism::Plain => chatcore_kafka::Mechanism::Plain,
        Mechanism::ScramSha256 => chatcore_kafka::Mechanism::ScramSha256,
        Mechanism::ScramSha512 => chatcore_kafka::Mechanism::ScramSha512,
    };
    Sasl { mechanism, username: settings.username.clone(), password: settings.password.expose().to_owned() }
}
