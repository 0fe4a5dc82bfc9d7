//! The stores that are held against the model.

use crate::call::Call;
use async_trait::async_trait;
use chatcore::policy::StoreLimits;
use chatcore::port::{Outbox, SessionStore};
use chatcore_ports::memory::{MemoryStore, Plant};
use chatcore_ports::sim::Sim;
use chatcore_sqlite::{Sqlite, SqliteConfig};
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tempfile::TempDir;

/// A store that is to be held against the model for one sequence, empty at first.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// Opens it, as a new process would.
    async fn open(&self) -> Opened;

    /// A process makes a call and dies amid it, so far into it.
    async fn perish(&self, call: &Call, far: u16);

    /// Which time it goes by.
    fn clock(&self) -> Clock;

    /// Whether it refuses calls now and then, which are made again.
    fn refuses(&self) -> bool {
        false
    }
}

/// Makes a call that is given up when it was looked at so often.
pub(crate) async fn perform_some(call: &Call, at: &Opened, mut looks: u16) {
    let mut work = pin!(call.perform(at));
    poll_fn(|context| {
        if looks == 0 {
            return Poll::Ready(());
        }
        looks -= 1;
        match work.as_mut().poll(context) {
            Poll::Pending if looks > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// Which time a store goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// That of the sequence, which stands still during a call.
    Virtual,
    /// A clock of its own: one has to wait for it.
    Real,
}

/// A store that is open.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) outbox: Arc<dyn Outbox>,
}

impl Opened {
    pub(crate) fn of<S: SessionStore + Outbox>(store: S) -> Self {
        let store = Arc::new(store);
        Self { store: store.clone(), outbox: store }
    }
}

/// The model itself, with a bug. It does not outlive its process, so nothing happens when that dies.
pub(crate) struct Planted(MemoryStore);

impl Planted {
    pub(crate) fn new(sim: &Sim, limits: StoreLimits, plant: Plant) -> Self {
        Self(MemoryStore::planted(Arc::new(sim.runtime(0)), limits, plant))
    }
}

#[async_trait]
impl Subject for Planted {
    async fn open(&self) -> Opened {
        Opened::of(self.0.clone())
    }

    async fn perish(&self, call: &Call, far: u16) {
        perform_some(call, &self.open().await, far % 2).await;
    }

    fn clock(&self) -> Clock {
        Clock::Virtual
    }
}

/// A file in a directory of its own: in memory, where the system has such a place.
pub(crate) struct SqliteFile {
    directory: TempDir,
    limits: StoreLimits,
    sim: Sim,
}

impl SqliteFile {
    pub(crate) fn new(sim: &Sim, limits: StoreLimits) -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = tempfile::Builder::new().prefix("model").tempdir_in(place).expect("a directory");
        Self { directory, limits, sim: sim.clone() }
    }
}

#[async_trait]
impl Subject for SqliteFile {
    async fn open(&self) -> Opened {
        let path = self.directory.path().join("chat.db");
        let config = SqliteConfig { path, limits: self.limits, readers: 1, ..SqliteConfig::default() };
        Opened::of(Sqlite::open(config, Arc::new(self.sim.runtime(0))).expect("a file that opens"))
    }

    /// Its threads have ended when it is dropped.
    async fn perish(&self, call: &Call, far: u16) {
        perform_some(call, &self.open().await, far % 4).await;
    }

    fn clock(&self) -> Clock {
        Clock::Virtual
    }
}
