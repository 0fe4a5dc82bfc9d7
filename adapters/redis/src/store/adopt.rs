//! Adoption. A session stays in its slot, where one step makes a hundred of them the user's; the user's home keeps how many
//! are in which other slot at most, so that lists and limits reach them. Those numbers are raised before and set right
//! afterwards: killed anywhere, an adoption leaves a number too high, which is set right when it matters.

use super::script;
use crate::Redis;
use crate::error::unreadable;
use crate::keys::Partition;
use crate::script::{Call, Script};
use crate::value::{Read, fixed, items, number, text};
use chatcore::owner::Owner;
use chatcore::session::{Adopted, AdoptionRest};
use deadpool_redis::redis::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static COUNT: Script = script!("count");
static ROOM: Script = script!("room");
static MOVE: Script = script!("move");

/// How many sessions one step moves.
const STEP: u64 = 100;

/// For how long after it began a step goes on under its name, which the slots know for 60 s.
const KNOWN: Duration = Duration::from_secs(50);

/// A step of an adoption, as the user's home knows it.
struct Asked<'a> {
    user: &'a Owner,
    home: Partition,
    /// The slot where the sessions are; empty for the home itself.
    place: String,
    /// Names the step.
    token: String,
    /// Whether an earlier call began it.
    is_begun: bool,
}

/// A step that failed somewhere.
#[derive(Debug)]
struct Step {
    token: String,
    began: Duration,
}

/// Steps of adoptions that failed somewhere: who calls again goes on with them, so that nothing is reserved twice.
#[derive(Debug, Default)]
pub(crate) struct Begun(Mutex<BTreeMap<String, Step>>);

impl Begun {
    fn take(&self, whose: &str, now: Duration) -> Option<Step> {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.retain(|_, step| now.saturating_sub(step.began) < KNOWN);
        steps.remove(whose)
    }

    fn keep(&self, whose: String, step: Step) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(whose, step);
    }
}

impl Redis {
    pub(super) async fn adopt_some(&self, guest: &Owner, user: &Owner) -> Read<Adopted> {
        let (whose, now) = (format!("{guest} {user}"), self.inner.runtime.elapsed());
        let begun = self.inner.begun.take(&whose, now);
        let is_begun = begun.is_some();
        let new = || Step { token: self.inner.runtime.new_id().simple().to_string(), began: now };
        let step = begun.unwrap_or_else(new);
        let adopted = self.adopt_step(guest, user, (&step.token, is_begun)).await;
        if adopted.is_err() {
            self.inner.begun.keep(whose, step);
        }
        adopted
    }

    async fn adopt_step(&self, guest: &Owner, user: &Owner, (token, is_begun): (&str, bool)) -> Read<Adopted> {
        let (there, home) = (self.inner.keys.home(guest), self.inner.keys.home(user));
        let held = self.count_in(there, guest).await?;
        if held == 0 && !is_begun {
            return Ok(Adopted { moved: 0, rest: AdoptionRest::Nothing });
        }
        let place = if there == home { String::new() } else { there.0.to_string() };
        let asked = Asked { user, home, place, token: token.to_owned(), is_begun };
        let granted = self.reserve(&asked, held.min(STEP)).await?;
        let most = if there == home { self.inner.limits.owner_sessions.to_string() } else { String::new() };
        let mut keys: Vec<String> =
            [guest, user].into_iter().flat_map(|owner| [format!("u:{owner}"), format!("e:{owner}")]).collect();
        keys.push(format!("a:{}", asked.token));
        let call = self.at(there, &MOVE, &keys).arg(&[guest.to_string(), user.to_string()]).arg(granted).arg(most);
        let [moved, keep, left] = fixed(Value::Array(self.say(&call.arg(&asked.token).at_rest()).await?.1))?;
        let (moved, keep, left): (u64, u64, u64) = (number(moved)?, number(keep)?, number(left)?);
        if there != home && granted > 0 {
            self.say(&self.reservation(&asked, "KEEP").arg(granted.saturating_sub(moved)).arg(keep)).await?;
        }
        let rest = match left {
            0 => AdoptionRest::Nothing,
            _ if granted < held.min(STEP) && !is_begun => AdoptionRest::NoRoom,
            _ => AdoptionRest::More,
        };
        Ok(Adopted { moved: usize::try_from(moved).unwrap_or(usize::MAX), rest })
    }

    /// How many of those that are wanted may become the user's. The numbers of other slots may be too high: where that
    /// stands in the way they are set right first.
    async fn reserve(&self, asked: &Asked<'_>, wanted: u64) -> Read<u64> {
        let most = self.inner.limits.owner_sessions;
        let call = self.reservation(asked, "RESERVE").arg(wanted).arg(most);
        let [granted, seen] = fixed(Value::Array(self.say(&call).await?.1))?;
        let (granted, seen) = (number::<u64>(granted)?, items(seen)?);
        if granted == wanted || seen.len() < 2 || asked.is_begun && granted > 0 {
            return Ok(granted);
        }
        if granted > 0 && !asked.place.is_empty() {
            self.say(&self.reservation(asked, "KEEP").arg(granted).arg(0)).await?;
        }
        self.count_again(asked.user, asked.home, seen).await?;
        let [granted, _] = fixed(Value::Array(self.say(&call).await?.1))?;
        number(granted)
    }

    /// Sets the numbers of other slots right, unless an adoption has ended since they were `seen`: how many had, and which slots
    /// they are.
    pub(super) async fn count_again(&self, owner: &Owner, home: Partition, seen: Vec<Value>) -> Read<()> {
        let seen = seen.into_iter().map(text).collect::<Read<Vec<String>>>()?;
        let Some((ended, places)) = seen.split_first() else { return Ok(()) };
        let places = places.iter().map(|place| place.parse().map(Partition).map_err(unreadable));
        let places = places.collect::<Read<Vec<Partition>>>()?;
        let calls: Vec<Call> = places
            .iter()
            .map(|place| self.at(*place, &COUNT, &[format!("e:{owner}")]).arg(owner.to_string()))
            .collect();
        let keys = [format!("h:{owner}"), format!("e:{owner}")];
        let mut renew = self.at(home, &ROOM, &keys).arg(owner.to_string()).arg("RENEW").arg(ended);
        for (place, count) in places.iter().zip(self.inner.client.call_all(&calls).await) {
            let [_, count] = fixed(count?)?;
            renew = renew.arg(place.0).arg(number::<u64>(count)?);
        }
        self.say(&renew).await.map(drop)
    }

    async fn count_in(&self, partition: Partition, owner: &Owner) -> Read<u64> {
        let [count] = fixed(Value::Array(
            self.say(&self.at(partition, &COUNT, &[format!("e:{owner}")]).arg(owner.to_string())).await?.1,
        ))?;
        number(count)
    }

    /// What is asked of the user's home, once however often the call is made.
    fn reservation(&self, asked: &Asked<'_>, what: &str) -> Call {
        let Asked { user, home, place, token, .. } = asked;
        let keys = [format!("h:{user}"), format!("e:{user}"), format!("a:{token}")];
        let call = self.at(*home, &ROOM, &keys).arg(user.to_string()).arg(what);
        call.arg(token.as_str()).arg(place.as_str())
    }
}
