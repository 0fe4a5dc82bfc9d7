//! The errors that any port may give.

use std::error::Error;
use std::sync::Arc;

/// Whether it helps to call again.
///
/// It need not say whether the failed call took effect: every call of a port may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Unreachable, overloaded, timed out: the same call may succeed soon.
    Later,
    /// It will fail again until somebody mends something.
    Never,
}

/// The technology behind a port failed. Cheap to clone, since several callers may wait for one turn.
///
/// `Display` names the adapter alone; what the technology said is the [`source`](Error::source), for logs.
///
/// ```
/// use chatcore::error::BackendError;
///
/// let error = BackendError::later("redis", "connection refused");
/// assert!(error.may_pass());
/// assert_eq!(error.to_string(), "redis failed");
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{adapter} failed")]
pub struct BackendError {
    /// Which adapter, in lower case: `redis`, `sqlite`, `kafka`.
    pub adapter: &'static str,
    /// Whether to try again.
    pub retry: Retry,
    /// What it said.
    #[source]
    pub source: Arc<dyn Error + Send + Sync>,
}

impl BackendError {
    /// A failure that may pass.
    pub fn later(adapter: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { adapter, retry: Retry::Later, source: Arc::from(source.into()) }
    }

    /// A failure that stays until somebody mends something.
    pub fn never(adapter: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { adapter, retry: Retry::Never, source: Arc::from(source.into()) }
    }

    /// Whether the same call may succeed soon.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.retry == Retry::Later
    }
}

/// Why an owner is not shown something.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// No such session or turn, or no longer.
    #[error("not found")]
    NotFound,
    /// It belongs to another owner.
    #[error("access denied")]
    NotYours,
    /// The store failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// A text that is not what its type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct Invalid {
    /// Which type, as a user would call it: `idempotency key`.
    pub what: &'static str,
    /// The rule it breaks: `1 to 128 bytes`.
    pub rule: &'static str,
}
