//! The `Throttle`: for each key a list of the times that count, as the quota of an owner's questions is one, too.

use crate::Redis;
use crate::error::unreadable;
use crate::script::{Call, Script};
use crate::value::{Read, fixed, micros, number, span, text};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Taken, Throttle, Ticket};
use deadpool_redis::redis::cmd;

const WINDOW: &str = include_str!("lua/window.lua");
static TAKE: Script = Script::with(include_str!("lua/throttle.lua"), WINDOW);
static LEFT: Script = Script::with(include_str!("lua/left.lua"), WINDOW);

#[async_trait]
impl Throttle for Redis {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        let times = self.takes(key);
        // Names the call, so that it counts once however often it is made.
        let this = format!("{times}:{}", self.inner.runtime.new_id().simple());
        let call = within(TAKE.on(&[times, this]), quota);
        let [word, remaining, time, at] = fixed(self.inner.client.call(&call).await?)?;
        match text(word)?.as_str() {
            "GRANTED" => {
                let left = Left { remaining: number(remaining)?, reset: span(time)? };
                Ok(Taken::Granted { left, ticket: Ticket(text(at)?) })
            }
            "WAIT" => Ok(Taken::Wait(span(time)?)),
            other => Err(unreadable(other)),
        }
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        let mut remove = cmd("LREM");
        self.inner.client.command_once(remove.arg(self.takes(key)).arg(1).arg(&ticket.0)).await.map(drop)
    }

    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError> {
        self.left_in(self.takes(key), quota).await
    }
}

impl Redis {
    /// Each key has a slot of its own.
    fn takes(&self, key: &str) -> String {
        self.inner.keys.plain(&format!("{{l:{key}}}"))
    }

    /// What is left of a quota whose times are kept there.
    pub(crate) async fn left_in(&self, times: String, quota: &Quota) -> Read<Left> {
        let [remaining, reset] = fixed(self.inner.client.call(&within(LEFT.on(&[times]), quota)).await?)?;
        Ok(Left { remaining: number(remaining)?, reset: span(reset)? })
    }
}

fn within(call: Call, quota: &Quota) -> Call {
    call.arg(quota.limit).arg(micros(quota.window))
}
