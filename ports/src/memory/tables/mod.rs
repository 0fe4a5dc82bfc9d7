//! The tables of the in-memory store. Every rule of `SessionStore` is a plain function here: no waiting, no lock. Each that
//! writes begins by throwing expired sessions away, so that none of them has to think of time.

mod begin;
mod owners;
mod read;
mod session;
mod write;

use super::log::Log;
use super::plant::Plant;
use super::sliding::Sliding;
use chatcore::error::AccessError;
use chatcore::id::{Key, SessionId};
use chatcore::owner::Owner;
use chatcore::policy::StoreLimits;
use chatcore::stamp::micros;
use chatcore::watch::Watch;
use session::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

pub use read::Dump;

/// What happened in a store, for those who test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Turns begun again after their lease.
    pub resumed: u64,
    /// Begins that were repeated by the same attempt.
    pub repeated: u64,
    /// Turns closed without their server.
    pub closed: u64,
    /// The longest time that a turn was open after its lease.
    pub overdue: Duration,
    /// Completed answers that came too late: their turn had another attempt, or was closed.
    pub late: u64,
}

/// The instant of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) elapsed: Duration,
    pub(super) wall: OffsetDateTime,
}

/// Everything that the store knows, but for the events: those have a lock of their own, which is only taken while this one
/// is held or by those who need no table.
#[derive(Debug)]
pub(super) struct Tables {
    sessions: BTreeMap<SessionId, Session>,
    owners: BTreeMap<Owner, Holdings>,
    starts: Sliding<Owner>,
    /// When sessions and tombstones are over.
    ends: BTreeSet<(Duration, SessionId)>,
    /// When the leases of open turns are over.
    leases: BTreeSet<(Duration, SessionId)>,
    log: Arc<Watch<Log>>,
    limits: StoreLimits,
    plant: Plant,
    pub(super) tally: Tally,
}

/// What an owner has.
#[derive(Debug, Default)]
struct Holdings {
    /// The sessions that these keys opened, tombstones and adopted ones too.
    first_keys: BTreeMap<Key, SessionId>,
    /// Living sessions by last activity.
    living: BTreeSet<(i64, SessionId)>,
}

impl Tables {
    pub(super) fn new(log: Arc<Watch<Log>>, limits: StoreLimits, plant: Plant) -> Self {
        Self {
            sessions: BTreeMap::new(),
            owners: BTreeMap::new(),
            starts: Sliding::default(),
            ends: BTreeSet::new(),
            leases: BTreeSet::new(),
            log,
            limits,
            plant,
            tally: Tally::default(),
        }
    }

    /// Whether nothing is left in any table.
    #[cfg(all(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        let sessions = self.sessions.is_empty() && self.ends.is_empty() && self.leases.is_empty();
        sessions && self.owners.is_empty() && self.starts.is_empty()
    }

    /// A living session of this owner.
    fn owned(&self, owner: &Owner, id: &SessionId, now: Duration) -> Result<&Session, AccessError> {
        let living = self.sessions.get(id).filter(|session| !session.deleted && session.until > now);
        match living {
            Some(session) if session.owner == *owner => Ok(session),
            Some(_) => Err(AccessError::NotYours),
            None => Err(AccessError::NotFound),
        }
    }

    /// Throws away what has expired, with its keys, its open turn and its place in every index.
    fn expire(&mut self, now: Duration) {
        self.starts.forget(now);
        while let Some(&(until, id)) = self.ends.first().filter(|(until, _)| *until <= now) {
            self.ends.remove(&(until, id));
            let open = self.sessions.get(&id).is_some_and(|session| session.open.is_some());
            if !(open && self.plant.is(Plant::ExpiredStillAnswers)) {
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.ends.remove(&(session.until, id));
        if let Some(open) = &session.open {
            self.leases.remove(&(open.lease_until, id));
        }
        self.unlist(&session.owner, (micros(session.last_activity), id));
        if let Some(opened) = &session.opened {
            self.forget_first_key(opened);
        }
    }

    fn forget_first_key(&mut self, (owner, key): &(Owner, Key)) {
        if let Some(holdings) = self.owners.get_mut(owner) {
            holdings.first_keys.remove(key);
        }
        self.forget_owner(owner);
    }

    /// Takes a session out of its owner's list.
    fn unlist(&mut self, owner: &Owner, entry: (i64, SessionId)) {
        if let Some(holdings) = self.owners.get_mut(owner) {
            holdings.living.remove(&entry);
        }
        self.forget_owner(owner);
    }

    fn list(&mut self, owner: &Owner, entry: (i64, SessionId)) {
        self.owners.entry(owner.clone()).or_default().living.insert(entry);
    }

    fn forget_owner(&mut self, owner: &Owner) {
        if self.owners.get(owner).is_some_and(|holdings| holdings.living.is_empty() && holdings.first_keys.is_empty()) {
            self.owners.remove(owner);
        }
    }

    /// How many living sessions an owner has.
    fn living(&self, owner: &Owner) -> u64 {
        self.owners.get(owner).map_or(0, |holdings| holdings.living.len() as u64)
    }
}
