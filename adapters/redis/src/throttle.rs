//! The `Throttle`: for each key a list of the times that count, as the quota of an owner's questions is one, too.

use crate::Redis;
use crate::error::unreadable;
use crate::script::Script;
use crate::value::{fixed, micros, number, span, text};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Taken, Throttle};
use deadpool_redis::redis::cmd;

static TAKE: Script = Script::with(include_str!("lua/throttle.lua"), include_str!("lua/window.lua"));

#[async_trait]
impl Throttle for Redis {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        let call = TAKE.on(&[self.takes(key)]).arg(quota.limit.max(1)).arg(micros(quota.window));
        let [word, remaining, time] = fixed(self.inner.client.call(&call).await?)?;
        match text(word)?.as_str() {
            "GRANTED" => Ok(Taken::Granted(Left { remaining: number(remaining)?, reset: span(time)? })),
            "WAIT" => Ok(Taken::Wait(span(time)?)),
            other => Err(unreadable(other)),
        }
    }

    async fn give_back(&self, key: &str) -> Result<(), BackendError> {
        self.inner.client.command_once(cmd("LPOP").arg(self.takes(key))).await.map(drop)
    }
}

impl Redis {
    /// Each key has a slot of its own.
    fn takes(&self, key: &str) -> String {
        self.inner.keys.plain(&format!("{{l:{key}}}"))
    }
}
