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
    home: Handle,
    /// Whether a caller's own runtime comes before the home.
    local: bool,
}

impl TokioRuntime {
    /// Tasks go to the tokio runtime that this is called in.
    ///
    /// # Panics
    /// Called outside a tokio runtime.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the port gets its steady clock from")]
    pub fn current() -> Self {
        Self { start: Instant::now(), home: Handle::current(), local: false }
    }

    /// Tasks and timers go to the tokio runtime of the thread that asks for them; from a thread without one, to that which
    /// this is called in. For a program whose threads each have a runtime of their own, like those of actix-web: a turn then
    /// stays on the thread of its request. Such a thread must not end before the turns on it have.
    ///
    /// # Panics
    /// Called outside a tokio runtime.
    #[must_use]
    pub fn local() -> Self {
        Self { local: true, ..Self::current() }
    }

    fn handle(&self) -> Handle {
        let own = self.local.then(Handle::try_current).and_then(Result::ok);
        own.unwrap_or_else(|| self.home.clone())
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
        let handle = self.handle();
        let _inside = handle.enter();
        Box::pin(::tokio::time::sleep(time))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle().spawn(task);
    }

    #[expect(clippy::disallowed_methods, reason = "this is where the port gets its chance from")]
    fn new_id(&self) -> Uuid {
        Uuid::new_v4()
    }
}
