//! Whether a dependency is there.

use crate::error::BackendError;
use async_trait::async_trait;
use std::fmt::Debug;

/// How a dependency is that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All of it is there.
    Well,
    /// Some of it is not, as people are told: `5 of 16 partitions are away`. What the rest does is done.
    Partly(String),
}

/// Whether a dependency is there: one for each that a program has.
#[async_trait]
pub trait Probe: Debug + Send + Sync + 'static {
    /// What it is called in health reports: `redis`, `sqlite`, `kafka`, `ai`.
    fn name(&self) -> &'static str;

    /// Looks, within a second.
    ///
    /// # Errors
    /// It is not there, or does not do what is needed of it.
    async fn check(&self) -> Result<Health, BackendError>;
}
