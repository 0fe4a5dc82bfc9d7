//! Those of this process who try under one key: of many that wait, one asks the throttle, in the order in which they came.

use super::LoginError;
use crate::error::BackendError;
use crate::watch::Watch;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// As many wait under one key at most.
const MOST_WAITING: usize = 1000;

/// The keys under which somebody tries.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<BTreeMap<String, Weak<Lane>>>>);

/// Those who try under a key.
#[derive(Debug)]
pub(super) struct Lane {
    key: String,
    state: Watch<State>,
    lanes: Lanes,
}

#[derive(Debug, Default)]
struct State {
    /// Those who wait, by their numbers, the first of them in front.
    waiting: VecDeque<u64>,
    came: u64,
    /// How many tries have been decided.
    decided: u64,
    /// How often the throttle has failed, and how the last time.
    failures: u64,
    failure: Option<BackendError>,
}

/// A place in a lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    lane: Arc<Lane>,
    number: u64,
}

impl Lanes {
    /// The lane of a key; `None` where it is full.
    pub(super) fn lane(&self, key: &str) -> Option<Arc<Lane>> {
        let lane = {
            let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.get(key).and_then(Weak::upgrade).unwrap_or_else(|| {
                let lane = Arc::new(Lane { key: key.to_owned(), state: Watch::default(), lanes: self.clone() });
                lanes.insert(key.to_owned(), Arc::downgrade(&lane));
                lane
            })
        };
        (lane.state.read(|state| state.waiting.len()) < MOST_WAITING).then_some(lane)
    }
}

impl Lane {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn one_is_decided(&self) {
        self.state.update(|state| state.decided += 1);
    }

    /// Waits until another try is decided.
    pub(super) async fn next_decided(&self) {
        let before = self.state.read(|state| state.decided);
        self.state.wait(|state| (state.decided > before).then_some(())).await;
    }
}

impl Place {
    /// Waits until all have gone who came before. Where the throttle fails for one of them, it fails for all who stood behind: not each
    /// waits for its own failure.
    pub(super) async fn first_in(lane: Arc<Lane>) -> Result<Self, LoginError> {
        let (number, known) = lane.state.update(|state| {
            state.came += 1;
            state.waiting.push_back(state.came);
            (state.came, state.failures)
        });
        let place = Self { lane, number };
        let failed = place.lane.state.wait(|state| {
            let failed = state.failure.clone().filter(|_| state.failures > known);
            (failed.is_some() || state.waiting.front() == Some(&number)).then_some(failed)
        });
        match failed.await {
            Some(error) => Err(error.into()),
            None => Ok(place),
        }
    }

    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Tells those behind.
    pub(super) fn failed(&self, error: &BackendError) {
        self.lane.state.update(|state| (state.failures, state.failure) = (state.failures + 1, Some(error.clone())));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.state.update(|state| state.waiting.retain(|number| *number != self.number));
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.lanes.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may stand there by now.
        if lanes.get(&self.key).is_some_and(|lane| lane.strong_count() == 0) {
            lanes.remove(&self.key);
        }
    }
}
