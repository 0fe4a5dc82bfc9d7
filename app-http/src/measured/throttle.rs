//! A throttle whose calls are measured, among those of the store that it is a part of.

use super::calls::{Calls, always};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Held, Runtime, Taken, Throttle, Ticket};
use std::sync::Arc;
use std::time::Duration;

/// A throttle whose calls are measured.
#[derive(Debug)]
pub(crate) struct MeasuredThrottle {
    throttle: Arc<dyn Throttle>,
    calls: Calls,
}

impl MeasuredThrottle {
    /// The same throttle.
    pub(crate) fn new(throttle: Arc<dyn Throttle>, runtime: Arc<dyn Runtime>) -> Self {
        Self { throttle, calls: Calls::new(&["take", "hold", "confirm", "give_back", "remaining"], runtime) }
    }
}

#[async_trait]
impl Throttle for MeasuredThrottle {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        self.calls.call("take", self.throttle.take(key, quota), always).await
    }

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError> {
        self.calls.call("hold", self.throttle.hold(key, quota, time), always).await
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError> {
        self.calls.call("confirm", self.throttle.confirm(key, ticket), always).await
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        self.calls.call("give_back", self.throttle.give_back(key, ticket), always).await
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        self.calls.call("remaining", self.throttle.remaining(key, quota), always).await
    }
}
