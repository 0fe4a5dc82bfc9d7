//! What guests may do besides the quota that every owner has: a device is only a name, and names cost nothing, so all guests of
//! an address share one more quota.

use crate::chat::{ChatError, Found, SendMessage};
use crate::error::BackendError;
use crate::policy::{Left, Quota};
use crate::port::{Runtime, Taken, Throttle, Ticket};
use crate::task::in_task;
use crate::turn::Refusal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a guest's question is not taken.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// Guests have asked as much from this address as they may.
    #[error("too many messages from this address")]
    Throttled {
        /// When the next question may come.
        retry_after: Duration,
    },
    /// The throttle failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The chat did not take it.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

/// Counts the questions of guests by address, over all processes. Cheap to clone.
///
/// # Laws
/// - **Only questions that were stored count**, each once: what was refused or stored before is given back, and what the store
///   did not tell of.
/// - **What was stored before is answered** although the quota is used up.
/// - **Who is refused is told when to come again**: soon where questions of this process are not decided yet, as while they wait
///   for the end of a turn, since each may be given back. Those of other processes are not known here.
/// - **A question is a task**: a caller who goes away changes nothing of what counts.
#[derive(Debug, Clone)]
pub struct GuestGate {
    throttle: Arc<dyn Throttle>,
    runtime: Arc<dyn Runtime>,
    quota: Option<Quota>,
    undecided: Arc<Undecided>,
}

/// When somebody is to come again who was refused while questions were not decided yet.
const SOON: Duration = Duration::from_secs(1);

/// How many questions of an address are counted, and not decided.
type Undecided = Mutex<BTreeMap<String, usize>>;

/// A question that is counted, until it is dropped: then it is decided.
struct Open {
    address: String,
    undecided: Arc<Undecided>,
}

/// What became of a question, and what is left for its address where that is known.
type Outcome<T> = (Option<Left>, Result<(Found, T), GuestError>);

impl GuestGate {
    /// A gate with this quota for each address; `None` lets everybody in.
    pub fn new(throttle: Arc<dyn Throttle>, runtime: Arc<dyn Runtime>, quota: Option<Quota>) -> Self {
        Self { throttle, runtime, quota, undecided: Arc::default() }
    }

    /// What an address may.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.quota
    }

    /// What is left for an address; `None` where it may ask as much as it likes.
    ///
    /// # Errors
    /// The throttle failed.
    pub async fn left(&self, address: &str) -> Result<Option<Left>, BackendError> {
        match &self.quota {
            Some(quota) => self.throttle.remaining(&key(address), quota).await.map(Some),
            None => Ok(None),
        }
    }

    /// Asks a question from this address, by `ask`, and answers what is left for the address. The question is decided once `ask`
    /// comes back: it should not wait for the answer.
    pub async fn ask<T, F>(
        &self,
        address: &str,
        message: SendMessage,
        ask: impl FnOnce(SendMessage) -> F + Send + 'static,
    ) -> Outcome<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<(Found, T), ChatError>> + Send + 'static,
    {
        let (gate, address) = (self.clone(), address.to_owned());
        let decided = in_task(&*self.runtime, async move { gate.decide(&address, message, ask).await }).await;
        decided.unwrap_or_else(|| (None, Err(ChatError::Stopping { turn: None }.into())))
    }

    async fn decide<T, F>(
        &self,
        address: &str,
        message: SendMessage,
        ask: impl FnOnce(SendMessage) -> F + Send,
    ) -> Outcome<T>
    where
        T: Send,
        F: Future<Output = Result<(Found, T), ChatError>> + Send,
    {
        let Some(quota) = &self.quota else { return (None, ask(message).await.map_err(GuestError::from)) };
        match self.throttle.take(&key(address), quota).await {
            Ok(Taken::Granted { mut left, ticket }) => {
                let _open = Open::new(address, &self.undecided);
                let asked = ask(message).await;
                if is_nothing_new(asked.as_ref().map(|(found, _)| *found)) {
                    self.give_back(address, &ticket).await;
                    left.remaining += 1;
                }
                (Some(left), asked.map_err(GuestError::from))
            }
            Ok(Taken::Wait(retry_after)) => {
                let is_open = lock(&self.undecided).contains_key(address);
                let retry_after = if is_open { retry_after.min(SOON) } else { retry_after };
                let asked = ask(SendMessage { only_known: true, ..message }).await;
                let asked = asked.map_err(|error| match error {
                    ChatError::Refused(Refusal::Throttled { .. } | Refusal::Busy { .. }) => {
                        GuestError::Throttled { retry_after }
                    }
                    error => error.into(),
                });
                (Some(Left { remaining: 0, reset: retry_after }), asked)
            }
            Err(error) => (None, Err(error.into())),
        }
    }

    /// A throttle that fails here makes the quota a little stricter for a while, and nothing worse.
    async fn give_back(&self, address: &str, ticket: &Ticket) {
        if let Err(error) = self.throttle.give_back(&key(address), ticket).await {
            tracing::warn!(%error, source = %error.source, "a guest's question could not be given back to the throttle");
        }
    }
}

impl Open {
    fn new(address: &str, undecided: &Arc<Undecided>) -> Self {
        *lock(undecided).entry(address.to_owned()).or_default() += 1;
        Self { address: address.to_owned(), undecided: undecided.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut undecided = lock(&self.undecided);
        if let Some(count) = undecided.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                undecided.remove(&self.address);
            }
        }
    }
}

fn lock(undecided: &Undecided) -> MutexGuard<'_, BTreeMap<String, usize>> {
    undecided.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether no question was stored: it was refused, or had been stored before. Nor does one count of which that is not known: an
/// outage of the store would use up the quota of those who try again.
fn is_nothing_new(told: Result<Found, &ChatError>) -> bool {
    use ChatError::{Invalid, Overloaded, Refused, Running, Stopping, Unavailable};
    match told {
        Ok(found) => found != Found::Nobody,
        Err(error) => {
            let is_anothers = |error: &_| matches!(error, Running { begun, .. } if begun.found != Found::Nobody);
            let has_no_turn = matches!(error, Stopping { turn: None } | Unavailable { turn: None, .. });
            matches!(error, Invalid(_) | Refused(_) | Overloaded) || has_no_turn || is_anothers(error)
        }
    }
}

fn key(address: &str) -> String {
    format!("guest:address:{address}")
}
