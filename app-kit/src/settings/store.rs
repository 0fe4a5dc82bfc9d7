//! Where sessions and events live.

use super::parse;
use super::reader::Reader;
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
}

impl Store {
    /// Reads them.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let (kind, data_dir) = (reader.get(&t::STORE, kind), reader.get(&t::DATA_DIR, parse::path));
        // The only bus so far is the store's own log.
        let bus = reader.get(&t::BUS, |text| if text.eq_ignore_ascii_case("local") { Ok(()) } else { Err("local") });
        let messages = reader.get(&t::SESSION_MAX_MESSAGES, parse::count);
        let (sessions, events) =
            (reader.get(&t::OWNER_MAX_SESSIONS, parse::count), reader.get(&t::OUTBOX_MAX, parse::count));
        bus?;
        let mut limits = StoreLimits::default();
        (limits.session_messages, limits.owner_sessions, limits.outbox_events) = (messages?, sessions?, events?);
        Some(Self { kind: kind?, data_dir: data_dir?, limits })
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
        _ => Err("sqlite or memory"),
    }
}
