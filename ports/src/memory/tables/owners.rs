//! What changes the list of an owner's sessions: deletion and adoption.

use super::super::plant::Plant;
use super::{Now, Tables};
use chatcore::error::AccessError;
use chatcore::event::{Event, EventBody};
use chatcore::id::{DeviceId, RequestId, SessionId, UserId};
use chatcore::owner::Owner;
use chatcore::session::{Adopted, AdoptionRest};
use chatcore::stamp::micros;

/// How many sessions one step of an adoption moves.
const STEP: u64 = 100;

impl Tables {
    /// Deletes a session; a tombstone stays until its time is over.
    pub(in crate::memory) fn delete(
        &mut self,
        owner: &Owner,
        id: SessionId,
        request_id: Option<RequestId>,
        now: Now,
    ) -> Result<(), AccessError> {
        self.expire(now.elapsed);
        if self.sessions.get(&id).is_some_and(|session| session.deleted && session.owner == *owner) {
            return Ok(());
        }
        let session = self.owned(owner, &id, now.elapsed)?;
        let (seq, entry, opened) = (session.next_seq(), (micros(session.last_activity), id), session.opened.clone());
        self.unlist(owner, entry);
        if let Some(opened) = opened.filter(|_| self.plant.is(Plant::DeleteForgetsKey)) {
            self.forget_first_key(&opened);
        }
        if let Some(open) = self.sessions.get_mut(&id).and_then(|session| session.bury()) {
            self.leases.remove(&(open.lease_until, id));
        }
        let (owner, body) = (owner.clone(), EventBody::SessionDeleted);
        self.write_event(Event { session: id, owner, seq, at: now.wall, request_id, body });
        Ok(())
    }

    /// Makes some of a guest's sessions a user's, those of the newest activity first.
    pub(in crate::memory) fn adopt(&mut self, guest: &DeviceId, user: &UserId, now: Now) -> Adopted {
        self.expire(now.elapsed);
        let (guest, user) = (Owner::Guest(guest.clone()), Owner::User(user.clone()));
        let room = self.limits.owner_sessions.saturating_sub(self.living(&user));
        let count = usize::try_from(room.min(STEP)).unwrap_or(usize::MAX);
        let listed = self.owners.get(&guest).map(|holdings| holdings.living.iter().rev().take(count).copied());
        let moving: Vec<(i64, SessionId)> = listed.into_iter().flatten().collect();
        for entry in &moving {
            self.unlist(&guest, *entry);
            self.list(&user, *entry);
            if let Some(session) = self.sessions.get_mut(&entry.1) {
                session.owner = user.clone();
            }
        }
        let rest = match self.living(&guest) {
            0 => AdoptionRest::Nothing,
            _ if room <= moving.len() as u64 => AdoptionRest::NoRoom,
            _ => AdoptionRest::More,
        };
        Adopted { moved: moving.len(), rest }
    }
}
