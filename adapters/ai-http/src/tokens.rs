//! Tokens, which services of models count and charge for.

use std::sync::{Mutex, PoisonError};

/// So many tokens, as a service has counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tokens {
    /// Of questions, with all that was sent along.
    pub prompt: u64,
    /// Of answers, with what of them is not shown.
    pub completion: u64,
}

/// All that were counted so far.
#[derive(Debug, Default)]
pub(crate) struct Spent(Mutex<Tokens>);

impl Spent {
    pub(crate) fn add(&self, more: Tokens) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.prompt = all.prompt.saturating_add(more.prompt);
        all.completion = all.completion.saturating_add(more.completion);
    }

    pub(crate) fn so_far(&self) -> Tokens {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
