//! Where sessions and events live.

use super::parse;
use super::reader::Reader;
use super::redis::Redis;
use super::table as t;
use chatcore::policy::StoreLimits;
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
    /// Reads them.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let (redis, data_dir) = (Redis::read(reader), reader.get(&t::DATA_DIR, parse::path));
        let default = if matches!(redis, Some(None)) { "sqlite" } else { "redis" };
        let kind = reader.get_or(&t::STORE, default, kind);
        if kind == Some(StoreKind::Redis) && redis == Some(None) {
            reader.fault(&t::STORE, "is redis, which needs REDIS_URL or REDIS_HOST");
        }
        // The only bus so far is the store's own log.
        let bus = reader.get(&t::BUS, |text| if text.eq_ignore_ascii_case("local") { Ok(()) } else { Err("local") });
        let messages = reader.get(&t::SESSION_MAX_MESSAGES, parse::count);
        let (sessions, events) =
            (reader.get(&t::OWNER_MAX_SESSIONS, parse::count), reader.get(&t::OUTBOX_MAX, parse::count));
        bus?;
        let mut limits = StoreLimits::default();
        (limits.session_messages, limits.owner_sessions, limits.outbox_events) = (messages?, sessions?, events?);
        Some(Self { kind: kind?, data_dir: data_dir?, redis: redis?, limits })
    }

    /// The file that `STORE=sqlite` keeps everything in.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.data_dir.join("chat.db")
    }
}

fn kind(text: &str) -> parse::Parsed<StoreKind> {
    match text.to_lowercase().as_str() {
        "sqlite" => Ok(StoreKind::Sqlite),
        "memory" => Ok(StoreKind::Memory),
        "redis" => Ok(StoreKind::Redis),
        _ => Err("sqlite, memory or redis"),
    }
}
