//! The keeper of a running turn: puts its text into the store, renews its lease, sees a stop. It works beside the reader of
//! the AI, so that a slow store delays no text and a silent AI loses no lease.

use super::Core;
use super::live::Live;
use super::verdict::Halt;
use crate::error::BackendError;
use crate::turn::{Extended, Piece, Turn};
use std::time::Duration;

pub(super) struct Keeper<'a> {
    core: &'a Core,
    turn: Turn,
    live: &'a Live,
    /// Bytes of text that the store has.
    stored: usize,
    /// When the call was made that renewed the lease last: the store cannot have renewed it earlier.
    renewed: Duration,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(core: &'a Core, turn: Turn, live: &'a Live, renewed: Duration) -> Self {
        Self { core, turn, live, stored: 0, renewed }
    }

    /// Works until the store says that the turn is to end.
    pub(super) async fn keep(mut self) -> Halt {
        loop {
            self.pause().await;
            match self.extend().await {
                Ok(Extended::Held { .. }) => {}
                Ok(Extended::StopRequested) => return Halt::Stopped,
                Ok(Extended::Fenced) => return Halt::Fenced,
                Ok(Extended::Gone) => return Halt::Gone,
                Err(error) => {
                    tracing::warn!(%error, source = %error.source, "a turn could not be extended");
                    self.core.runtime.sleep(self.core.policy.flush).await;
                }
            }
        }
    }

    /// Until there is text to keep, a lease to renew or a stop to look for.
    async fn pause(&mut self) {
        let due = (self.renewed + self.core.policy.lease / 3).saturating_sub(self.core.runtime.elapsed());
        let stored = self.stored;
        let work = self.live.wait(|state| (state.poked || state.text.len() > stored).then_some(state.poked));
        if self.core.within(due, work).await == Some(false) {
            // More text gathers meanwhile, and a turn that ends meanwhile costs no call at all.
            let poked = self.live.wait(|state| state.poked.then_some(()));
            self.core.within(self.core.policy.flush, poked).await;
        }
    }

    async fn extend(&mut self) -> Result<Extended, BackendError> {
        let asked = self.core.runtime.elapsed();
        let (text, poked) = self.live.update(|state| {
            let text = state.text.get(self.stored..).unwrap_or_default().to_owned();
            (text, std::mem::take(&mut state.poked))
        });
        let piece = Piece { offset: self.stored, text };
        let extended = self.core.store.extend_turn(&self.turn, &piece, self.core.policy.lease).await;
        // Why it was poked is still to be found out.
        let extended = extended.inspect_err(|_| self.live.update(|state| state.poked |= poked))?;
        if let Extended::Held { length } = extended {
            self.renewed = asked;
            self.stored = length;
        }
        Ok(extended)
    }
}
