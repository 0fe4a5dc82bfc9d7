//! The `Throttle`: for each key a list of the times that count, as the quota of an owner's questions is one, too.

use crate::Redis;
use crate::error::unreadable;
use crate::script::{Call, Script};
use crate::value::{Read, fixed, micros, number, span, text};
use async_trait::async_trait;
use chatcore::error::BackendError;
use chatcore::policy::{Left, Quota};
use chatcore::port::{Held, Taken, Throttle, Ticket};
use deadpool_redis::redis::cmd;
use std::time::Duration;

const WINDOW: &str = include_str!("lua/window.lua");
static TAKE: Script = Script::with(include_str!("lua/throttle.lua"), WINDOW);
static HOLD: Script = Script::with(include_str!("lua/hold.lua"), WINDOW);
static GIVE_BACK: Script = Script::new(include_str!("lua/give_back.lua"));
static LEFT: Script = Script::with(include_str!("lua/left.lua"), WINDOW);

#[async_trait]
impl Throttle for Redis {
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError> {
        let times = self.takes(key);
        let this = self.call_on(&times);
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

    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError> {
        let times = self.takes(key);
        let this = self.call_on(&times);
        let call = within(HOLD.on(&[times, self.held(key), this]), quota).arg(micros(time));
        let [word, at, wait] = fixed(self.inner.client.call(&call).await?)?;
        match text(word)?.as_str() {
            "GRANTED" => Ok(Held::Granted(Ticket(text(at)?))),
            undecided @ ("WAIT" | "UNDECIDED") => {
                Ok(Held::Wait { time: span(wait)?, undecided: undecided == "UNDECIDED" })
            }
            other => Err(unreadable(other)),
        }
    }

    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError> {
        let mut remove = cmd("LREM");
        let removed = self.inner.client.command_once(remove.arg(self.held(key)).arg(1).arg(&ticket.0)).await?;
        number::<u32>(removed).map(|removed| removed > 0)
    }

    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError> {
        let call = GIVE_BACK.on(&[self.takes(key), self.held(key)]).arg(&ticket.0).once();
        self.inner.client.call(&call).await.map(drop)
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

    /// Names a call, so that it counts once however often it is made.
    fn call_on(&self, times: &str) -> String {
        format!("{times}:{}", self.inner.runtime.new_id().simple())
    }

    /// Those among them that are held.
    fn held(&self, key: &str) -> String {
        self.takes(key) + ":held"
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
