//! How the suite gets at a session store and its outbox.

use super::law::{Wait, real_time};
use chatcore::policy::StoreLimits;
use chatcore::port::{DeadLetters, Outbox, SessionStore};
use futures_core::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Open = Arc<dyn Fn(StoreLimits) -> BoxFuture<'static, OpenStore> + Send + Sync>;

/// How the suite gets at a session store and its outbox.
#[derive(Clone)]
pub struct StoreHarness {
    open: Open,
    wait: Wait,
}

/// An empty store, as two processes have it open.
#[derive(Debug, Clone)]
pub struct OpenStore {
    /// The store.
    pub store: Arc<dyn SessionStore>,
    /// The same store in another process: another connection, another pool, another handle.
    pub elsewhere: Arc<dyn SessionStore>,
    /// Its events.
    pub outbox: Arc<dyn Outbox>,
    /// The same events in another process.
    pub outbox_elsewhere: Arc<dyn Outbox>,
    /// Where refused events go; `None` for a store whose outbox parks them at a place of its own.
    pub letters: Option<Arc<dyn DeadLetters>>,
}

impl OpenStore {
    /// A store of one type that holds all three ports and whose clones share one state.
    pub fn of<S: SessionStore + Outbox + Clone>(store: S) -> Self {
        let (store, elsewhere) = (Arc::new(store.clone()), Arc::new(store));
        Self {
            store: store.clone(),
            elsewhere: elsewhere.clone(),
            outbox: store,
            outbox_elsewhere: elsewhere,
            letters: None,
        }
    }
}

impl StoreHarness {
    /// A harness over a function that opens an empty store with these limits. Each call stands for another store.
    pub fn new<F>(open: impl Fn(StoreLimits) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = OpenStore> + Send + 'static,
    {
        Self { open: Arc::new(move |limits| Box::pin(open(limits))), wait: real_time() }
    }

    /// Another way for time to pass than to sleep: for a store whose clock the harness moves.
    #[must_use]
    pub fn waiting<F>(self, wait: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { wait: Arc::new(move |time| Box::pin(wait(time))), ..self }
    }

    pub(super) async fn open(&self) -> OpenStore {
        self.limited(|_| ()).await
    }

    pub(super) async fn limited(&self, change: impl FnOnce(&mut StoreLimits)) -> OpenStore {
        let mut limits = StoreLimits::default();
        change(&mut limits);
        (self.open)(limits).await
    }

    pub(super) async fn wait(&self, time: Duration) {
        (self.wait)(time).await;
    }

    /// Waits until a lease, a window or a time to live of this length is over for certain.
    pub(super) async fn pass(&self, time: Duration) {
        self.wait(time + Duration::from_millis(30)).await;
    }
}

impl fmt::Debug for StoreHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHarness").finish_non_exhaustive()
    }
}
