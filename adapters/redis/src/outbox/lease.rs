//! Which relay has a partition: one at a time, as long as it comes again. Else the relay of each server would publish each event.
//!
//! The lease is soft. A relay that was frozen publishes again what another has published meanwhile, as two relays would that know
//! of no lease; the first occurrences are in order all the same, since each begins at the oldest entry that is not settled.
//!
//! Most claims ask nobody: who has a partition knows for how long it has it for certain, and who has it not knows until when it
//! may stay away, unless it hears that somebody has left.

use crate::Redis;
use crate::hub::Listening;
use crate::keys::Partition;
use crate::script::{Call, Script};
use crate::value::{Read, number, some};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How long who has given a partition back lets others come first.
const COURTESY: Duration = Duration::from_millis(100);

static HOLD: Script = Script::new(include_str!("../lua/lease/hold.lua"));
static LEAVE: Script = Script::new(include_str!("../lua/lease/leave.lua"));

/// What a relay knows of the leases.
pub(crate) struct Leases {
    /// What the relay is called.
    relay: String,
    /// How long a lease is; none at all, and everybody has everything.
    lease: Duration,
    known: Mutex<BTreeMap<Partition, Known>>,
    /// Tells of those who leave.
    left: OnceLock<Listening>,
}

/// What is known of one.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// This relay has it until then at least.
    Own(Duration),
    /// Another has it until then at most, or until more is heard of those who leave than was before.
    Others(Duration, Option<u64>),
    /// This relay has given it back, and does not come again before then.
    GivenBack(Duration),
}

impl Leases {
    pub(crate) fn new(relay: String, lease: Duration) -> Self {
        Self { relay, lease, known: Mutex::default(), left: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Redis {
    /// Tells of relays that leave.
    pub(super) fn leaving(&self) -> &Listening {
        let listen = || self.inner.hub.listen(self.inner.keys.left_channel());
        self.inner.leases.left.get_or_init(listen)
    }

    /// Whether this relay need not look there now.
    pub(super) fn is_anothers(&self, partition: Partition) -> bool {
        let now = self.inner.runtime.elapsed();
        match self.inner.leases.lock().get(&partition) {
            Some(Known::Others(until, heard)) => now < *until && *heard == self.leaving().heard(),
            Some(Known::GivenBack(until)) => now < *until,
            Some(Known::Own(_)) | None => false,
        }
    }

    /// Takes a partition, or keeps it; answers whether this relay has it, then for two thirds of a lease at least.
    pub(super) async fn hold(&self, partition: Partition) -> Read<bool> {
        let leases = &self.inner.leases;
        let (now, heard) = (self.inner.runtime.elapsed(), self.leaving().heard());
        let known = leases.lock().get(&partition).copied();
        if leases.lease.is_zero() || matches!(known, Some(Known::Own(until)) if now + leases.lease / 3 * 2 < until) {
            return Ok(true);
        }
        let lease = u64::try_from(leases.lease.as_millis()).unwrap_or(u64::MAX);
        let hold = HOLD.on(&[self.inner.keys.lease(partition)]).arg(&leases.relay).arg(lease);
        let others: u64 = number(self.inner.client.call(&hold).await?)?;
        // Nobody takes it to be longer than it is: an own one began with the call, another's is told with the answer.
        let known = match others {
            0 => Known::Own(now + leases.lease),
            ms => Known::Others(self.inner.runtime.elapsed() + Duration::from_millis(ms), heard),
        };
        leases.lock().insert(partition, known);
        Ok(others == 0)
    }

    /// Keeps what this relay has.
    pub(super) async fn hold_on(&self) -> Read<()> {
        let now = self.inner.runtime.elapsed();
        let is_own = |known: &Known| matches!(known, Known::Own(until) if now < *until);
        let known = self.inner.leases.lock().clone();
        let own = known.into_iter().filter(|(_, known)| is_own(known)).map(|(partition, _)| self.hold(partition));
        some(join_all(own).await).map(drop)
    }

    /// Gives back what this relay has, also what it took without learning of it.
    pub(super) async fn give_back(&self) -> Read<()> {
        let (keys, leases) = (&self.inner.keys, &self.inner.leases);
        if leases.lease.is_zero() {
            return Ok(());
        }
        let later = self.inner.runtime.elapsed() + COURTESY;
        leases.lock().extend(keys.partitions().map(|partition| (partition, Known::GivenBack(later))));
        let leave = |partition| LEAVE.on(&[keys.lease(partition)]).arg(&leases.relay).arg(keys.left_channel());
        let calls: Vec<Call> = keys.partitions().map(leave).collect();
        some(self.inner.client.call_all(&calls).await).map(drop)
    }
}
