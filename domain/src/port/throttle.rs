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

/// What `hold` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It may happen.
    Granted(Ticket),
    /// Not before this time is over.
    Wait {
        /// How long, if all that counts goes on counting.
        time: Duration,
        /// Whether any of that is held: then it may be sooner.
        undecided: bool,
    },
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
/// - **a held take counts until it is decided**: until it is given back, or for the whole window from its beginning on once it is confirmed;
///   one that is neither within its time counts no more and cannot be confirmed. Who is refused is told whether any is held.
///
/// A key is for takes or for held ones, and those are held for the same time: what is left is told of takes alone.
#[async_trait]
pub trait Throttle: Debug + Send + Sync + 'static {
    /// Counts one under this key, if the quota allows.
    async fn take(&self, key: &str, quota: &Quota) -> Result<Taken, BackendError>;

    /// Counts one under this key, if the quota allows, for this time at most unless it is confirmed: for what counts only if it turns out
    /// in one way. Who holds it and dies leaves nothing behind.
    async fn hold(&self, key: &str, quota: &Quota, time: Duration) -> Result<Held, BackendError>;

    /// Lets one that is held under this key count on. Answers whether it was still held; where that is lost, it may say no the
    /// second time.
    async fn confirm(&self, key: &str, ticket: &Ticket) -> Result<bool, BackendError>;

    /// Takes back this take under this key, also one that is held. One that counts no more is no error.
    async fn give_back(&self, key: &str, ticket: &Ticket) -> Result<(), BackendError>;

    /// What is left under this key; takes nothing.
    async fn remaining(&self, key: &str, quota: &Quota) -> Result<Left, BackendError>;
}
