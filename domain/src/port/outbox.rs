//! The events that are stored and not yet on the bus.

use crate::error::BackendError;
use crate::event::Event;
use async_trait::async_trait;
use std::fmt::Debug;
use std::time::Duration;
use time::OffsetDateTime;

/// Names an entry; the adapter makes and reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub String);

/// A stored event.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// The event.
    pub event: Event,
}

/// A place in the outbox, the head by default; the adapter makes and reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark(pub String);

/// How many bytes of events a claim gives at most, but for the last of each log that it takes from.
pub const CLAIM_BYTES: usize = 4 << 20;

/// What a claim saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claimed {
    /// Entries, of each session in order.
    pub entries: Vec<Entry>,
    /// The place behind them and behind all that the claim was behind.
    pub end: Mark,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The bus has it.
    Published,
    /// The bus will never take it: it is parked with this reason, and those behind it go on.
    Refused(String),
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many events.
    pub events: u64,
    /// When the oldest of them happened.
    pub oldest: Option<OffsetDateTime>,
}

impl Backlog {
    /// How long the oldest has waited. Zero where none waits, and where the clock that stamped it is ahead of `now`.
    #[must_use]
    pub fn age(&self, now: OffsetDateTime) -> Duration {
        self.oldest.and_then(|oldest| (now - oldest).try_into().ok()).unwrap_or_default()
    }
}

/// The events that are stored and not yet on the bus.
///
/// # Laws
/// - **a message and its event are written together**, in one step of the [`SessionStore`](super::SessionStore).
/// - **the outbox keeps each session's order**.
/// - **nothing claimed is lost**: a claim is a look, not a lock, so two relays may see the same entries, and what is not
///   settled is claimed again.
/// - **what one relay leaves another gets**: an outbox that several processes share may give what it holds to one of them at a
///   time, so that they do not all publish the same. It is another's within 5 s once that one comes no more, and at once where
///   it has left.
/// - **a refused entry is parked** and those behind it go on.
/// - **a claim waits for the first**.
/// - **a claim goes on behind a mark**: claim by claim, each from the end of the one before, every entry is seen, whatever is
///   left unsettled; and what is written meanwhile is seen behind the last.
/// - **a claim is bounded by bytes too**: it ends behind the entry with which there are [`CLAIM_BYTES`], in a store with several logs
///   behind that with which each has given its share. What was not given is behind the mark.
/// - **a full queue refuses questions alone**: answers and deletions are still written; **a full log refuses nothing** and drops
///   its oldest.
#[async_trait]
pub trait Outbox: Debug + Send + Sync + 'static {
    /// The oldest unsettled entries behind a mark, at most `max`; waits at most `wait` for the first.
    async fn claim_behind(&self, mark: &Mark, max: usize, wait: Duration) -> Result<Claimed, BackendError>;

    /// The oldest unsettled entries of all, likewise.
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Entry>, BackendError> {
        Ok(self.claim_behind(&Mark::default(), max, wait).await?.entries)
    }

    /// Takes entries out. Those that are out already are no error.
    async fn settle(&self, entries: &[(EntryId, Settled)]) -> Result<(), BackendError>;

    /// How much waits.
    async fn backlog(&self) -> Result<Backlog, BackendError>;

    /// What this process has claimed is still in its hands: said twice a second while the bus takes its time. Nothing, unless the
    /// outbox gives what it holds to one process at a time.
    async fn keep(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Lets other processes have at once what this one was given: it ends, or cannot publish it now. It may come again.
    /// Nothing, unless the outbox gives what it holds to one process at a time.
    async fn leave(&self) -> Result<(), BackendError> {
        Ok(())
    }
}
