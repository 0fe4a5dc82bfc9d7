//! Whether a dependency is there.

use crate::error::BackendError;
use async_trait::async_trait;
use std::fmt::Debug;

/// Whether a dependency is there: one for each that a program has.
#[async_trait]
pub trait Probe: Debug + Send + Sync + 'static {
    /// What it is called in health reports: `redis`, `sqlite`, `kafka`, `ai`.
    fn name(&self) -> &'static str;

    /// Looks, within a second.
    ///
    /// # Errors
    /// It is not there, or does not do what is needed of it.
    async fn check(&self) -> Result<(), BackendError>;
}
