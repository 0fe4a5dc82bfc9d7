//! What a sequence is made of: operations that name sessions, turns and calls by how new they are, so that each of them
//! still means something when others are taken out of the sequence.

use crate::world::passes;
use chatcore::message::Status;
use chatcore::policy::{OutboxFull, StoreLimits};
use std::time::Duration;

/// A sequence: limits of both stores, and what is done to them.
pub(crate) type Sequence = (Limits, Vec<Op>);

/// The limits that make a difference in a short sequence; `None` for one that is never reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many messages a session holds.
    pub(crate) messages: Option<u64>,
    /// How many sessions an owner has.
    pub(crate) sessions: Option<u64>,
    /// How many events wait before questions are refused.
    pub(crate) queue: Option<u64>,
}

impl Limits {
    /// As the stores take them.
    pub(crate) fn store(self) -> StoreLimits {
        let mut limits = StoreLimits::default();
        limits.session_messages = self.messages.unwrap_or(limits.session_messages);
        limits.owner_sessions = self.sessions.unwrap_or(limits.owner_sessions);
        if let Some(queue) = self.queue {
            (limits.outbox_events, limits.outbox_full) = (queue, OutboxFull::Refuse);
        }
        limits
    }
}

/// One of those that there are: 0 for the newest, 1 for the one before. Where there is none it names an unknown one.
pub(crate) type Pick = u8;

/// Whose right to write it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder {
    Any(Pick),
    /// One whose turn another has taken over.
    Replaced(Pick),
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever the session belongs to.
    Theirs,
    Ann,
    Bob,
    Guest,
}

/// How long: in passes of time, whatever else happens between them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Span {
    /// No time.
    None,
    /// Over after one pass.
    Short,
    /// Over after two.
    Double,
    /// Never over.
    Long,
}

impl Span {
    /// As the stores take it.
    pub(crate) fn time(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Short => passes(1),
            Self::Double => passes(2),
            Self::Long => Duration::from_secs(3600),
        }
    }
}

/// Where a question goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// A session that it opens for somebody.
    New(Who),
    Session(Pick),
    Unknown,
}

/// What an answer says, beside the text that was shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Words {
    /// The same.
    Shown,
    /// So many characters more, or fewer.
    Than(i8),
    /// Something else.
    Other,
}

/// Where a reader stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    /// Before everything.
    Start,
    /// So many bytes into the text of this attempt.
    Of(Pick, usize),
    /// So many bytes into a text that is no attempt's.
    Replaced(usize),
}

/// An operation.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A question. Key 0 is a fresh one, the others come again; `other` is another body than the usual one.
    Ask {
        who: Who,
        place: Place,
        key: u8,
        other: bool,
        lease: Span,
        ttl: Span,
        window: usize,
        free: bool,
    },
    /// A client sends a question again: the same key by another attempt.
    Resend {
        call: Pick,
        other: bool,
        lease: Span,
        ttl: Span,
    },
    /// A server repeats a call whose reply was lost.
    Repeat {
        call: Pick,
    },
    /// A piece of so many characters, so far from the end of what is kept.
    Extend {
        right: Holder,
        skip: i8,
        length: usize,
        lease: Span,
    },
    Finish {
        right: Holder,
        words: Words,
        status: Status,
        products: bool,
    },
    Stop {
        who: Who,
        turn: Pick,
    },
    Follow {
        who: Who,
        turn: Pick,
        from: From,
    },
    Session {
        who: Who,
        session: Pick,
    },
    Sessions {
        who: Who,
        limit: usize,
    },
    Messages {
        who: Who,
        session: Pick,
        before: Option<u64>,
        limit: usize,
    },
    Delete {
        who: Who,
        session: Pick,
    },
    /// The guest logs in.
    Adopt {
        ann: bool,
    },
    /// The sweeper, in steps of one turn where no more can be due: which of several comes first is the store's affair.
    CloseOrphans {
        grace: Span,
        one: bool,
    },
    /// The relay settles those of the waiting events whose bit is set.
    Settle {
        which: u8,
        refused: bool,
    },
    /// Time passes.
    Pass,
    /// The process dies, and another opens the store.
    Crash,
    /// A process dies amid the next call, so far into it, and another makes the call again.
    CrashAmid(u16),
}
