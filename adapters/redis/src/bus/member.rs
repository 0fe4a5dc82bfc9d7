//! The `Subscription`: a member of a group, alive as long as it is held by anybody.

use super::group::Group;
use super::held::{Found, Held, Name};
use super::state::State;
use crate::error::NAME;
use crate::keys::Partition;
use crate::wakes::{LOOK, Wakes};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::{Acked, Delivery, DeliveryId, Subscription};
use futures_util::future::{BoxFuture, Either, select};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A member of a group.
#[derive(Debug)]
struct Member(Arc<Core>);

/// What a member and its tasks share.
#[derive(Debug)]
struct Core {
    group: Group,
    member: String,
    state: State,
}

/// Joins a group.
pub(super) fn join(group: Group) -> Arc<dyn Subscription> {
    let runtime = group.redis.inner.runtime.clone();
    let core = Arc::new(Core { group, member: runtime.new_id().simple().to_string(), state: State::default() });
    core.spawn(Box::pin(core.clone().listen()));
    core.spawn(Box::pin(core.clone().keep_alive()));
    Arc::new(Member(core))
}

impl Drop for Member {
    /// A dropped one is a dead one.
    fn drop(&mut self) {
        self.0.state.end();
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&self) -> Result<Option<Delivery>, BackendError> {
        let mut away = 0;
        while let Some(partition) = self.0.state.pick().await {
            let mut look = Look { core: &self.0, partition, again: true };
            let taken = match self.0.take(partition).await {
                Ok(taken) => taken,
                // Others may lie on another node. This one is looked at again with all.
                Err(_) if away < self.0.group.elsewhere() => {
                    (away, look.again) = (away + 1, false);
                    continue;
                }
                Err(error) => return Err(error),
            };
            match taken.open() {
                // There may be more, for another call.
                Found::Delivery(held) => return Ok(Some(held.deliver())),
                Found::More => {}
                Found::Nothing => look.again = false,
            }
        }
        Ok(None)
    }

    async fn ack(&self, id: &DeliveryId) -> Result<Acked, BackendError> {
        self.0.done(id, None).await
    }

    async fn park(&self, id: &DeliveryId, reason: &str, _: u32) -> Result<Acked, BackendError> {
        self.0.done(id, Some(reason)).await
    }

    async fn lag(&self) -> Result<u64, BackendError> {
        self.0.group.lag().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.0.state.close();
        self.0.warn_of_dropped();
        self.0.group.leave(&self.0.member).await
    }
}

impl Core {
    fn lease(&self) -> Duration {
        self.group.redis.inner.come_back
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.group.redis.inner.runtime.spawn(task);
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.group.redis.inner.runtime.sleep(time)
    }

    /// Takes the next delivery of a partition. A task of its own does it, so that its end is known also where the caller is
    /// dropped meanwhile.
    async fn take(self: &Arc<Self>, partition: Partition) -> Result<Parcel, BackendError> {
        let (tell, told) = oneshot::channel();
        let core = self.clone();
        self.spawn(Box::pin(async move {
            let number = core.state.next_take(partition);
            let taken = core.group.take(partition, &core.member, core.lease(), number).await;
            match &taken {
                Ok((_, dropped)) => core.state.add_dropped(partition, *dropped),
                Err(_) => core.state.take_again(partition, number),
            }
            // Where nobody waits any more, the parcel is dropped here.
            drop(tell.send(taken.map(|(found, _)| Parcel { found, core })));
        }));
        told.await.unwrap_or_else(|_| Err(BackendError::later(NAME, "the program ends")))
    }

    async fn done(&self, id: &DeliveryId, parked: Option<&str>) -> Result<Acked, BackendError> {
        let Some(name) = Name::parse(id).filter(|name| self.group.has(name.partition)) else {
            return Ok(Acked::Revoked);
        };
        // It is not renewed from now on: whoever is told of an error may never come again, and then it comes back.
        self.state.put_down(&name);
        let acked = self.group.done(&self.member, &name, parked).await?;
        self.state.look([name.partition]);
        Ok(acked)
    }

    fn warn_of_dropped(&self) {
        self.group.warn_of_dropped(self.state.take_dropped());
    }

    /// Looks where there may be news, and everywhere now and then. Says so often, too, what was dropped: a line for each call that
    /// finds a gap would be as many as there are deliveries.
    async fn listen(self: Arc<Self>) {
        let runtime = self.group.redis.inner.runtime.clone();
        let every = (self.lease() / 4).min(LOOK);
        let mut wakes = Wakes::new(&self.group.redis);
        let mut next_look = runtime.elapsed();
        loop {
            if runtime.elapsed() >= next_look {
                self.warn_of_dropped();
                self.state.look(self.group.redis.inner.keys.partitions());
                next_look = runtime.elapsed() + every;
            }
            let pause = || self.sleep(next_look.saturating_sub(runtime.elapsed()));
            let heard = async {
                match select(pin!(wakes.next()), pause()).await {
                    Either::Left((Ok(partitions), _)) => self.state.look(partitions),
                    // It cannot listen now.
                    Either::Left((Err(_), _)) => pause().await,
                    Either::Right(_) => {}
                }
            };
            if let Either::Right(_) = select(pin!(heard), pin!(self.state.ended())).await {
                return;
            }
        }
    }

    /// Renews what is held three times in the time after which it would come back.
    async fn keep_alive(self: Arc<Self>) {
        let every = self.lease() / 3;
        while let Either::Left(_) = select(self.sleep(every), pin!(self.state.ended())).await {
            let held = self.state.held();
            if let Err(error) = self.group.renew(&self.member, self.lease(), &held).await {
                tracing::warn!(error = %error.source, "a consumer could not renew what it holds");
            }
        }
    }

    async fn give_back(self: Arc<Self>, name: Name) {
        // Where this fails, it comes back like a dead member's.
        if self.group.give_back(&self.member, &name).await.is_ok() {
            self.state.look([name.partition]);
        }
    }
}

/// A look into a partition, in which no other call of the member looks meanwhile.
struct Look<'a> {
    core: &'a Core,
    partition: Partition,
    again: bool,
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if self.again {
            self.core.state.look([self.partition]);
        }
    }
}

/// What was taken, on its way to a call of `next`. Where that call is dropped or the member closed, it goes back to the group.
struct Parcel {
    found: Found,
    core: Arc<Core>,
}

impl Parcel {
    fn open(mut self) -> Found {
        match &self.found {
            Found::Delivery(held) if !self.core.state.hand_out(&held.name) => Found::More,
            _ => std::mem::replace(&mut self.found, Found::Nothing),
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Found::Delivery(held) = &self.found {
            let Held { name, .. } = &**held;
            self.core.spawn(Box::pin(self.core.clone().give_back(name.clone())));
        }
    }
}
