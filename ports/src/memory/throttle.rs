//! The in-memory `Throttle`: exact sliding windows.

use super::sliding::Sliding;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Held, Runtime, Taken, Throttle, Ticket};
use chatcore::watch::Watch;
use std::sync::Arc;
use std::time::Duration;

/// Counts in memory, by the given runtime's monotonic clock. Clones are the same throttle. A key is forgotten when its
/// window is over.
#[derive(Debug, Clone)]
pub struct MemoryThrottle {
    counts: Arc<Watch<Counts>>,
    runtime: Arc<dyn Runtime>,
}

#[derive(Debug, Default)]
struct Counts {
    takes: Sliding<String>,
    /// Those among them that are held.
    held: Sliding<String>,
}

impl Counts {
    /// Takes back one of this time, held or not.
    fn give_back(&mut self, key: &String, at: Duration) {
        self.held.give_back(key, at);
        self.takes.give_back(key, at);
    }
}

impl MemoryThrottle {
    /// A throttle that has counted nothing yet.
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { counts: Arc::default(), runtime }
    }
}

#[async_trait]
impl Throttle for MemoryThrottle {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        let (key, now) = (key.to_owned(), self.runtime.elapsed());
        Ok(self.counts.update(|Counts { takes, .. }| match takes.wait(&key, quota, now) {
            Some(wait) => Taken::Wait(wait),
            None => Taken::Granted { left: takes.take(&key, quota, now), ticket: ticket(now) },
        }))
    }

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError> {
        let (key, now) = (key.to_owned(), self.runtime.elapsed());
        Ok(self.counts.update(|counts| {
            while let Some(at) = counts.held.oldest(&key).filter(|at| *at + time <= now) {
                counts.give_back(&key, at);
            }
            match counts.takes.wait(&key, quota, now) {
                Some(time) => Held::Wait { time, undecided: counts.held.oldest(&key).is_some() },
                None => {
                    counts.takes.take(&key, quota, now);
                    counts.held.take(&key, quota, now);
                    Held::Granted(ticket(now))
                }
            }
        }))
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError> {
        let (key, at) = (key.to_owned(), taken_at(ticket));
        Ok(at.is_some_and(|at| self.counts.update(|counts| counts.held.give_back(&key, at))))
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        if let Some(at) = taken_at(ticket) {
            self.counts.update(|counts| counts.give_back(&key.to_owned(), at));
        }
        Ok(())
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        Ok(self.counts.read(|counts| counts.takes.left(&key.to_owned(), quota, self.runtime.elapsed())))
    }
}

fn ticket(at: Duration) -> Ticket {
    Ticket(at.as_nanos().to_string())
}

fn taken_at(ticket: &Ticket) -> Option<Duration> {
    ticket.0.parse().ok().map(Duration::from_nanos)
}
