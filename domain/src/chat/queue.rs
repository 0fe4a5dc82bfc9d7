//! A message that comes while another one of its session is being answered: refused, or begun after it.

use super::live::Live;
use super::{Backoff, Core, OnBusy};
use crate::error::BackendError;
use crate::turn::{Began, NewTurn, Refusal};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

impl Core {
    /// Begins, at once or when it may, and answers when the call was made. `None` where the process stops before that.
    pub(super) async fn begin_in_turn(
        &self,
        new: &NewTurn,
        on_busy: OnBusy,
        live: &Live,
    ) -> Option<(Result<Began, Option<BackendError>>, Duration)> {
        let end = self.runtime.elapsed() + self.policy.queue_wait;
        let mut backoff = Backoff::default();
        loop {
            // Who asks to stop while this call is made may mean the turn that it begins.
            live.update(|state| state.poked = false);
            let begun = self.begin(new).await;
            let Ok(Began::Refused(Refusal::Busy { turn, retry_after })) = begun.0 else { return Some(begun) };
            let left = end.saturating_sub(self.runtime.elapsed());
            if on_busy == OnBusy::Reject || left.is_zero() {
                return Some(begun);
            }
            // A turn whose server died ends with its lease, and nobody tells.
            let ended = self.within(left.min(retry_after), async {
                // One that nobody was told to stop is not waited for, but told again.
                if on_busy != OnBusy::Cancel || self.stop(&new.owner, &turn).await.is_ok() {
                    // Whatever else came of it: the next try tells.
                    drop(self.answer_of(&new.owner, turn).await);
                }
                self.runtime.sleep(backoff.pause()).await;
            });
            let draining = pin!(live.wait(|state| state.draining.then_some(())));
            if let Either::Right(_) = select(pin!(ended), draining).await {
                return None;
            }
        }
    }
}
