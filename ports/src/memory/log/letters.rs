//! The dead letters of a log.

use super::Log;
use chatcore::event::Event;
use chatcore::port::{DeadLetter, DeadLetterId, DeadLettersPage, Replay};
use std::ops::Bound;
use std::sync::Arc;

/// The group that refused entries of the outbox belong to.
const RELAY: &str = "relay";

/// A parked event. Where no group parked it, the relay did.
#[derive(Debug)]
pub(super) struct Letter {
    group: Option<String>,
    reason: String,
    event: Arc<Event>,
}

impl Log {
    /// Parks an event for a group, or for the relay. There are never more letters than the log may hold events.
    pub(super) fn park(&mut self, group: Option<&str>, reason: &str, event: Arc<Event>) {
        while self.letters.len() as u64 >= self.limit.max(1) {
            self.letters.pop_first();
            self.dropped += 1;
        }
        let id = self.next_id();
        self.letters.insert(id, Letter { group: group.map(str::to_owned), reason: reason.to_owned(), event });
    }

    /// A page of dead letters, oldest first.
    pub(in crate::memory) fn letters(&self, page: &DeadLettersPage) -> Vec<DeadLetter> {
        let after = page.after.as_ref().and_then(|after| after.0.parse().ok()).unwrap_or(0);
        let letters = self.letters.range((Bound::Excluded(after), Bound::Unbounded));
        letters.take(page.limit).map(|(id, letter)| letter.shown(*id)).collect()
    }

    /// Gives a letter back to the group that parked it, behind what the group has of that session, or to the relay.
    pub(in crate::memory) fn replay(&mut self, id: &DeadLetterId) -> Replay {
        let Some(letter) = id.0.parse().ok().and_then(|id: u64| self.letters.remove(&id)) else {
            return Replay::NotFound;
        };
        match letter.group {
            Some(group) => {
                let id = self.next_id();
                self.group(&group).push(id, letter.event);
            }
            None => {
                let id = self.append(letter.event);
                self.queued.insert(id);
            }
        }
        Replay::Queued
    }
}

impl Letter {
    fn shown(&self, id: u64) -> DeadLetter {
        DeadLetter {
            // Twenty digits hold any number, so that the ids sort by age as text too.
            id: DeadLetterId(format!("{id:020}")),
            key: self.event.session.to_string(),
            group: self.group.as_deref().unwrap_or(RELAY).to_owned(),
            reason: self.reason.clone(),
            raw: self.event.to_json().into_bytes(),
        }
    }
}
