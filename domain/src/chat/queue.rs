//! A message that comes while another one of its session is being answered: refused, or begun after it.

use super::live::Live;
use super::{Backoff, Core, OnBusy};
use crate::error::BackendError;
use crate::id::SessionId;
use crate::turn::{Began, NewTurn, Refusal};
use futures_util::future::{Either, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As many messages of a session wait here at most. No quota counts them before they begin, and each is a running turn of the process.
const MOST_WAITING: usize = 8;

/// The messages that wait for a turn of their session to end.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<BTreeMap<SessionId, usize>>);

/// A message that waits, until it is dropped.
struct Place<'a> {
    queue: &'a Queue,
    session: SessionId,
}

impl Queue {
    /// `None` where there is no room.
    fn enter(&self, session: SessionId) -> Option<Place<'_>> {
        let mut waiting = self.waiting();
        let count = waiting.entry(session).or_default();
        (*count < MOST_WAITING).then(|| {
            *count += 1;
            Place { queue: self, session }
        })
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<SessionId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting();
        if let Some(count) = waiting.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.session);
            }
        }
    }
}

impl Core {
    /// Begins, at once or when it may, and answers when the call was made. `None` where the process stops before that.
    pub(super) async fn begin_in_turn(
        &self,
        new: &NewTurn,
        on_busy: OnBusy,
        live: &Live,
    ) -> Option<(Result<Began, Option<BackendError>>, Duration)> {
        let end = self.runtime.elapsed() + self.policy.queue_wait;
        let (mut backoff, mut first, mut last, mut place) = (Backoff::default(), None, None, None);
        loop {
            // Who asks to stop while this call is made may mean the turn that it begins.
            live.update(|state| state.poked = false);
            let begun = self.begin(new).await;
            let Ok(Began::Refused(Refusal::Busy { turn, retry_after })) = begun.0 else { return Some(begun) };
            let left = end.saturating_sub(self.runtime.elapsed());
            if on_busy == OnBusy::Reject || left.is_zero() {
                return Some(begun);
            }
            place = place.or_else(|| self.queue.enter(turn.session));
            if place.is_none() {
                return Some(begun);
            }
            // Not one that was said later, and came first to begin.
            let cancels =
                on_busy == OnBusy::Cancel && (*first.get_or_insert(turn) == turn || turn.message < new.message);
            let again = last.replace(turn) == Some(turn);
            // A turn whose server died ends with its lease, and nobody tells.
            let ended = self.within(left.min(retry_after), async {
                // After the end of a turn it begins at once: whoever comes again and again without waiting would be first for ever.
                if again {
                    self.runtime.sleep(backoff.pause()).await;
                } else {
                    backoff = Backoff::default();
                }
                // One that nobody was told to stop is not waited for, but told again.
                if !cancels || self.stop(&new.owner, &turn).await.is_ok() {
                    // Whatever else came of it: the next try tells.
                    drop(self.answer_of(&new.owner, turn).await);
                }
            });
            let draining = pin!(live.wait(|state| state.draining.then_some(())));
            if let Either::Right(_) = select(pin!(ended), draining).await {
                return None;
            }
        }
    }
}
