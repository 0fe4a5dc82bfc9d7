//! The `Probe`: whether the server answers, and takes writes.

use crate::Redis;
use crate::error::{NAME, unreadable};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::port::Probe;
use deadpool_redis::redis::{Cmd, Value};

#[async_trait]
impl Probe for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn check(&self) -> Result<(), BackendError> {
        let mut touch = Cmd::new();
        // A write, since a replica and a full server answer a PING as well.
        touch.arg("SET").arg(self.inner.keys.plain("probe")).arg("1").arg("EX").arg(60);
        match self.inner.client.command(&touch).await? {
            Value::Okay => Ok(()),
            other => Err(unreadable(format_args!("{other:?}"))),
        }
    }
}
