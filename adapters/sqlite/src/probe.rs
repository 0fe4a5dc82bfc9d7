//! The `Probe`: whether the file can be written.

use crate::Sqlite;
use crate::error::NAME;
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::Probe;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// A change that changes nothing, but has to take the lock and write a page.
const TOUCH: &str = "UPDATE log SET dropped = dropped WHERE one = 1";

#[async_trait]
impl Probe for Sqlite {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<(), BackendError> {
        let touch = pin!(self.note(|step| step.run(TOUCH, []).map(drop)));
        match select(touch, self.inner.runtime.sleep(Duration::from_secs(1))).await {
            Either::Left((touched, _)) => touched,
            Either::Right(_) => Err(BackendError::later(NAME, "no answer within a second")),
        }
    }
}
