//! The `Throttle`.

use crate::Sqlite;
use crate::takes;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Held, Taken, Throttle, Ticket};
use std::time::Duration;

#[async_trait]
impl Throttle for Sqlite {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        let (key, quota) = (takes::of_key(key), *quota);
        self.write(move |step| takes::take(step, &key, &quota)).await
    }

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError> {
        let (key, quota) = (takes::of_key(key), *quota);
        self.write(move |step| takes::hold(step, &key, &quota, time)).await
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError> {
        let Ok(at) = ticket.0.parse() else { return Ok(false) };
        let key = takes::of_key(key);
        self.write(move |step| takes::confirm(step, &key, at)).await
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        let Ok(at) = ticket.0.parse() else { return Ok(()) };
        let key = takes::of_key(key);
        self.write(move |step| takes::give_back(step, &key, at)).await
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        let (key, quota) = (takes::of_key(key), *quota);
        self.read(move |step| takes::left(step, &key, &quota)).await
    }
}
