//! How the suite gets at a bus.

use super::member::new_session;
use crate::conformance::law::{Wait, real_time};
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::port::{DeadLetters, EventBus};
use futures_core::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Open = Arc<dyn Fn(Duration) -> BoxFuture<'static, OpenBus> + Send + Sync>;
type Fail = Arc<dyn Fn(SessionId) -> BoxFuture<'static, ()> + Send + Sync>;
type PartitionOf = Arc<dyn Fn(SessionId) -> u32 + Send + Sync>;
type Inject = Arc<dyn Fn(SessionId, Vec<u8>) -> BoxFuture<'static, ()> + Send + Sync>;

/// How the suite gets at a bus.
#[derive(Clone)]
pub struct BusHarness {
    open: Open,
    wait: Wait,
}

/// An empty bus, as two processes have it open, and what it can be made to do.
#[derive(Clone)]
pub struct OpenBus {
    /// The bus.
    pub bus: Arc<dyn EventBus>,
    /// The same bus in another process.
    pub elsewhere: Arc<dyn EventBus>,
    /// Its dead letters.
    pub letters: Arc<dyn DeadLetters>,
    fail: Option<Fail>,
    partition_of: Option<PartitionOf>,
    inject: Option<Inject>,
    refused: Option<Event>,
}

impl OpenBus {
    /// A bus that takes every event and holds nothing but events.
    pub fn new(bus: Arc<dyn EventBus>, elsewhere: Arc<dyn EventBus>, letters: Arc<dyn DeadLetters>) -> Self {
        Self { bus, elsewhere, letters, fail: None, partition_of: None, inject: None, refused: None }
    }

    /// A bus of one type that holds both ports and whose clones share one state.
    pub fn of<B: EventBus + DeadLetters + Clone>(bus: B) -> Self {
        Self::new(Arc::new(bus.clone()), Arc::new(bus.clone()), Arc::new(bus))
    }

    /// A bus that can fail: a function that makes it fail the next event of this session, once.
    #[must_use]
    pub fn failing<F>(self, fail: impl Fn(SessionId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { fail: Some(Arc::new(move |session| Box::pin(fail(session)))), ..self }
    }

    /// A bus on which the sessions of a partition fail together: a function that tells which one a session is in.
    #[must_use]
    pub fn partitioned(self, partition_of: impl Fn(SessionId) -> u32 + Send + Sync + 'static) -> Self {
        Self { partition_of: Some(Arc::new(partition_of)), ..self }
    }

    /// A bus to which others write too: a function that puts these bytes on it, with the session as their key.
    #[must_use]
    pub fn injecting<F>(self, inject: impl Fn(SessionId, Vec<u8>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { inject: Some(Arc::new(move |session, raw| Box::pin(inject(session, raw)))), ..self }
    }

    /// A bus that does not take every event: one that it never takes.
    #[must_use]
    pub fn refusing(self, refused: Event) -> Self {
        Self { refused: Some(refused), ..self }
    }

    /// Makes the next event of this session fail; answers whether the bus can be made to.
    pub(super) async fn fail(&self, session: SessionId) -> bool {
        match &self.fail {
            Some(fail) => fail(session).await,
            None => return false,
        }
        true
    }

    /// A new session, which does not fail when this one does.
    pub(super) fn apart_from(&self, session: SessionId) -> SessionId {
        let apart = |other: &SessionId| self.partition_of.as_ref().is_none_or(|of| of(*other) != of(session));
        std::iter::repeat_with(new_session).find(apart).expect("there are several partitions")
    }

    /// Puts bytes on the bus; answers whether it is a bus for which that can be done.
    pub(super) async fn inject(&self, session: SessionId, raw: &[u8]) -> bool {
        match &self.inject {
            Some(inject) => inject(session, raw.to_vec()).await,
            None => return false,
        }
        true
    }

    pub(super) fn refused(&self) -> Option<&Event> {
        self.refused.as_ref()
    }
}

impl BusHarness {
    /// A harness over a function that opens an empty bus on which a dead member's deliveries come back after this time.
    /// Each call stands for another bus.
    pub fn new<F>(open: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = OpenBus> + Send + 'static,
    {
        Self { open: Arc::new(move |come_back| Box::pin(open(come_back))), wait: real_time() }
    }

    /// A bus on which a dead member's deliveries stay with it for longer than any law takes.
    pub(in super::super) async fn open(&self) -> OpenBus {
        self.open_with(Duration::from_secs(600)).await
    }

    pub(super) async fn open_with(&self, come_back: Duration) -> OpenBus {
        (self.open)(come_back).await
    }

    pub(super) async fn wait(&self, time: Duration) {
        (self.wait)(time).await;
    }
}

impl fmt::Debug for BusHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusHarness").finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBus").field("bus", &self.bus).finish_non_exhaustive()
    }
}
