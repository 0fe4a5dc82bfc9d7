//! The `Runtime` of programs: tokio's tasks and timers, the system's wall clock, random ids.

use ::tokio::runtime::Handle;
use ::tokio::time::Instant;
use chatcore::port::Runtime;
use futures_core::future::BoxFuture;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// The `Runtime` of programs. Its monotonic clock is tokio's, so a test that pauses that one pauses this one too.
#[derive(Debug, Clone)]
pub struct TokioRuntime {
    start: Instant,
    handle: Handle,
}

impl TokioRuntime {
    /// Tasks go to the tokio runtime that this is called in.
    ///
    /// # Panics
    /// Called outside a tokio runtime.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the port gets its steady clock from")]
    pub fn current() -> Self {
        Self { start: Instant::now(), handle: Handle::current() }
    }
}

impl Runtime for TokioRuntime {
    #[expect(clippy::disallowed_methods, reason = "this is where the port gets its wall clock from")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let _inside = self.handle.enter();
        Box::pin(::tokio::time::sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the port gets its chance from")]
    fn new_id(&self) -> Uuid {
        Uuid::new_v4()
    }
}
