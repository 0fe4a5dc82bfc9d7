//! What a member has of its partitions: what was fetched, what is in hand, and how far each is worked off.
//!
//! Plain state without I/O. A record goes from its partition's queue into the lane of its key, from there into a hand, and is
//! then done. A lane has one record in hand at most. Only the lowest offset below which all is done is committed.

use crate::attempts::Before;
use crate::merge;
use crate::record::Fetched;
use crate::topic::{Part, Topic};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A partition with so many records that are not done is not fetched from, until there are half as many.
const FULL: usize = 4000;
/// Nor is one with so many bytes of them.
const FULL_BYTES: usize = 4 << 20;
/// Nor is one whose oldest record that is not done is so far behind: as much comes again after a crash.
const WINDOW: i64 = 20_000;

/// What a member has.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) parts: BTreeMap<Part, Tenure>,
    lanes: BTreeMap<Bytes, Lane>,
    /// Keys of lanes that have a record and none in hand, each once.
    ready: VecDeque<Bytes>,
    in_hand: BTreeMap<u64, Arc<Fetched>>,
    last: u64,
    /// Since when a partition of which nothing comes is waited for by those of its number.
    pub(crate) waiting: BTreeMap<Part, Duration>,
    /// Topics that the client went back in by itself: one may have been made anew.
    pub(crate) went_back: BTreeSet<Topic>,
}

/// A partition, for as long as the member has it.
#[derive(Debug, Default)]
pub(crate) struct Tenure {
    /// Fetched, in no lane yet; the oldest first.
    pub(crate) queue: VecDeque<Arc<Fetched>>,
    /// Offsets that are not done, and the bytes of each.
    open: BTreeMap<i64, usize>,
    /// All of them.
    bytes: usize,
    /// Behind the last one fetched; `None` before it is known.
    next: Option<i64>,
    /// Behind the last one handed out.
    shown: i64,
    before: Before,
    /// How often the client went back in it meanwhile. What was fetched before counts only where it stands below all those places:
    /// others may stand there now.
    life: u32,
    kept: Option<i64>,
    dirty: bool,
    pub(crate) paused: bool,
    /// It moves to another member: nothing of it is handed out.
    pub(crate) leaving: bool,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Arc<Fetched>>,
    busy: bool,
}

/// A record that was handed out.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) record: Arc<Fetched>,
}

/// A position to commit, and what to write beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) part: Part,
    pub(crate) position: i64,
    pub(crate) beside: String,
}

impl Tenure {
    fn position(&self) -> Option<i64> {
        self.open.first_key_value().map(|(offset, _)| *offset).or(self.next)
    }

    fn is_full(&self) -> bool {
        let span = self.next.zip(self.open.first_key_value()).map_or(0, |(next, (first, _))| next - first);
        let share = if self.paused { 2 } else { 1 };
        self.open.len() >= FULL / share || self.bytes >= FULL_BYTES / share || span >= WINDOW
    }

    /// By time, but behind what came before of its key. A relay that catches up writes sessions after each other that were at work
    /// side by side: a young record before an old one would hide it from the siblings, which are merged by the first of each queue.
    fn enqueue(&mut self, record: Fetched) {
        let younger = |other: &&Arc<Fetched>| other.at > record.at && other.key != record.key;
        let behind = self.queue.iter().rev().take_while(younger).count();
        self.queue.insert(self.queue.len() - behind, Arc::new(record));
    }

    /// The client goes on below what was fetched.
    fn go_back(&mut self, position: i64) {
        let gone = self.open.split_off(&position);
        self.bytes -= gone.values().sum::<usize>();
        (self.next, self.shown) = (Some(position), self.shown.min(position));
        self.kept = Some(self.kept.map_or(position, |kept| kept.min(position)));
        self.life += 1;
    }

    /// Whether a record still stands where it was fetched.
    fn has(&self, record: &Fetched) -> bool {
        record.life == self.life || self.kept.is_some_and(|kept| record.offset < kept)
    }
}

impl Lanes {
    /// The member has a partition from now on.
    pub(crate) fn assign(&mut self, part: Part, next: Option<i64>, before: Before) {
        self.parts.insert(part, Tenure { next, before, ..Tenure::default() });
    }

    /// Takes what was fetched; `skip` tells what is not for this group. Answers whether there was such.
    pub(crate) fn fetched(&mut self, records: Vec<Fetched>, skip: impl Fn(&Fetched) -> bool) -> bool {
        let mut skipped = false;
        for mut record in records {
            let Some(tenure) = self.parts.get_mut(&record.part).filter(|tenure| !tenure.leaving) else { continue };
            if tenure.next.is_some_and(|next| record.offset < next) {
                tenure.go_back(record.offset);
                self.went_back.insert(record.part.topic);
            }
            tenure.next = Some(record.offset + 1);
            record.life = tenure.life;
            if skip(&record) {
                (tenure.dirty, skipped) = (true, true);
                continue;
            }
            tenure.open.insert(record.offset, record.bytes());
            tenure.bytes += record.bytes();
            tenure.enqueue(record);
        }
        skipped
    }

    /// Takes note of where the client goes on.
    pub(crate) fn stands_at(&mut self, part: Part, position: i64) {
        let Some(tenure) = self.parts.get_mut(&part) else { return };
        if tenure.next.is_some_and(|next| position < next) {
            tenure.go_back(position);
            self.went_back.insert(part.topic);
        }
    }

    /// Another topic has this name now, and is read from its start, which is committed. What is there of the one before is worked
    /// off, and counts no more. Answers in which partitions.
    pub(crate) fn begin_anew(&mut self, topic: Topic) -> Vec<Part> {
        let tenures = self.parts.iter_mut().filter(|(part, _)| part.topic == topic);
        let anew = |(part, tenure): (&Part, &mut Tenure)| {
            tenure.go_back(0);
            (tenure.before, tenure.dirty) = (Before::default(), true);
            *part
        };
        let parts = tenures.map(anew).collect();
        self.went_back.remove(&topic);
        parts
    }

    /// Moves records from the queues into their lanes that nothing can come before. Answers for which partitions the others wait. None
    /// while all hands have work and more is to be read: brokers are not asked each time then.
    pub(crate) fn admit_certain(&mut self, has_more: bool) -> Vec<Part> {
        match has_more && self.is_ready() {
            true => Vec::new(),
            false => self.advance(&BTreeSet::new(), None),
        }
    }

    /// Moves those, too, that waited for partitions without anything more to fetch, which are `caught_up`, or waited for long enough.
    pub(crate) fn admit(&mut self, caught_up: &BTreeSet<Part>, now: Duration) {
        self.advance(caught_up, Some(now));
    }

    fn advance(&mut self, caught_up: &BTreeSet<Part>, now: Option<Duration>) -> Vec<Part> {
        let (records, awaited) = merge::next(self, caught_up, now);
        for record in records {
            let key = record.lane();
            let lane = self.lanes.entry(key.clone()).or_default();
            if lane.waiting.is_empty() && !lane.busy {
                self.ready.push_back(key);
            }
            // Of two topics, the later may have been fetched first.
            let later = |other: &Arc<Fetched>| other.part.topic != record.part.topic && other.seq() > record.seq();
            let behind = lane.waiting.iter().rev().take_while(|other| later(other)).count();
            lane.waiting.insert(lane.waiting.len() - behind, record);
        }
        awaited
    }

    /// Whether there is something to hand out.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Hands out a record.
    pub(crate) fn take(&mut self) -> Option<Taken> {
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let record = lane.waiting.pop_front()?;
        lane.busy = true;
        let tenure = self.parts.get_mut(&record.part)?;
        let mut attempt = 1;
        if tenure.has(&record) {
            tenure.shown = tenure.shown.max(record.offset + 1);
            attempt += tenure.before.of(record.offset);
        }
        self.last += 1;
        self.in_hand.insert(self.last, record.clone());
        Some(Taken { number: self.last, attempt, record })
    }

    /// What is in that hand, if it is still this member's.
    pub(crate) fn look(&self, number: u64) -> Option<Arc<Fetched>> {
        self.in_hand.get(&number).cloned()
    }

    /// It was worked off. Answers whether it was in hand.
    pub(crate) fn done(&mut self, number: u64) -> bool {
        let Some(record) = self.in_hand.remove(&number) else { return false };
        if let Some(tenure) = self.parts.get_mut(&record.part).filter(|tenure| tenure.has(&record)) {
            tenure.bytes -= tenure.open.remove(&record.offset).unwrap_or_default();
            tenure.dirty = true;
        }
        self.free(&record.lane());
        true
    }

    /// It was not worked off, and is handed out again.
    pub(crate) fn give_back(&mut self, number: u64) {
        let Some(record) = self.in_hand.remove(&number) else { return };
        let (key, stays) = (record.lane(), !self.is_leaving(record.part));
        if let Some(lane) = self.lanes.get_mut(&key).filter(|_| stays) {
            lane.waiting.push_front(record);
        }
        self.free(&key);
    }

    /// Lets go of what is of a partition that moves to another member. Answers whether it is not in hand, or not any more.
    pub(crate) fn let_go(&mut self, number: u64) -> bool {
        if self.in_hand.get(&number).is_some_and(|record| self.is_leaving(record.part)) {
            self.give_back(number);
        }
        !self.in_hand.contains_key(&number)
    }

    fn free(&mut self, key: &Bytes) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.busy = false;
        if lane.waiting.is_empty() {
            self.lanes.remove(key);
        } else {
            self.ready.push_back(key.clone());
        }
    }

    /// Partitions move to others: what is not in hand is dropped.
    pub(crate) fn leave(&mut self, parts: &[Part]) {
        for part in parts {
            if let Some(tenure) = self.parts.get_mut(part) {
                tenure.queue.clear();
                tenure.leaving = true;
            }
        }
        self.lanes.retain(|_, lane| {
            lane.waiting.retain(|record| !parts.contains(&record.part));
            lane.busy || !lane.waiting.is_empty()
        });
        let lanes = &self.lanes;
        self.ready.retain(|key| lanes.get(key).is_some_and(|lane| !lane.waiting.is_empty()));
    }

    /// Whether something of these partitions is in hand.
    pub(crate) fn holds(&self, parts: &[Part]) -> bool {
        self.in_hand.values().any(|record| parts.contains(&record.part))
    }

    /// Partitions are another member's now: what is in hand of them is revoked. Answers what to commit at the last, likewise
    /// without what may have been made anew.
    pub(crate) fn release(&mut self, parts: &[Part]) -> Vec<Commit> {
        self.leave(parts);
        let gone = |record: &Fetched| parts.contains(&record.part);
        let revoked: Vec<_> =
            self.in_hand.iter().filter(|(_, record)| gone(record)).map(|(number, _)| *number).collect();
        for number in revoked {
            self.give_back(number);
        }
        let last = |part: &Part| {
            let tenure = self.parts.remove(part)?;
            let position = tenure.position().filter(|_| !self.went_back.contains(&part.topic))?;
            Some(Commit { part: *part, position, beside: tenure.before.closed(position, tenure.shown) })
        };
        parts.iter().filter_map(last).collect()
    }

    /// What to commit since it was asked last. Nothing of topics that may have been made anew: it may be of the one before.
    pub(crate) fn commits(&mut self) -> Vec<Commit> {
        let known = self.parts.iter_mut().filter(|(part, _)| !self.went_back.contains(&part.topic));
        let dirty = |(part, tenure): (&Part, &mut Tenure)| {
            let position = tenure.position().filter(|_| std::mem::take(&mut tenure.dirty))?;
            Some(Commit { part: *part, position, beside: tenure.before.open(position) })
        };
        known.filter_map(dirty).collect()
    }

    /// A commit failed; it is asked for again.
    pub(crate) fn not_committed(&mut self, commits: &[Commit]) {
        for commit in commits {
            if let Some(tenure) = self.parts.get_mut(&commit.part) {
                tenure.dirty = true;
            }
        }
    }

    /// Partitions to stop (`true`) or to go on fetching from, where that changed.
    pub(crate) fn flow(&mut self) -> Vec<(Part, bool)> {
        let changed = |(part, tenure): (&Part, &mut Tenure)| {
            let full = tenure.is_full();
            (std::mem::replace(&mut tenure.paused, full) != full).then_some((*part, full))
        };
        self.parts.iter_mut().filter_map(changed).collect()
    }

    /// Whether records wait for those of another partition, or partitions for room.
    pub(crate) fn is_held_up(&self) -> bool {
        self.parts.values().any(|tenure| tenure.paused || !tenure.queue.is_empty())
    }

    /// How many records of a partition are not done, where the log ends there; `None` where the member does not know.
    pub(crate) fn lag(&self, part: Part, end: i64) -> Option<u64> {
        let tenure = self.parts.get(&part)?;
        let unfetched = u64::try_from(end - tenure.next?).unwrap_or_default();
        Some(unfetched + tenure.open.len() as u64)
    }

    /// The partitions that the member has.
    pub(crate) fn assigned(&self) -> Vec<Part> {
        self.parts.keys().copied().collect()
    }

    fn is_leaving(&self, part: Part) -> bool {
        self.parts.get(&part).is_none_or(|tenure| tenure.leaving)
    }
}

#[cfg(test)]
mod tests;
