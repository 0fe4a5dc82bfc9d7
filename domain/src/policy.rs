//! The numbers that the core goes by.

use std::time::Duration;

/// How many in how long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many may start in any window; 0 for none at all.
    pub limit: u32,
    /// How long the window is.
    pub window: Duration,
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many more may start now.
    pub remaining: u32,
    /// When the oldest that counts stops counting.
    pub reset: Duration,
}

/// How turns are run. `Default` holds the values that the programs start with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChatPolicy {
    /// How long a turn stays open when its server dies. A live turn renews it every third of this.
    pub lease: Duration,
    /// How long new text may wait before it is put into the live text.
    pub flush: Duration,
    /// How long an AI may take for one answer.
    pub ai_timeout: Duration,
    /// The longest question, in bytes.
    pub max_message: usize,
    /// The longest answer, in bytes: its text and what comes beside it.
    pub max_answer: usize,
    /// How long a caller waits for a store that fails, a call that is not answered included.
    pub patience: Duration,
    /// How long a turn tries to store its answer after the first failure.
    pub settle: Duration,
    /// How long a message may wait for another one of its session ([`OnBusy`](crate::chat::OnBusy)).
    pub queue_wait: Duration,
    /// How many turns run in one process; more are refused.
    pub max_running: usize,
    /// How many earlier messages are considered for the AI.
    pub window: usize,
    /// How long a session lives after its newest question. Longer than the longest turn.
    pub session_ttl: Duration,
    /// How many questions an owner may start; `None` for any number.
    pub quota: Option<Quota>,
    /// What stands in for an answer.
    pub fallback: String,
}

impl Default for ChatPolicy {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            flush: Duration::from_millis(100),
            ai_timeout: Duration::from_secs(30),
            max_message: 32 * 1024,
            max_answer: 256 * 1024,
            patience: Duration::from_secs(1),
            settle: Duration::from_secs(60),
            queue_wait: Duration::from_secs(30),
            max_running: 10_000,
            window: 10,
            session_ttl: Duration::from_secs(24 * 60 * 60),
            quota: None,
            fallback: "Xin lỗi, tôi đang gặp sự cố. Vui lòng thử lại sau.".into(),
        }
    }
}

/// How much a store keeps. Every store takes one of these when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreLimits {
    /// How many messages a session holds; a question is refused where its answer would not fit.
    pub session_messages: u64,
    /// How many living sessions an owner has.
    ///
    /// A deleted one does not count, although its name and its first key are kept, without a message, until its time to
    /// live is over. What deleting over and over leaves behind is bounded by [`ChatPolicy::quota`], since only a question
    /// opens a session: at most `session_ttl / window * limit` names for an owner, 14,400 with 10 a minute and 24 hours.
    /// Who runs without a quota bounds the rate elsewhere.
    pub owner_sessions: u64,
    /// How many events the outbox holds.
    pub outbox_events: u64,
    /// What happens when the outbox is full.
    pub outbox_full: OutboxFull,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            session_messages: 100_000,
            owner_sessions: 10_000,
            outbox_events: 1_000_000,
            outbox_full: OutboxFull::DropOldest,
        }
    }
}

/// What happens when the outbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxFull {
    /// The outbox is itself the log that consumers read: the oldest event is dropped.
    DropOldest,
    /// The outbox is a queue in front of a bus: a question is refused until the relay has made room.
    Refuse,
}
