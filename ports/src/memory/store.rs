//! The in-memory `SessionStore`: the tables behind one watched lock.

use super::log::Log;
use super::plant::Plant;
use super::tables::{Dump, Now, Tables, Tally};
use async_trait::async_trait;
use chatcore::error::{AccessError, BackendError};
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::message::{Answer, Message, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota, StoreLimits};
use chatcore::port::{Health, Probe, Runtime, SessionStore};
use chatcore::session::{Adopted, Session, SessionsPage};
use chatcore::stamp::{from_micros, micros};
use chatcore::turn::{Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Stopping, Swept, Turn, TurnId};
use chatcore::watch::Watch;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Keeps sessions, and the outbox with them, in memory. Clones are the same store.
///
/// What it keeps is bounded by its limits; what has expired is thrown away by any later call that writes. Times are the
/// given runtime's.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    tables: Arc<Watch<Tables>>,
    pub(super) log: Arc<Watch<Log>>,
    pub(super) runtime: Arc<dyn Runtime>,
}

impl MemoryStore {
    /// An empty store with the default limits.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self::with_limits(runtime, StoreLimits::default())
    }

    /// An empty store that keeps so much.
    pub fn with_limits(runtime: Arc<dyn Runtime>, limits: StoreLimits) -> Self {
        Self::make(runtime, limits, Plant::Nothing)
    }

    /// An empty store that keeps so much, and has a bug.
    #[cfg(feature = "plant")]
    pub fn planted(runtime: Arc<dyn Runtime>, limits: StoreLimits, plant: Plant) -> Self {
        Self::make(runtime, limits, plant)
    }

    fn make(runtime: Arc<dyn Runtime>, limits: StoreLimits, plant: Plant) -> Self {
        let log = Arc::new(Watch::new(Log::new(&limits, plant)));
        let tables = Arc::new(Watch::new(Tables::new(log.clone(), limits, plant)));
        Self { tables, log, runtime }
    }

    /// What happened, for those who test.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tables.read(|tables| tables.tally)
    }

    /// Every session as it stands, tombstones too, for those who test.
    #[must_use]
    pub fn dump(&self) -> Vec<Dump> {
        self.tables.read(Tables::dump)
    }

    /// Whether nothing is left in any table.
    #[cfg(all(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.tables.read(Tables::is_empty)
    }

    /// Looks until it has seen enough, or until the time is over; what it saw last.
    async fn watch<T>(&self, wait: Duration, look: impl Fn(&Tables) -> T, enough: impl Fn(&T) -> bool) -> T {
        let seen = self.tables.wait(|tables| Some(look(tables)).filter(&enough));
        match select(pin!(seen), self.runtime.sleep(wait)).await {
            Either::Left((seen, _)) => seen,
            Either::Right(_) => self.tables.read(&look),
        }
    }

    fn now(&self) -> Now {
        Now { elapsed: self.runtime.elapsed(), wall: from_micros(micros(self.runtime.now())) }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError> {
        let (fresh, now) = (self.runtime.new_id().into(), self.now());
        Ok(self.tables.update(|tables| tables.begin(new, fresh, now)))
    }

    async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError> {
        let now = self.now();
        Ok(self.tables.update(|tables| tables.extend(turn, piece, lease, now)))
    }

    async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError> {
        let now = self.now();
        Ok(self.tables.update(|tables| tables.finish(turn, answer, now)))
    }

    async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError> {
        let now = self.now();
        Ok(self.tables.read(|tables| tables.left(owner, quota, now)))
    }

    async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        let now = self.now();
        self.tables.update(|tables| tables.request_stop(owner, turn, now))
    }

    async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError> {
        let look = |tables: &Tables| tables.follow(owner, cursor, self.runtime.elapsed());
        self.watch(wait, look, is_news).await
    }

    async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError> {
        let now = self.runtime.elapsed();
        self.tables.read(|tables| tables.session(owner, session, now))
    }

    async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError> {
        let now = self.runtime.elapsed();
        Ok(self.tables.read(|tables| tables.list_sessions(owner, page, now)))
    }

    async fn messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError> {
        let now = self.runtime.elapsed();
        self.tables.read(|tables| tables.messages(owner, session, page, now))
    }

    async fn newer(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        let look = |tables: &Tables| tables.newer(owner, session, page, self.runtime.elapsed());
        let is_news = |looked: &Result<Vec<_>, _>| looked.as_ref().map_or(true, |messages| !messages.is_empty());
        self.watch(wait, look, is_news).await
    }

    async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError> {
        let now = self.now();
        self.tables.update(|tables| tables.delete(owner, *session, request_id, now))
    }

    async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError> {
        let now = self.now();
        Ok(self.tables.update(|tables| tables.adopt(guest, user, now)))
    }

    async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError> {
        let now = self.now();
        Ok(self.tables.update(|tables| tables.close_orphans(grace, max, now)))
    }
}

#[async_trait]
impl Probe for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn check(&self) -> Result<Health, BackendError> {
        Ok(Health::Well)
    }
}

/// Whether a follower is to be told.
fn is_news(looked: &Result<Followed, AccessError>) -> bool {
    looked.as_ref().map_or(true, |followed| followed.restarted || !followed.text.is_empty() || followed.end.is_some())
}
