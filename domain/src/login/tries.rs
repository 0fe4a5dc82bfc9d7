//! Tries of passwords, by address and by name: held while nobody knows whether the password is right, confirmed once it is known to be wrong.

use super::LoginError;
use super::lane::{Lane, Lanes, Place};
use crate::error::BackendError;
use crate::policy::Quota;
use crate::port::{Held, Runtime, Throttle, Ticket};
use crate::task::within;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;

/// How long a try is held at most, as one whose process was killed.
const HOLD: Duration = Duration::from_secs(10);
/// How long after that has begun it may be decided: what comes later is not told, right or wrong.
const DECIDE: Duration = Duration::from_secs(8);
/// How long somebody waits for the tries of others: longer than any is held.
const PATIENCE: Duration = Duration::from_secs(12);
/// Tries of this process tell when they are decided; those of others are looked for that often.
const AGAIN: Duration = Duration::from_millis(25);

/// The tries of this process, among those of all in the throttle.
#[derive(Debug, Clone)]
pub(super) struct Tries {
    throttle: Arc<dyn Throttle>,
    runtime: Arc<dyn Runtime>,
    lanes: Lanes,
}

/// Tries that are held, and until when it may be told what came of them, by the runtime's monotonic clock.
#[derive(Debug)]
pub(super) struct Holding {
    tries: Vec<Try>,
    pub(super) until: Duration,
}

/// A try that is held under a key.
#[derive(Debug)]
struct Try {
    ticket: Ticket,
    lane: Arc<Lane>,
}

/// Why one cannot be held now.
enum Refused {
    /// So many were wrong that the next may come after this time.
    Used(Duration),
    /// Those in the way may yet turn out right; they stand under the key of this lane.
    Undecided(Arc<Lane>),
    Failed(BackendError),
}

impl Tries {
    pub(super) fn new(throttle: Arc<dyn Throttle>, runtime: Arc<dyn Runtime>) -> Self {
        Self { throttle, runtime, lanes: Lanes::default() }
    }

    /// Holds one under each of these keys. Where others stand in the way that may yet turn out right, it waits for them, and holds
    /// nothing meanwhile that stands in the way of others.
    pub(super) async fn hold(&self, keys: &[(String, Quota)]) -> Result<Holding, LoginError> {
        let end = self.runtime.elapsed().saturating_add(PATIENCE);
        let mut places = Vec::new();
        for (key, quota) in keys {
            let lane = self.lanes.lane(key).ok_or_else(|| too_much("too many tries wait under one key"))?;
            let left = end.saturating_sub(self.runtime.elapsed());
            let place = within(&*self.runtime, left, Place::first_in(lane)).await.ok_or_else(late)??;
            places.push((place, *quota));
        }
        loop {
            let until = self.runtime.elapsed().saturating_add(DECIDE);
            match self.hold_all(&places).await {
                Ok(tries) => return Ok(Holding { tries, until }),
                Err(Refused::Used(retry_after)) => return Err(LoginError::Throttled { retry_after }),
                Err(Refused::Failed(error)) => {
                    places.iter().for_each(|(place, _)| place.failed(&error));
                    return Err(error.into());
                }
                Err(Refused::Undecided(_)) if self.runtime.elapsed() >= end => return Err(late()),
                Err(Refused::Undecided(lane)) => _ = within(&*self.runtime, AGAIN, lane.next_decided()).await,
            }
        }
    }

    /// All of them, or none.
    async fn hold_all(&self, places: &[(Place, Quota)]) -> Result<Vec<Try>, Refused> {
        let mut tries = Vec::new();
        for (place, quota) in places {
            let lane = place.lane();
            let refused = match self.throttle.hold(lane.key(), quota, HOLD).await {
                Ok(Held::Granted(ticket)) => {
                    tries.push(Try { ticket, lane: lane.clone() });
                    continue;
                }
                Ok(Held::Wait { undecided: true, .. }) => Refused::Undecided(lane.clone()),
                Ok(Held::Wait { time, .. }) => Refused::Used(time),
                Err(error) => Refused::Failed(error),
            };
            self.give_back(&tries).await;
            return Err(refused);
        }
        Ok(tries)
    }

    /// Lets them count: the password was wrong. Answers whether all of them were still held: otherwise others may have been looked at in
    /// their place, and nobody may be told.
    pub(super) async fn confirm(&self, held: Holding) -> Result<bool, BackendError> {
        let confirmed = join_all(held.tries.iter().map(|one| self.throttle.confirm(one.lane.key(), &one.ticket))).await;
        let confirmed: Vec<bool> = confirmed.into_iter().collect::<Result<_, _>>()?;
        Ok(confirmed.into_iter().all(|confirmed| confirmed))
    }

    /// Lets them go. A throttle that fails here keeps others waiting until they are held no longer, and nothing worse.
    pub(super) async fn let_go(&self, held: Holding) {
        self.give_back(&held.tries).await;
    }

    async fn give_back(&self, tries: &[Try]) {
        let gone = join_all(tries.iter().map(|one| self.throttle.give_back(one.lane.key(), &one.ticket))).await;
        for error in gone.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, source = %error.source, "a login could not be given back to the throttle");
        }
    }
}

fn late() -> LoginError {
    too_much("too many tries under one key are not decided")
}

fn too_much(what: &'static str) -> LoginError {
    LoginError::Users(BackendError::later("login", what))
}

impl Drop for Try {
    fn drop(&mut self) {
        self.lane.one_is_decided();
    }
}
