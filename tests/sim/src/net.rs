//! The network between a server and the ports: delay, error before, error after the effect, effect long after the error, outage.

use async_trait::async_trait;
use chatcore::error::{AccessError, BackendError};
use chatcore::event::Event;
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::message::{Answer, Message, MessagesPage, NewerPage};
use chatcore::owner::Owner;
use chatcore::policy::{Left, Quota};
use chatcore::port::{
    Backlog, Claimed, EntryId, EventBus, Mark, Outbox, Published, Runtime, SessionStore, Settled, Subscription,
};
use chatcore::session::{Adopted, Session, SessionsPage};
use chatcore::turn::{Began, Cursor, Extended, Finished, Followed, NewTurn, Piece, Stopping, Swept, Turn, TurnId};
use chatcore_ports::memory::{MemoryBus, MemoryStore};
use chatcore_ports::sim::Sim;
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The weather: shared by all links of a world.
#[derive(Debug, Clone)]
pub struct Net {
    sim: Sim,
    weather: Arc<Mutex<Weather>>,
    faults: Arc<AtomicU64>,
    last: Arc<Mutex<Duration>>,
    calls: Arc<AtomicU64>,
    severed: Arc<AtomicBool>,
}

/// Chances in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// An error, and no effect.
    pub before: u64,
    /// The effect, and an error.
    pub after: u64,
    /// An error, and the effect up to six seconds later: long after a lease of two.
    pub late: u64,
    /// A batch of which only a part gets through.
    pub part: u64,
    /// A call that takes up to two seconds.
    pub slow: u64,
    /// No two faults within this time, if not zero.
    pub spacing: Duration,
    /// No other call than the one of this number, counted from 0, meets a fault.
    pub only: Option<u64>,
    /// Nothing gets through.
    pub outage: bool,
    /// Likewise, and the error says that this stays so, as of a right that was taken away.
    pub forbidden: bool,
}

impl Net {
    /// A quiet network.
    #[must_use]
    pub fn new(sim: Sim) -> Self {
        Self {
            sim,
            weather: Arc::default(),
            faults: Arc::default(),
            last: Arc::default(),
            calls: Arc::default(),
            severed: Arc::default(),
        }
    }

    /// A link of its own in the same weather.
    #[must_use]
    pub fn link(&self) -> Self {
        Self { severed: Arc::default(), ..self.clone() }
    }

    /// Lets nothing through on this link, or lets it through again.
    pub fn sever(&self, severed: bool) {
        self.severed.store(severed, Ordering::Relaxed);
    }

    /// Changes the weather.
    pub fn set(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.weather.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How many calls there were, and how many of them failed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.faults.load(Ordering::Relaxed))
    }

    async fn call<T, E>(&self, work: BoxFuture<'static, Result<T, E>>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<BackendError> + Send + 'static,
    {
        let weather = *self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let world = self.sim.runtime(0);
        world.sleep(if self.sim.chance(weather.slow) { self.sim.millis(0, 2000) } else { self.sim.millis(0, 4) }).await;
        let is_spared = self.spared(weather.spacing) || weather.only.is_some_and(|only| only != number);
        let lot = if is_spared { 1000 } else { self.sim.below(1000) };
        if weather.outage || weather.forbidden || self.severed.load(Ordering::Relaxed) || lot < weather.before {
            return self.fail().await;
        }
        if lot < weather.before + weather.late {
            let (sim, delay) = (self.sim.clone(), self.sim.millis(0, 6000));
            self.sim.spawn(0, async move {
                sim.runtime(0).sleep(delay).await;
                drop(work.await);
            });
            return self.fail().await;
        }
        let done = work.await;
        if lot < weather.before + weather.late + weather.after {
            return self.fail().await;
        }
        world.sleep(self.sim.millis(0, 4)).await;
        done
    }

    /// The one of so many that does not get through.
    fn one_of(&self, count: usize) -> Option<usize> {
        let weather = *self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        (count > 0 && self.sim.chance(weather.part)).then(|| self.sim.below(count as u64) as usize)
    }

    fn spared(&self, spacing: Duration) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        !last.is_zero() && self.sim.runtime(0).elapsed() < last + spacing
    }

    async fn fail<T, E: From<BackendError>>(&self) -> Result<T, E> {
        self.faults.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = self.sim.runtime(0).elapsed();
        self.sim.runtime(0).sleep(self.sim.millis(1, 500)).await;
        let forbidden = self.weather.lock().unwrap_or_else(PoisonError::into_inner).forbidden;
        let error = if forbidden { BackendError::never } else { BackendError::later };
        Err(error("net", "injected").into())
    }
}

/// A port behind the network.
#[derive(Debug, Clone)]
pub struct Far<P> {
    port: P,
    net: Net,
}

impl<P> Far<P> {
    /// This port, from afar.
    pub fn new(port: P, net: Net) -> Self {
        Self { port, net }
    }
}

/// Owns the arguments, so that a call may outlive its caller.
macro_rules! far {
    ($self:ident, |$port:ident $(, $arg:ident)*| $call:expr) => {{
        let $port = $self.port.clone();
        $(let $arg = $arg.to_owned();)*
        $self.net.call(Box::pin(async move { $call.await })).await
    }};
}

#[async_trait]
impl SessionStore for Far<MemoryStore> {
    async fn begin_turn(&self, new: &NewTurn) -> Result<Began, BackendError> {
        far!(self, |port, new| port.begin_turn(&new))
    }

    async fn extend_turn(&self, turn: &Turn, piece: &Piece, lease: Duration) -> Result<Extended, BackendError> {
        far!(self, |port, turn, piece| port.extend_turn(&turn, &piece, lease))
    }

    async fn finish_turn(&self, turn: &Turn, answer: &Answer) -> Result<Finished, BackendError> {
        far!(self, |port, turn, answer| port.finish_turn(&turn, &answer))
    }

    async fn left(&self, owner: &Owner, quota: &Quota) -> Result<Left, BackendError> {
        far!(self, |port, owner, quota| port.left(&owner, &quota))
    }

    async fn request_stop(&self, owner: &Owner, turn: &TurnId) -> Result<Stopping, AccessError> {
        far!(self, |port, owner, turn| port.request_stop(&owner, &turn))
    }

    async fn follow(&self, owner: &Owner, cursor: &Cursor, wait: Duration) -> Result<Followed, AccessError> {
        far!(self, |port, owner, cursor| port.follow(&owner, &cursor, wait))
    }

    async fn session(&self, owner: &Owner, session: &SessionId) -> Result<Session, AccessError> {
        far!(self, |port, owner, session| port.session(&owner, &session))
    }

    async fn sessions(&self, owner: &Owner, page: &SessionsPage) -> Result<Vec<Session>, BackendError> {
        far!(self, |port, owner, page| port.sessions(&owner, &page))
    }

    async fn messages(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &MessagesPage,
    ) -> Result<Vec<Message>, AccessError> {
        far!(self, |port, owner, session, page| port.messages(&owner, &session, &page))
    }

    async fn newer(
        &self,
        owner: &Owner,
        session: &SessionId,
        page: &NewerPage,
        wait: Duration,
    ) -> Result<Vec<Message>, AccessError> {
        far!(self, |port, owner, session, page| port.newer(&owner, &session, &page, wait))
    }

    async fn delete(
        &self,
        owner: &Owner,
        session: &SessionId,
        request_id: Option<RequestId>,
    ) -> Result<(), AccessError> {
        far!(self, |port, owner, session, request_id| port.delete(&owner, &session, request_id))
    }

    async fn adopt(&self, guest: &DeviceId, user: &UserId) -> Result<Adopted, BackendError> {
        far!(self, |port, guest, user| port.adopt(&guest, &user))
    }

    async fn close_orphans(&self, grace: Duration, max: usize) -> Result<Swept, BackendError> {
        far!(self, |port| port.close_orphans(grace, max))
    }
}

#[async_trait]
impl Outbox for Far<MemoryStore> {
    async fn claim_behind(&self, mark: &Mark, max: usize, wait: Duration) -> Result<Claimed, BackendError> {
        far!(self, |port, mark| port.claim_behind(&mark, max, wait))
    }

    async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError> {
        far!(self, |port, entries| port.settle(&entries))
    }

    async fn backlog(&self) -> Result<Backlog, BackendError> {
        far!(self, |port| port.backlog())
    }
}

#[async_trait]
impl EventBus for Far<MemoryBus> {
    /// A bus may take some of a batch: from one event on, those of its session do not get through.
    async fn publish(&self, events: &[Event]) -> Result<Vec<Published>, BackendError> {
        let (failed, session) = match self.net.one_of(events.len()) {
            Some(index) => (index, Some(events[index].session)),
            None => (0, None),
        };
        let stays = |(index, event): (usize, &Event)| index >= failed && Some(event.session) == session;
        let taken: Vec<_> = events.iter().enumerate().filter(|row| !stays(*row)).map(|row| row.1.clone()).collect();
        let mut published = far!(self, |port, taken| port.publish(&taken))?.into_iter();
        let later = || Published::Later(BackendError::later("net", "injected"));
        let one = |row| if stays(row) { later() } else { published.next().unwrap_or_else(later) };
        Ok(events.iter().enumerate().map(one).collect())
    }

    async fn subscribe(&self, group: &str) -> Result<Arc<dyn Subscription>, BackendError> {
        far!(self, |port, group| port.subscribe(&group))
    }
}
