//! The log: events in order, the outbox's and the bus's alike, with what groups of consumers make of them.

mod group;
mod letters;

use super::plant::Plant;
use chatcore::event::{Event, EventBody};
use chatcore::policy::{OutboxFull, StoreLimits};
use chatcore::port::{Backlog, CLAIM_BYTES, Entry, EntryId, Settled};
use group::Group;
pub(super) use group::Take;
use letters::Letter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Events in order. One that waits for a relay is `queued` too.
#[derive(Debug)]
pub(super) struct Log {
    records: BTreeMap<u64, Arc<Event>>,
    queued: BTreeSet<u64>,
    last: u64,
    dropped: u64,
    limit: u64,
    full: OutboxFull,
    groups: BTreeMap<String, Group>,
    letters: BTreeMap<u64, Letter>,
    plant: Plant,
}

impl Log {
    pub(super) fn new(limits: &StoreLimits, plant: Plant) -> Self {
        Self {
            records: BTreeMap::new(),
            queued: BTreeSet::new(),
            last: 0,
            dropped: 0,
            limit: limits.outbox_events,
            full: limits.outbox_full,
            groups: BTreeMap::new(),
            letters: BTreeMap::new(),
            plant,
        }
    }

    /// Whether new questions are to be refused until a relay has made room.
    pub(super) fn is_full(&self) -> bool {
        self.full == OutboxFull::Refuse && self.queued.len() as u64 >= self.limit
    }

    /// Appends an event that waits for a relay.
    pub(super) fn queue(&mut self, event: Event) {
        let id = self.append(Arc::new(event));
        self.queued.insert(id);
    }

    /// Appends an event that is on the bus.
    pub(super) fn publish(&mut self, event: Event) {
        self.append(Arc::new(event));
    }

    fn append(&mut self, event: Arc<Event>) -> u64 {
        while self.full == OutboxFull::DropOldest && self.records.len() as u64 >= self.limit.max(1) {
            if let Some((id, _)) = self.records.first_key_value() {
                self.remove(*id);
                self.dropped += 1;
            }
        }
        let id = self.next_id();
        self.records.insert(id, event);
        self.groups.values_mut().for_each(Group::note_new);
        id
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Event>> {
        let event = self.records.remove(&id)?;
        self.queued.remove(&id);
        self.groups.values_mut().for_each(|group| group.note_gone(id));
        Some(event)
    }

    /// A group; one that is new has everything to read.
    fn group(&mut self, name: &str) -> &mut Group {
        let unread = self.records.len() as u64;
        self.groups.entry(name.to_owned()).or_insert_with(|| Group::new(unread))
    }

    fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// How many events were dropped because the log was full.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// All events that the log holds.
    pub(super) fn events(&self) -> Vec<Event> {
        self.records.values().map(|event| Event::clone(event)).collect()
    }
}

/// The outbox.
impl Log {
    /// The oldest queued entries behind this one; `None` while there is none.
    pub(super) fn claim(&self, last: u64, max: usize) -> Option<Vec<Entry>> {
        let entry = |id: &u64| {
            self.records.get(id).map(|event| Entry { id: EntryId(id.to_string()), event: Event::clone(event) })
        };
        let first = if self.plant.is(Plant::ClaimForgetsMark) { 0 } else { last + 1 };
        let mut bytes = 0;
        let is_room = |entry: &Entry| {
            let is_room = bytes < CLAIM_BYTES || self.plant.is(Plant::ClaimForgetsBytes);
            bytes += size(&entry.event);
            is_room
        };
        let queued = self.queued.range(first..).take(max).filter_map(entry);
        let mut entries: Vec<Entry> = queued.take_while(is_room).collect();
        if self.plant.is(Plant::OutboxForgetsOrder) {
            entries.sort_by_key(|entry| !matches!(entry.event.body, EventBody::ChatRequested(_)));
        }
        (!entries.is_empty()).then_some(entries)
    }

    /// Takes an entry out, and parks it where the bus refused it.
    pub(super) fn settle(&mut self, id: &EntryId, settled: &Settled) {
        let Some(id) = id.0.parse().ok().filter(|id| self.queued.remove(id)) else { return };
        if self.plant.is(Plant::SettleDropsUnsettled) {
            self.queued = self.queued.split_off(&id);
        }
        let Some(event) = self.remove(id) else { return };
        if let Settled::Refused(reason) = settled {
            self.park(None, reason, event);
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        let oldest = self.queued.first().and_then(|id| self.records.get(id));
        Backlog { events: self.queued.len() as u64, oldest: oldest.map(|event| event.at) }
    }
}

/// About how many bytes it takes.
fn size(event: &Event) -> usize {
    event.message().map_or(0, |message| message.content.len() + message.reply.products.as_json().len())
}
