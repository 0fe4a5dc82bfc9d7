//! A `Runtime` whose steady clock goes ahead by itself: for tests of what a jump of a clock does, or of what lies far ahead.

use chatcore::port::Runtime;
use futures_core::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// Another runtime, of which `elapsed` is ahead by so much as was set last. Clones have the same clock.
#[derive(Debug, Clone)]
pub struct Ahead<R>(R, Arc<AtomicU64>);

impl<R> Ahead<R> {
    /// Ahead of a runtime by nothing yet.
    #[must_use]
    pub fn of(runtime: R) -> Self {
        Self(runtime, Arc::default())
    }

    /// Sets it ahead by so many seconds.
    pub fn by(&self, seconds: u64) {
        self.1.store(seconds, Ordering::Relaxed);
    }
}

impl<R: Runtime> Runtime for Ahead<R> {
    fn now(&self) -> OffsetDateTime {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() + Duration::from_secs(self.1.load(Ordering::Relaxed))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(time)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn new_id(&self) -> Uuid {
        self.0.new_id()
    }
}
