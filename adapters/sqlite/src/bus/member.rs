//! The `Subscription`: a member of a group, alive as long as it is held by anybody.

use super::group::{self, Found, Seat, Taken};
use super::held::{Name, name};
use super::members;
use crate::Sqlite;
use crate::wake::Topics;
use crate::writer::Safety;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Acked, Delivery, DeliveryId, Runtime, Subscription};
use chatcore::watch::Watch;
use futures_util::future::select;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A dead member is noticed this late at most, while others wait.
const LOOK: Duration = Duration::from_secs(1);

/// A member of a group.
#[derive(Debug)]
struct Member {
    sqlite: Sqlite,
    seat: Seat,
    state: Arc<Watch<State>>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// What was taken for calls that were dropped meanwhile.
    unwanted: Vec<Name>,
    /// How many events the log had dropped before the group had worked them off, which is not told yet.
    dropped: u64,
}

/// Joins the group of this name.
pub(super) fn join(sqlite: Sqlite, group: i64, name: String) -> Arc<dyn Subscription> {
    let runtime = sqlite.inner.runtime.clone();
    let seat = Seat { group, member: runtime.new_id() };
    let member = Arc::new(Member { sqlite, seat, state: Arc::default() });
    runtime.clone().spawn(Box::pin(keep_alive(runtime, name, Arc::downgrade(&member), member.state.clone())));
    member
}

/// Gives a sign of life three times in the time after which a member counts as dead, and what is unwanted back at once. Says as
/// often what was dropped: a line for each call that finds some would be many.
async fn keep_alive(runtime: Arc<dyn Runtime>, group: String, member: Weak<Member>, state: Arc<Watch<State>>) {
    let Some(every) = member.upgrade().map(|member| member.lease() / 3) else { return };
    loop {
        let told = pin!(state.wait(|state| (state.closed || !state.unwanted.is_empty()).then_some(())));
        select(told, runtime.sleep(every)).await;
        let dropped = state.update(|state| std::mem::take(&mut state.dropped));
        if dropped > 0 {
            tracing::warn!(group, dropped, "events were dropped before they were read");
        }
        let Some(living) = member.upgrade().filter(|member| !member.is_closed()) else { return };
        if let Err(error) = living.beat().await {
            tracing::warn!(error = ?error.source, "a consumer could not renew what it holds");
            drop(living);
            runtime.sleep(every).await;
        }
    }
}

impl Member {
    fn lease(&self) -> Duration {
        self.sqlite.inner.config.redeliver
    }

    fn is_closed(&self) -> bool {
        self.state.read(|state| state.closed)
    }

    async fn beat(&self) -> Result<(), BackendError> {
        let (seat, lease) = (self.seat, self.lease());
        let unwanted = self.state.update(|state| std::mem::take(&mut state.unwanted));
        let names = unwanted.clone();
        let beat = self.sqlite.note(move |step| members::beat(step, seat, lease, &names)).await;
        if beat.is_err() {
            self.state.update(|state| state.unwanted.extend(unwanted));
        }
        beat
    }

    /// Takes the next delivery, unless the member has left meanwhile.
    async fn take(&self) -> Result<Parcel, BackendError> {
        let (seat, lease, state) = (self.seat, self.lease(), self.state.clone());
        let work = move |step: &crate::tx::Tx<'_>| match state.read(|state| state.closed) {
            true => Ok(Taken { found: Found::Nothing, dropped: 0 }),
            false => group::take(step, seat, lease),
        };
        let home = self.state.clone();
        let pack = move |Taken { found, dropped }| {
            if dropped > 0 {
                home.update(|state| state.dropped += dropped);
            }
            Parcel { found, home: Arc::downgrade(&home) }
        };
        self.sqlite.job(Safety::Written, work, pack).await
    }

    async fn done(&self, id: &DeliveryId, parked: Option<String>) -> Result<Acked, BackendError> {
        let Some(name) = name(id) else { return Ok(Acked::Revoked) };
        let seat = self.seat;
        self.sqlite.note(move |step| group::done(step, seat, name, parked.as_deref())).await
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&self) -> Result<Option<Delivery>, BackendError> {
        let look = (self.lease() / 4).min(LOOK);
        loop {
            if self.is_closed() {
                return Ok(None);
            }
            let seen = self.sqlite.inner.wake.seen(Topics::LOG);
            match self.take().await?.open() {
                Found::Delivery(held) => return Ok(Some(held.deliver())),
                Found::More => continue,
                Found::Nothing => {}
            }
            let changed = pin!(self.sqlite.changed(Topics::LOG, seen));
            let closed = pin!(self.state.wait(|state| state.closed.then_some(())));
            select(select(changed, closed), self.sqlite.inner.runtime.sleep(look)).await;
        }
    }

    async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError> {
        self.done(id, None).await
    }

    async fn park(&self, id: &DeliveryId, reason: &str, _: u32) -> Result<Acked, BackendError> {
        self.done(id, Some(reason.to_owned())).await
    }

    async fn lag(&self) -> Result<u64, BackendError> {
        let group = self.seat.group;
        self.sqlite.read(move |step| group::lag(step, group)).await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.state.update(|state| state.closed = true);
        let member = self.seat.member;
        self.sqlite.note(move |step| members::leave(step, &member)).await
    }
}

/// What was taken, on its way to a call of `next`. Where that call is dropped, it goes back to the group.
struct Parcel {
    found: Found,
    home: Weak<Watch<State>>,
}

impl Parcel {
    fn open(mut self) -> Found {
        std::mem::replace(&mut self.found, Found::Nothing)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let Found::Delivery(held) = &self.found else { return };
        if let Some(home) = self.home.upgrade() {
            home.update(|state| state.unwanted.push(held.name()));
        }
    }
}
