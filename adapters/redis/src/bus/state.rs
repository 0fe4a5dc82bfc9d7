//! What the calls of a member share.

use super::held::Name;
use super::look::Looks;
use crate::keys::Partition;
use chatcore::watch::Watch;
use std::collections::{BTreeMap, BTreeSet};

/// What the calls of a member share.
#[derive(Debug, Default)]
pub(super) struct State(Watch<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// It was closed.
    closed: bool,
    /// It was closed or dropped.
    ended: bool,
    looks: Looks,
    /// What is in the hands of the consumer, to be renewed.
    held: BTreeSet<Name>,
    /// How many calls took something, or tried to, and which of them may have, though nobody was told.
    takes: u64,
    untold: BTreeMap<Partition, u64>,
    /// How many events were dropped before the group had worked them off, which is not told yet.
    dropped: BTreeMap<Partition, u64>,
}

impl State {
    /// The next partition to look into, as soon as there is one; `None` once closed.
    pub(super) async fn pick(&self) -> Option<Partition> {
        loop {
            let closed = self.0.wait(|state| (state.closed || state.looks.any()).then_some(state.closed)).await;
            if closed {
                return None;
            }
            // Another may have picked it meanwhile.
            if let Some(partition) = self.0.update(|state| state.looks.pick()) {
                return Some(partition);
            }
        }
    }

    /// There may be something in these partitions.
    pub(super) fn look(&self, partitions: impl IntoIterator<Item = Partition>) {
        self.0.update(|state| partitions.into_iter().for_each(|partition| state.looks.add(partition)));
    }

    /// The number of the next call that takes something in a partition: that of one whose answer was lost, if there is such.
    pub(super) fn next_take(&self, partition: Partition) -> u64 {
        self.0.update(|state| {
            state.untold.remove(&partition).unwrap_or_else(|| {
                state.takes += 1;
                state.takes
            })
        })
    }

    /// The call of this number may have taken something.
    pub(super) fn take_again(&self, partition: Partition, number: u64) {
        self.0.update(|state| state.untold.insert(partition, number));
    }

    /// So many events of a partition were dropped.
    pub(super) fn add_dropped(&self, partition: Partition, count: u64) {
        if count > 0 {
            self.0.update(|state| *state.dropped.entry(partition).or_default() += count);
        }
    }

    /// How many were dropped since this was asked last.
    pub(super) fn take_dropped(&self) -> BTreeMap<Partition, u64> {
        self.0.update(|state| std::mem::take(&mut state.dropped))
    }

    /// A delivery goes to the consumer; false where the member is closed.
    pub(super) fn hand_out(&self, name: &Name) -> bool {
        self.0.update(|state| !state.closed && state.held.insert(name.clone()))
    }

    /// A delivery is in the consumer's hands no more.
    pub(super) fn put_down(&self, name: &Name) {
        self.0.update(|state| state.held.remove(name));
    }

    /// What is in the consumer's hands.
    pub(super) fn held(&self) -> Vec<Name> {
        self.0.read(|state| state.held.iter().cloned().collect())
    }

    pub(super) fn close(&self) {
        self.0.update(|state| {
            (state.closed, state.ended) = (true, true);
            state.held.clear();
        });
    }

    /// The member was dropped.
    pub(super) fn end(&self) {
        self.0.update(|state| state.ended = true);
    }

    /// Done when the member was closed or dropped.
    pub(super) async fn ended(&self) {
        self.0.wait(|state| state.ended.then_some(())).await;
    }
}
