//! The port `Runtime` of one process in a world.

use super::{Group, Sim};
use chatcore::port::Runtime;
use futures_core::future::BoxFuture;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

/// A `Runtime` whose tasks belong to one group. The wall clock starts in 1970.
#[derive(Debug, Clone)]
pub struct SimRuntime {
    sim: Sim,
    group: Group,
}

impl SimRuntime {
    pub(super) fn new(sim: Sim, group: Group) -> Self {
        Self { sim, group }
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.sim.state().now
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.sim.state();
        let (at, timer) = (state.now.saturating_add(time), state.next_id());
        Box::pin(Sleep { at, timer, sim: self.sim.clone() })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.sim.shared.spawn(self.group, task);
    }

    fn new_id(&self) -> Uuid {
        let random = self.sim.state().rng.u128(..);
        Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
    }
}

/// A sleep. A dropped one leaves no trace: time does not pass for it.
struct Sleep {
    at: Duration,
    timer: u64,
    sim: Sim,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.sim.state();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        state.sleep(self.at, self.timer, context.waker());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.sim.state().forget(self.timer);
    }
}
