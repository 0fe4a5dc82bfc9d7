//! Planted bugs, to see whether tests find them. Without the feature `plant` none can be chosen, and every question after
//! one is a constant `false`.

/// A planted bug. Each breaks one law of [`SessionStore`](chatcore::port::SessionStore) or
/// [`Outbox`](chatcore::port::Outbox), as a plausible mistake of an adapter would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "plant", non_exhaustive)]
#[cfg_attr(not(feature = "plant"), expect(unreachable_pub, reason = "public with the feature `plant` alone"))]
pub enum Plant {
    /// None.
    #[default]
    Nothing,
    /// `extend_turn` does not look at the fence.
    ExtendIgnoresFence,
    /// `finish_turn` does not look at the fence.
    FinishIgnoresFence,
    /// Whoever closes an orphan leaves the fence where it was.
    CloseKeepsFence,
    /// A question that comes again under a new fence goes on in the old live text.
    ResumeKeepsText,
    /// The answer of a closed orphan is not written under its key.
    CloseForgetsKey,
    /// The event of an answer is not written when its turn was resumed.
    ResumedAnswerHasNoEvent,
    /// `extend_turn` appends, whatever the offset.
    ExtendAppends,
    /// A deleted session leaves no tombstone under its first key.
    DeleteForgetsKey,
    /// `follow` believes the offset of a reader who is ahead of an answer that was closed.
    FollowBelievesOffset,
    /// `newer` gives answers alone.
    NewerForgetsQuestions,
    /// A repeated `begin_turn` of the same attempt is `Attached`.
    NoAttempt,
    /// Another body under a known key is not told from the first.
    KeyIgnoresBody,
    /// A replay costs a question of the quota.
    QuotaCountsReplays,
    /// The quota lets one question too many start.
    QuotaOffByOne,
    /// A running turn is told before what stands against the question without it.
    BusyComesFirst,
    /// A session whose turn is open does not expire.
    ExpiredStillAnswers,
    /// `close_orphans` does not wait for the grace.
    CloseIgnoresGrace,
    /// `close_orphans` looks at the turn that was begun last, to tell how long no lease is over.
    QuietOfTheLast,
    /// `close_orphans` does not say what time it is.
    LookTellsNoTime,
    /// A later question does not move its session up in the list.
    ListByBirth,
    /// `claim` gives all questions before all answers.
    OutboxForgetsOrder,
    /// `claim` begins at the head, whatever the mark.
    ClaimForgetsMark,
    /// `claim` gives any number of bytes.
    ClaimForgetsBytes,
    /// `settle` takes out everything up to the last entry it is given.
    SettleDropsUnsettled,
}

impl Plant {
    /// All bugs.
    #[cfg(feature = "plant")]
    pub const ALL: [Self; 24] = [
        Self::ExtendIgnoresFence,
        Self::FinishIgnoresFence,
        Self::CloseKeepsFence,
        Self::ResumeKeepsText,
        Self::CloseForgetsKey,
        Self::ResumedAnswerHasNoEvent,
        Self::ExtendAppends,
        Self::DeleteForgetsKey,
        Self::FollowBelievesOffset,
        Self::NewerForgetsQuestions,
        Self::NoAttempt,
        Self::KeyIgnoresBody,
        Self::QuotaCountsReplays,
        Self::QuotaOffByOne,
        Self::BusyComesFirst,
        Self::ExpiredStillAnswers,
        Self::CloseIgnoresGrace,
        Self::QuietOfTheLast,
        Self::LookTellsNoTime,
        Self::ListByBirth,
        Self::OutboxForgetsOrder,
        Self::ClaimForgetsMark,
        Self::ClaimForgetsBytes,
        Self::SettleDropsUnsettled,
    ];

    /// Whether this bug was planted.
    pub(super) fn is(self, bug: Self) -> bool {
        cfg!(feature = "plant") && self == bug
    }
}
