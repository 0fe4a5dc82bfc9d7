//! What guests may do besides the quota that every owner has: a device is only a name, and names cost nothing, so all guests of
//! an address share one more quota.

use crate::error::BackendError;
use crate::policy::{Left, Quota};
use crate::port::{Taken, Throttle};
use std::sync::Arc;
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
}

/// Counts the questions of guests by address, over all processes. Cheap to clone.
///
/// # Laws
/// - **Only questions that were stored count**: whoever calls [`enter`](Self::enter) gives back what came to nothing.
#[derive(Debug, Clone)]
pub struct GuestGate {
    throttle: Arc<dyn Throttle>,
    quota: Option<Quota>,
}

impl GuestGate {
    /// A gate with this quota for each address; `None` lets everybody in.
    pub fn new(throttle: Arc<dyn Throttle>, quota: Option<Quota>) -> Self {
        Self { throttle, quota }
    }

    /// What an address may.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        self.quota
    }

    /// Counts a question from this address. Answers what is left, where there is a quota.
    ///
    /// # Errors
    /// See [`GuestError`].
    pub async fn enter(&self, address: &str) -> Result<Option<Left>, GuestError> {
        let Some(quota) = &self.quota else { return Ok(None) };
        match self.throttle.take(&key(address), quota).await? {
            Taken::Granted(left) => Ok(Some(left)),
            Taken::Wait(retry_after) => Err(GuestError::Throttled { retry_after }),
        }
    }

    /// The question was refused, or answered before. A throttle that fails here makes the quota a little stricter for a while,
    /// and nothing worse.
    pub async fn give_back(&self, address: &str) {
        if self.quota.is_none() {
            return;
        }
        if let Err(error) = self.throttle.give_back(&key(address)).await {
            tracing::warn!(%error, source = %error.source, "a guest's question could not be given back to the throttle");
        }
    }
}

fn key(address: &str) -> String {
    format!("guest:address:{address}")
}
