//! Tries of passwords, by name and by address: held while nobody knows whether the password is right, counted once it is known
//! to be wrong.

use super::LoginError;
use crate::error::BackendError;
use crate::policy::Quota;
use crate::port::{Runtime, Taken, Throttle, Ticket};
use crate::task::within;
use crate::watch::Watch;
use futures_util::lock::Mutex as Turns;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long a try is held at most, as one whose process was killed.
const HOLD: Duration = Duration::from_secs(10);
/// When it has to be decided: before it is held no longer, with time left to count it.
const DECIDE: Duration = Duration::from_secs(8);
/// How long somebody waits for the tries of others under a key: longer than any is held.
const PATIENCE: Duration = Duration::from_secs(12);
/// Tries of this process tell when they are decided; those of others are looked for that often.
const AGAIN: Duration = Duration::from_millis(25);
/// As many tries of this process wait under one key at most.
const MOST_WAITING: usize = 1000;

/// The tries of this process, among those of all in the throttle. There a key counts wrong passwords, and another key beside it
/// holds those that are not looked at yet.
#[derive(Debug, Clone)]
pub(super) struct Tries {
    throttle: Arc<dyn Throttle>,
    runtime: Arc<dyn Runtime>,
    lanes: Arc<Lanes>,
}

/// The keys under which somebody tries.
type Lanes = Mutex<BTreeMap<String, Weak<Lane>>>;

/// Tries under one key. They ask the throttle one after the other: of many that wait, one looks.
#[derive(Debug)]
struct Lane {
    key: String,
    turn: Turns<()>,
    seen: Watch<Seen>,
    lanes: Arc<Lanes>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    /// How many have been decided.
    decided: u64,
    /// How often it failed to hold one, and how the last time.
    failures: u64,
    failure: Option<LoginError>,
}

/// A try that is held.
#[derive(Debug)]
pub(super) struct Try {
    ticket: Ticket,
    /// Until when its password may be looked at, by the runtime's monotonic clock.
    until: Duration,
    quota: Quota,
    lane: Arc<Lane>,
}

impl Tries {
    pub(super) fn new(throttle: Arc<dyn Throttle>, runtime: Arc<dyn Runtime>) -> Self {
        Self { throttle, runtime, lanes: Arc::default() }
    }

    /// Holds one. Where others stand in the way that may yet turn out right, it waits for them.
    pub(super) async fn hold(&self, key: String, quota: Quota) -> Result<Try, LoginError> {
        let lane = self.lane(key)?;
        let known = lane.seen.read(|seen| seen.failures);
        let _turn = lane.turn.lock().await;
        let Seen { failures, failure, .. } = lane.seen.read(Seen::clone);
        // While it failed for another they stood behind it, and are told the same: not each waits for its own failure.
        if let Some(error) = failure.filter(|_| failures != known) {
            return Err(error);
        }
        let held = within(&*self.runtime, PATIENCE, self.held(&lane, &quota)).await.unwrap_or_else(|| {
            Err(LoginError::Users(BackendError::later("login", "too many tries under one key are not decided")))
        });
        if let Err(error @ (LoginError::Users(_) | LoginError::Backend(_))) = &held {
            lane.seen.update(|seen| (seen.failures, seen.failure) = (failures + 1, Some(error.clone())));
        }
        held.map(|(ticket, since)| Try { ticket, until: since.saturating_add(DECIDE), quota, lane: lane.clone() })
    }

    /// One that is held, and since when.
    async fn held(&self, lane: &Lane, quota: &Quota) -> Result<(Ticket, Duration), LoginError> {
        loop {
            let (decided, since) = (lane.seen.read(|seen| seen.decided), self.runtime.elapsed());
            if let Some(ticket) = self.ask(&lane.key, quota).await? {
                return Ok((ticket, since));
            }
            let another = lane.seen.wait(|seen| (seen.decided > decided).then_some(()));
            within(&*self.runtime, AGAIN, another).await;
        }
    }

    /// `None` where those that are held would be too many, were they all wrong.
    async fn ask(&self, key: &str, quota: &Quota) -> Result<Option<Ticket>, LoginError> {
        let undecided = undecided(key);
        let taken = self.throttle.take(&undecided, &Quota { window: HOLD, ..*quota }).await?;
        // Only then: one that is decided meanwhile is counted before it is let go, so it is seen here or there.
        let left = self.throttle.remaining(key, quota).await?;
        if let Taken::Granted { left: beside, ticket } = taken {
            if left.remaining.saturating_add(beside.remaining) >= quota.limit {
                return Ok(Some(ticket));
            }
            self.throttle.give_back(&undecided, &ticket).await?;
        }
        match left.remaining {
            0 if quota.limit == 0 => Err(LoginError::Throttled { retry_after: quota.window }),
            0 => Err(LoginError::Throttled { retry_after: left.reset }),
            _ => Ok(None),
        }
    }

    /// How long the password of these may take to be looked at.
    pub(super) fn time_for(&self, tries: &[Try]) -> Duration {
        let now = self.runtime.elapsed();
        tries.iter().map(|one| one.until.saturating_sub(now)).min().unwrap_or(DECIDE)
    }

    /// Counts them: the password was wrong. They are still held.
    pub(super) async fn count(&self, tries: &[Try]) -> Result<(), BackendError> {
        for Try { quota, lane, .. } in tries {
            self.throttle.take(&lane.key, quota).await?;
        }
        Ok(())
    }

    /// Lets them go. A throttle that fails here keeps others waiting until they are held no longer, and nothing worse.
    pub(super) async fn let_go(&self, tries: Vec<Try>) {
        for Try { ticket, lane, .. } in &tries {
            if let Err(error) = self.throttle.give_back(&undecided(&lane.key), ticket).await {
                tracing::warn!(%error, source = %error.source, "a login could not be given back to the throttle");
            }
        }
    }

    fn lane(&self, key: String) -> Result<Arc<Lane>, LoginError> {
        let lane = {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
                let (turn, seen, of) = (Turns::default(), Watch::default(), self.lanes.clone());
                let lane = Arc::new(Lane { key: key.clone(), turn, seen, lanes: of });
                lanes.insert(key, Arc::downgrade(&lane));
                lane
            })
        };
        match Arc::strong_count(&lane) {
            ..=MOST_WAITING => Ok(lane),
            _ => Err(LoginError::Users(BackendError::later("login", "too many tries wait under one key"))),
        }
    }
}

/// Where the tries are held whose passwords may be right.
fn undecided(key: &str) -> String {
    format!("undecided:{key}")
}

impl Drop for Try {
    fn drop(&mut self) {
        self.lane.seen.update(|seen| seen.decided += 1);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may stand there by now.
        if lanes.get(&self.key).is_some_and(|lane| lane.strong_count() == 0) {
            lanes.remove(&self.key);
        }
    }
}
