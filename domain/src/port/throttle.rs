//! Counting what may not happen too often.

use crate::error::BackendError;
use crate::policy::{Left, Quota};
use async_trait::async_trait;
use std::fmt::Debug;
use std::time::Duration;

/// What `take` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It may happen.
    Granted {
        /// What is left.
        left: Left,
        /// To give it back by.
        ticket: Ticket,
    },
    /// Not before this time is over.
    Wait(Duration),
}

/// Names a take; the throttle makes and reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(pub String);

/// Counts what may not happen too often, over all processes: logins by name and by address. The quota of questions is not
/// here but inside `begin_turn`.
///
/// # Laws
/// - **never more than the limit in any window**, also by parallel callers; a refused take costs nothing.
/// - **a take that was given back does not count**, and every other one does, for as long as it would have.
/// - **what is left is told and costs nothing**.
#[async_trait]
pub trait Throttle: Debug + Send + Sync + 'static {
    /// Counts one under this key, if the quota allows.
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError>;

    /// Takes back this take under this key. One that counts no more is no error.
    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError>;

    /// What is left under this key; takes nothing.
    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError>;
}
