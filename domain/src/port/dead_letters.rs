//! Where records go that no handler could work off.

use crate::error::BackendError;
use async_trait::async_trait;
use std::fmt::Debug;

/// Names a dead letter; the adapter makes and reads it. Ids of one place sort by age.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId(pub String);

/// A parked record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub id: DeadLetterId,
    /// The record's key: the session's id, where it could be read.
    pub key: String,
    /// Which group parked it; `relay` for an event that the bus would not take.
    pub group: String,
    /// Why.
    pub reason: String,
    /// The record as it was.
    pub raw: Vec<u8>,
}

/// A page of dead letters, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLettersPage {
    /// The last one of the page before; `None` for the first page.
    pub after: Option<DeadLetterId>,
    /// How many at most.
    pub limit: usize,
}

/// What `replay` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// The record will be delivered again to the group that parked it.
    Queued,
    /// There is no such letter, or it was replayed before.
    NotFound,
}

/// Where records go that no handler could work off.
///
/// # Laws
/// - **a parked record is in the dead letters with its reason**, until it is replayed.
/// - **a replayed letter is delivered again** to the group that parked it, and is a dead letter no more.
/// - **letters are listed oldest first**.
#[async_trait]
pub trait DeadLetters: Debug + Send + Sync + 'static {
    /// A page of them.
    async fn list(&self, page: &DeadLettersPage) -> Result<Vec<DeadLetter>, BackendError>;

    /// Gives one back to the group that parked it. One that does not hold its record stays, and the error says where that is.
    async fn replay(&self, id: &DeadLetterId) -> Result<Replay, BackendError>;
}
