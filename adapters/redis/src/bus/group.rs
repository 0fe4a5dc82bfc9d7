//! The steps of a group: who gets what next, and what is worked off. Each is one script in one partition.

use super::held::{Found, Name};
use crate::Redis;
use crate::keys::Partition;
use crate::script::{Call, Script};
use crate::value::{Read, number, some, text};
use chatcore::port::Acked;
use std::collections::BTreeMap;
use std::time::Duration;

/// What all of them share.
macro_rules! group {
    ($text:literal) => {
        Script::with(include_str!($text), include_str!("../lua/bus/group.lua"))
    };
}

static TAKE: Script = group!("../lua/bus/take.lua");
static RENEW: Script = group!("../lua/bus/renew.lua");
static GIVE_BACK: Script = group!("../lua/bus/give_back.lua");
static LEAVE: Script = group!("../lua/bus/leave.lua");
static LAG: Script = group!("../lua/bus/lag.lua");
static REPLAY: Script = group!("../lua/bus/replay.lua");
static DONE: Script = Script::with(
    include_str!("../lua/bus/done.lua"),
    concat!(include_str!("../lua/bus/group.lua"), include_str!("../lua/bus/park.lua")),
);

/// A group of consumers.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(super) redis: Redis,
    name: String,
}

impl Group {
    pub(crate) fn new(redis: Redis, name: &str) -> Self {
        Self { redis, name: name.to_owned() }
    }

    /// Whether there is such a partition.
    pub(super) fn has(&self, partition: Partition) -> bool {
        self.redis.inner.keys.has(partition)
    }

    /// How many partitions may lie on other nodes than one.
    pub(super) fn elsewhere(&self) -> u8 {
        if self.redis.inner.client.nodes().is_cluster() { self.redis.inner.keys.count() - 1 } else { 0 }
    }

    /// The call that gives a dead letter back to the group that parked it.
    pub(crate) fn replay(&self, partition: Partition, letter: &str) -> Call {
        self.on(&REPLAY, partition).arg(letter).arg(&self.name).arg(self.channel(partition))
    }

    /// The next delivery for a member; the same one, if the call of this number is made again. And how many events the log has
    /// dropped meanwhile before the group had worked them off.
    pub(super) async fn take(
        &self,
        partition: Partition,
        member: &str,
        lease: Duration,
        number: u64,
    ) -> Read<(Found, u64)> {
        let mut keys = self.keys(partition);
        keys.push(format!("{}gm:{}:{member}", self.redis.inner.keys.slot(partition), self.name));
        let call = TAKE.on(&keys).arg(member).arg(millis(lease)).arg(number);
        Found::read(partition, self.redis.inner.client.call(&call).await?)
    }

    /// Says what was dropped to make room, before the group had worked it off.
    pub(super) fn warn_of_dropped(&self, dropped: BTreeMap<Partition, u64>) {
        for (Partition(partition), dropped) in dropped {
            tracing::warn!(group = self.name, partition, dropped, "events were dropped before they were read");
        }
    }

    /// A delivery was worked off, or never will be: then with the reason.
    pub(super) async fn done(&self, member: &str, name: &Name, parked: Option<&str>) -> Read<Acked> {
        let mut call = self.of(&DONE, member, name);
        if let Some(reason) = parked {
            call = call.arg(reason).arg(&self.name).arg(self.redis.most_events());
        }
        let word = text(self.redis.inner.client.call(&call).await?)?;
        Ok(if word == "DONE" { Acked::Done } else { Acked::Revoked })
    }

    /// A delivery that nobody saw goes back.
    pub(super) async fn give_back(&self, member: &str, name: &Name) -> Read<()> {
        // Not again where its answer was lost: the member may have taken it anew meanwhile.
        self.redis.inner.client.call(&self.of(&GIVE_BACK, member, name).once()).await.map(drop)
    }

    /// A living member keeps what it holds.
    pub(super) async fn renew(&self, member: &str, lease: Duration, held: &[Name]) -> Read<()> {
        let of = |part: &[Name]| {
            let call = self.on(&RENEW, part.first()?.partition).arg(member).arg(millis(lease));
            let add = |call: Call, name: &Name| call.arg(&name.session).arg(&name.head).arg(name.attempt);
            Some(part.iter().fold(call, add))
        };
        let calls: Vec<Call> = held.chunk_by(|one, next| one.partition == next.partition).filter_map(of).collect();
        self.run_all(&calls).await
    }

    /// A member leaves; what it holds is free.
    pub(super) async fn leave(&self, member: &str) -> Read<()> {
        let partitions = self.redis.inner.keys.partitions();
        let calls: Vec<Call> =
            partitions.map(|partition| self.on(&LEAVE, partition).arg(member).arg(self.channel(partition))).collect();
        self.run_all(&calls).await
    }

    /// How many events are not worked off, where the partitions answer.
    pub(super) async fn lag(&self) -> Read<u64> {
        let calls: Vec<Call> = self.redis.inner.keys.partitions().map(|partition| self.on(&LAG, partition)).collect();
        let lags = some(self.redis.inner.client.call_all(&calls).await)?;
        lags.into_iter().try_fold(0, |sum, lag| Ok(sum + number::<u64>(lag)?))
    }

    async fn run_all(&self, calls: &[Call]) -> Read<()> {
        self.redis.inner.client.call_all(calls).await.into_iter().try_for_each(|ran| ran.map(drop))
    }

    fn of(&self, script: &'static Script, member: &str, name: &Name) -> Call {
        let call = self.on(script, name.partition).arg(member).arg(&name.session).arg(&name.head).arg(name.attempt);
        call.arg(self.channel(name.partition))
    }

    /// A call in a partition, with the keys that `group.lua` names.
    fn on(&self, script: &'static Script, partition: Partition) -> Call {
        script.on(&self.keys(partition))
    }

    fn keys(&self, partition: Partition) -> Vec<String> {
        let keys = &self.redis.inner.keys;
        let (slot, name) = (keys.slot(partition), &self.name);
        let own = |kind: &str| format!("{slot}{kind}:{name}");
        let [cursor, lanes, behind, when, replayed] = ["gc", "gl", "gb", "gt", "gr"].map(own);
        vec![keys.outbox(partition), cursor, lanes, behind, when, replayed, keys.letters(partition)]
    }

    fn channel(&self, partition: Partition) -> String {
        self.redis.inner.keys.wake_channel(partition)
    }
}

/// A lease, as the scripts are told.
fn millis(lease: Duration) -> u64 {
    // Numbers of scripts are exact up to 2^53.
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 42)
}
