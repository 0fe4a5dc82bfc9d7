//! The suite, with each store as two processes have it open.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chatcore::id::SessionId;
use chatcore_ports::conformance::{BusHarness, OpenBus, OpenStore, StoreHarness, ThrottleHarness};
use chatcore_ports::tokio::TokioRuntime;
use chatcore_sqlite::{Sqlite, SqliteConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A new file, below `target`. It stays: the test ends before the threads that use it.
fn file() -> PathBuf {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep().join("chat.db")
}

fn open(config: SqliteConfig) -> Sqlite {
    Sqlite::open(config, Arc::new(TokioRuntime::current())).unwrap()
}

/// Two handles of one file.
fn two(config: &SqliteConfig) -> (Arc<Sqlite>, Arc<Sqlite>) {
    (Arc::new(open(config.clone())), Arc::new(open(config.clone())))
}

/// Writes what only another build, or a fault, can have written.
fn inject(path: &Path, session: SessionId, raw: &[u8]) {
    let other = rusqlite::Connection::open(path).unwrap();
    let insert = "INSERT INTO events (session, at, json) VALUES (?1, 0, ?2)";
    other.execute(insert, rusqlite::params![session.as_uuid(), raw]).unwrap();
}

fn store() -> StoreHarness {
    StoreHarness::new(|limits| async move {
        let (store, elsewhere) = two(&SqliteConfig { path: file(), limits, ..SqliteConfig::default() });
        let (outbox, outbox_elsewhere) = (store.clone(), elsewhere.clone());
        OpenStore { store: store.clone(), elsewhere, outbox, outbox_elsewhere, letters: Some(store) }
    })
}

fn bus() -> BusHarness {
    BusHarness::new(|come_back| async move {
        let config = SqliteConfig { path: file(), redeliver: come_back, ..SqliteConfig::default() };
        let (bus, elsewhere) = two(&config);
        let inject = move |session, raw: Vec<u8>| {
            inject(&config.path, session, &raw);
            std::future::ready(())
        };
        OpenBus::new(bus.clone(), elsewhere, bus).injecting(inject)
    })
}

fn throttle() -> ThrottleHarness {
    let (throttle, elsewhere) = two(&SqliteConfig { path: file(), ..SqliteConfig::default() });
    ThrottleHarness::new(throttle, elsewhere)
}

mod sessions {
    chatcore_ports::session_store_laws!(async { super::store() });
}

mod outbox {
    chatcore_ports::outbox_laws!(async { super::store() });
}

mod events {
    chatcore_ports::event_bus_laws!(async { super::bus() });
}

mod letters {
    chatcore_ports::dead_letters_laws!(async { super::bus() });
}

mod throttles {
    chatcore_ports::throttle_laws!(async { super::throttle() });
}
