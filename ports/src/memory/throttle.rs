//! The in-memory `Throttle`: exact sliding windows.

use super::sliding::Sliding;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Runtime, Taken, Throttle, Ticket};
use chatcore::watch::Watch;
use std::sync::Arc;
use std::time::Duration;

/// Counts in memory, by the given runtime's monotonic clock. Clones are the same throttle. A key is forgotten when its
/// window is over.
#[derive(Debug, Clone)]
pub struct MemoryThrottle {
    takes: Arc<Watch<Sliding<String>>>,
    runtime: Arc<dyn Runtime>,
}

impl MemoryThrottle {
    /// A throttle that has counted nothing yet.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { takes: Arc::new(Watch::new(Sliding::default())), runtime }
    }
}

#[async_trait]
impl Throttle for MemoryThrottle {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        let (key, now) = (key.to_owned(), self.runtime.elapsed());
        Ok(self.takes.update(|takes| match takes.wait(&key, quota, now) {
            Some(wait) => Taken::Wait(wait),
            None => {
                let ticket = Ticket(now.as_nanos().to_string());
                Taken::Granted { left: takes.take(&key, quota, now), ticket }
            }
        }))
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        if let Ok(nanos) = ticket.0.parse() {
            self.takes.update(|takes| takes.give_back(&key.to_owned(), Duration::from_nanos(nanos)));
        }
        Ok(())
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        Ok(self.takes.read(|takes| takes.left(&key.to_owned(), quota, self.runtime.elapsed())))
    }
}
