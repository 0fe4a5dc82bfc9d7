//! Exact sliding windows: how many happened lately, by key.

use chatcore::policy::{Left, Quota};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// When something happened, by key. A key is forgotten when its last window is over.
#[derive(Debug)]
pub(super) struct Sliding<K> {
    takes: BTreeMap<K, Takes>,
    ends: BTreeSet<(Duration, K)>,
}

#[derive(Debug, Default)]
struct Takes {
    at: VecDeque<Duration>,
    /// The longest window that was asked for.
    window: Duration,
    end: Duration,
}

impl<K> Default for Sliding<K> {
    fn default() -> Self {
        Self { takes: BTreeMap::new(), ends: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Sliding<K> {
    /// How long the next one has to wait; `None` if it may happen now.
    pub(super) fn wait(&self, key: &K, quota: &Quota, now: Duration) -> Option<Duration> {
        if quota.limit == 0 {
            return Some(quota.window);
        }
        let takes = self.takes.get(key)?;
        let last_that_counts = takes.at.len().checked_sub(quota.limit as usize)?;
        (takes.at[last_that_counts] + quota.window).checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// Counts one, and says what is left.
    pub(super) fn take(&mut self, key: &K, quota: &Quota, now: Duration) -> Left {
        self.forget(now);
        let takes = self.takes.entry(key.clone()).or_default();
        takes.window = takes.window.max(quota.window);
        while takes.at.front().is_some_and(|at| *at + takes.window <= now) {
            takes.at.pop_front();
        }
        takes.at.push_back(now);
        self.ends.remove(&(takes.end, key.clone()));
        takes.end = now + takes.window;
        self.ends.insert((takes.end, key.clone()));
        self.left(key, quota, now)
    }

    /// What is left.
    pub(super) fn left(&self, key: &K, quota: &Quota, now: Duration) -> Left {
        let nothing = VecDeque::new();
        let at = self.takes.get(key).map_or(&nothing, |takes| &takes.at);
        let over = at.partition_point(|at| *at + quota.window <= now);
        let counted = u32::try_from(at.len() - over).unwrap_or(u32::MAX);
        let reset = at.get(over).map_or(Duration::ZERO, |oldest| (*oldest + quota.window).saturating_sub(now));
        Left { remaining: quota.limit.saturating_sub(counted), reset }
    }

    /// Takes back one of this time, if it is there.
    pub(super) fn give_back(&mut self, key: &K, at: Duration) -> bool {
        let Some(takes) = self.takes.get_mut(key) else { return false };
        let place = takes.at.iter().rposition(|taken| *taken == at);
        place.and_then(|place| takes.at.remove(place)).is_some()
    }

    /// The oldest of all.
    pub(super) fn oldest(&self, key: &K) -> Option<Duration> {
        self.takes.get(key)?.at.front().copied()
    }

    /// Throws away what no window reaches any more.
    pub(super) fn forget(&mut self, now: Duration) {
        while let Some((_, key)) =
            self.ends.first().is_some_and(|(end, _)| *end <= now).then(|| self.ends.pop_first()).flatten()
        {
            self.takes.remove(&key);
        }
    }

    #[cfg(all(test, feature = "sim"))]
    pub(super) fn is_empty(&self) -> bool {
        self.takes.is_empty() && self.ends.is_empty()
    }
}
