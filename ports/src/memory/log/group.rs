//! A group of consumers: a lane for each session that has events, and who holds the head of which lane.

use super::Log;
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::port::{Delivery, DeliveryId, Place};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// What a group has read of the log and not worked off. The rest of the log is behind the cursor; it is read no further
/// than is needed to find a session that is free.
#[derive(Debug, Default)]
pub(super) struct Group {
    cursor: u64,
    /// How many records are behind the cursor.
    unread: u64,
    lanes: BTreeMap<SessionId, Lane>,
    /// The lanes whose head nobody holds, by the head's number.
    free: BTreeSet<(u64, SessionId)>,
    /// The lanes whose holder died, by when their head comes back.
    returning: BTreeSet<(Duration, SessionId)>,
    members: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Lane {
    records: VecDeque<(u64, Arc<Event>)>,
    /// How often the head was delivered.
    attempt: u32,
    holder: Option<u64>,
}

/// What a member gets.
#[derive(Debug)]
pub(in crate::memory) enum Take {
    /// A record.
    One(Box<Delivery>),
    /// Nothing now; the next one whose holder died comes back at this time.
    Nothing { back: Option<Duration> },
    /// It has left the group.
    Left,
}

/// Members of groups.
impl Log {
    /// A new member of a group. A group that is new starts at the oldest event.
    pub(in crate::memory) fn join(&mut self, group: &str) -> u64 {
        let member = self.next_id();
        self.group(group).members.insert(member);
        member
    }

    /// The next record for a member.
    pub(in crate::memory) fn take(&mut self, group: &str, member: u64, now: Duration) -> Take {
        let Some(group) = self.groups.get_mut(group).filter(|group| group.members.contains(&member)) else {
            return Take::Left;
        };
        group.give_back(now);
        group.read(&self.records, self.last);
        match group.take(member) {
            Some(delivery) => Take::One(Box::new(delivery)),
            None => Take::Nothing { back: group.next_return() },
        }
    }

    /// Whether to [`take`](Self::take) again, after there was nothing.
    pub(in crate::memory) fn has_news(&self, group: &str, member: u64, back: Option<Duration>) -> bool {
        self.groups.get(group).is_none_or(|group| {
            let more = !group.free.is_empty() || group.cursor < self.last;
            more || group.next_return() != back || !group.members.contains(&member)
        })
    }

    /// A record was worked off, or is to be parked for this reason; false where the member does not hold it.
    pub(in crate::memory) fn done(&mut self, group: &str, member: u64, id: &DeliveryId, reason: Option<&str>) -> bool {
        let event = self.groups.get_mut(group).and_then(|group| group.done(member, id));
        if let (Some(event), Some(reason)) = (&event, reason) {
            self.park(Some(group), reason, event.clone());
        }
        event.is_some()
    }

    /// A member leaves; what it holds comes back at this time.
    pub(in crate::memory) fn leave(&mut self, group: &str, member: u64, back: Duration, now: Duration) {
        if let Some(group) = self.groups.get_mut(group) {
            group.leave(member, back);
            group.give_back(now);
        }
    }

    /// How many events of a group are not worked off.
    pub(in crate::memory) fn lag(&self, group: &str) -> u64 {
        let Some(group) = self.groups.get(group) else { return 0 };
        let read: usize = group.lanes.values().map(|lane| lane.records.len()).sum();
        group.unread + read as u64
    }
}

impl Group {
    /// A group that has so many records to read.
    pub(super) fn new(unread: u64) -> Self {
        Self { unread, ..Self::default() }
    }

    pub(super) fn note_new(&mut self) {
        self.unread += 1;
    }

    pub(super) fn note_gone(&mut self, id: u64) {
        self.unread -= u64::from(id > self.cursor);
    }

    /// A member leaves; what it holds comes back at this time.
    fn leave(&mut self, member: u64, back: Duration) {
        if self.members.remove(&member) {
            let held = self.lanes.iter().filter(|(_, lane)| lane.holder == Some(member));
            self.returning.extend(held.map(|(session, _)| (back, *session)));
        }
    }

    /// When the next one comes back whose holder died.
    fn next_return(&self) -> Option<Duration> {
        self.returning.first().map(|(back, _)| *back)
    }

    /// Reads on until there is a session that is free, or nothing more to read.
    fn read(&mut self, records: &BTreeMap<u64, Arc<Event>>, last: u64) {
        while self.free.is_empty() && self.cursor < last {
            let next = records.range((Bound::Excluded(self.cursor), Bound::Unbounded)).next();
            self.cursor = next.map_or(last, |(id, _)| *id);
            if let Some((id, event)) = next {
                self.unread -= 1;
                self.push(*id, event.clone());
            }
        }
    }

    /// Frees what comes back by now.
    fn give_back(&mut self, now: Duration) {
        while self.next_return().is_some_and(|back| back <= now) {
            let Some((_, session)) = self.returning.pop_first() else { return };
            if let Some(lane) = self.lanes.get_mut(&session) {
                lane.holder = None;
                self.free.extend(lane.head().map(|id| (id, session)));
            }
        }
    }

    /// The oldest record of a session that is free.
    fn take(&mut self, member: u64) -> Option<Delivery> {
        let (id, session) = self.free.pop_first()?;
        let lane = self.lanes.get_mut(&session)?;
        let (_, event) = lane.records.front()?;
        let event = Event::clone(event);
        lane.attempt += 1;
        lane.holder = Some(member);
        let name = DeliveryId(format!("{id}/{}", lane.attempt));
        let place = Place { topic: "events".into(), partition: 0, offset: id };
        Some(Delivery { id: name, place, key: session.to_string(), attempt: lane.attempt, event: Ok(event) })
    }

    /// Takes a record out that this member holds; `None` where it does not.
    fn done(&mut self, member: u64, delivery: &DeliveryId) -> Option<Arc<Event>> {
        let parse = |(id, attempt): (&str, &str)| Some((id.parse().ok()?, attempt.parse().ok()?));
        let (id, attempt): (u64, u32) = delivery.0.split_once('/').and_then(parse)?;
        let held = |lane: &Lane| lane.holder == Some(member) && lane.attempt == attempt && lane.head() == Some(id);
        let (session, lane) = self.lanes.iter_mut().find(|(_, lane)| held(lane))?;
        let session = *session;
        let (_, event) = lane.records.pop_front()?;
        (lane.holder, lane.attempt) = (None, 0);
        match lane.head() {
            Some(next) => _ = self.free.insert((next, session)),
            None => _ = self.lanes.remove(&session),
        }
        Some(event)
    }

    /// Puts a record into its lane.
    pub(super) fn push(&mut self, id: u64, event: Arc<Event>) {
        let session = event.session;
        let lane = self.lanes.entry(session).or_default();
        if lane.records.is_empty() {
            self.free.insert((id, session));
        }
        lane.records.push_back((id, event));
    }
}

impl Lane {
    fn head(&self) -> Option<u64> {
        self.records.front().map(|(id, _)| *id)
    }
}
