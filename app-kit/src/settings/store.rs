//! Where sessions and events live.

use super::kafka::Kafka;
use super::parse;
use super::reader::Reader;
use super::redis::Redis;
use super::table as t;
use chatcore::policy::{OutboxFull, StoreLimits};
use std::path::PathBuf;

/// The store, as both programs open it.
#[derive(Debug, Clone)]
pub struct Store {
    /// Which kind.
    pub kind: StoreKind,
    /// Where files live.
    pub data_dir: PathBuf,
    /// Where Redis is; always there where the kind needs it.
    pub redis: Option<Redis>,
    /// The bus that events go to; `None` for the store's own log.
    pub kafka: Option<Kafka>,
    /// How much it keeps.
    pub limits: StoreLimits,
}

/// Kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// One file under `DATA_DIR`.
    Sqlite,
    /// Nowhere: sessions are gone with the process.
    Memory,
    /// A Redis, or a cluster of them.
    Redis,
}

impl Store {
    /// Reads them. `relay` says whether this program moves events to Kafka unless it is told otherwise.
    pub fn read(reader: &mut Reader, relay: bool) -> Option<Self> {
        let (redis, data_dir) = (Redis::read(reader), reader.get(&t::DATA_DIR, parse::path));
        let default = if matches!(redis, Some(None)) { "sqlite" } else { "redis" };
        let kind = reader.get_or(&t::STORE, default, kind);
        if kind == Some(StoreKind::Redis) && redis == Some(None) {
            reader.fault(&t::STORE, "is redis, which needs REDIS_URL or REDIS_HOST");
        }
        let kafka = Kafka::read(reader, relay);
        let nowhere = kafka.as_ref().filter(|kafka| kafka.servers.is_empty());
        let bus = reader.get_or(&t::BUS, if nowhere.is_some() { "local" } else { "kafka" }, bus);
        if bus == Some(BusKind::Kafka) && nowhere.is_some() {
            reader.fault(&t::BUS, "is kafka, which needs KAFKA_BOOTSTRAP_SERVERS");
        }
        // Its address was forgotten, or its name is misspelt.
        for spec in nowhere.into_iter().flat_map(Kafka::of_a_broker) {
            if reader.is_given(spec) && !reader.is_given(&t::BUS) {
                let rule =
                    "is given without KAFKA_BOOTSTRAP_SERVERS: events would stay in the store's own log; BUS=local if";
                reader.fault(spec, format!("{rule} that is meant"));
            }
        }
        let messages = reader.get(&t::SESSION_MAX_MESSAGES, messages);
        let (sessions, events) =
            (reader.get(&t::OWNER_MAX_SESSIONS, parse::count), reader.get(&t::OUTBOX_MAX, parse::count));
        let kafka = Some(kafka?).filter(|_| bus == Some(BusKind::Kafka));
        bus?;
        let mut limits = StoreLimits::default();
        (limits.session_messages, limits.owner_sessions, limits.outbox_events) = (messages?, sessions?, events?);
        // A log forgets its oldest events; a queue in front of Kafka must not.
        limits.outbox_full = if kafka.is_some() { OutboxFull::Refuse } else { OutboxFull::DropOldest };
        Some(Self { kind: kind?, data_dir: data_dir?, redis: redis?, kafka, limits })
    }

    /// The file that `STORE=sqlite` keeps everything in.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.data_dir.join("chat.db")
    }
}

/// A question and its answer.
fn messages(text: &str) -> parse::Parsed<u64> {
    parse::count(text)
        .ok()
        .filter(|count| *count >= 2)
        .ok_or("a whole number of at least 2, for a question and its answer")
}

fn kind(text: &str) -> parse::Parsed<StoreKind> {
    match text.to_lowercase().as_str() {
        "sqlite" => Ok(StoreKind::Sqlite),
        "memory" => Ok(StoreKind::Memory),
        "redis" => Ok(StoreKind::Redis),
        _ => Err("sqlite, memory or redis"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BusKind {
    Local,
    Kafka,
}

fn bus(text: &str) -> parse::Parsed<BusKind> {
    match text.to_lowercase().as_str() {
        "local" => Ok(BusKind::Local),
        "kafka" => Ok(BusKind::Kafka),
        _ => Err("local or kafka"),
    }
}
