//! Planted bugs: the suite finds each by the name of a law, in less than 30 s.
#![expect(clippy::disallowed_methods, reason = "how long the suite takes is real time")]

use chatcore_ports::chatcore::policy::StoreLimits;
use chatcore_ports::conformance::{Broken, OpenStore, StoreHarness, broken, outbox, session_store};
use chatcore_ports::memory::{MemoryStore, Plant};
use chatcore_ports::tokio::TokioRuntime;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Each bug with the law that is named after what it breaks; others may find it too. None is left to the simulation.
const TABLE: [(Plant, &str); Plant::ALL.len()] = [
    (Plant::ExtendIgnoresFence, "a_stale_fence_never_writes"),
    (Plant::FinishIgnoresFence, "a_stale_fence_never_writes"),
    (Plant::CloseKeepsFence, "a_stale_fence_never_writes"),
    (Plant::ResumeKeepsText, "a_lease_that_is_over_is_resumed_by_its_key"),
    (Plant::CloseForgetsKey, "a_lease_that_is_over_is_closed_by_another_key"),
    (Plant::ResumedAnswerHasNoEvent, "a_message_and_its_event_are_written_together"),
    (Plant::ExtendAppends, "extend_writes_at_an_offset"),
    (Plant::DeleteForgetsKey, "a_deleted_session_never_comes_back"),
    (Plant::FollowBelievesOffset, "follow_restarts_where_the_text_was_replaced"),
    (Plant::NewerForgetsQuestions, "each_newer_message_comes_once"),
    (Plant::NoAttempt, "the_same_attempt_is_started_again"),
    (Plant::KeyIgnoresBody, "another_body_under_a_key_is_refused"),
    (Plant::QuotaCountsReplays, "the_quota_counts_started_questions_exactly"),
    (Plant::QuotaOffByOne, "the_quota_counts_started_questions_exactly"),
    (Plant::BusyComesFirst, "busy_comes_last"),
    (Plant::ExpiredStillAnswers, "an_expired_session_is_gone"),
    (Plant::CloseIgnoresGrace, "an_orphan_is_closed_after_its_grace"),
    (Plant::QuietOfTheLast, "no_lease_runs_out_in_quiet"),
    (Plant::LookTellsNoTime, "a_look_tells_the_time"),
    (Plant::ListByBirth, "sessions_are_listed_newest_first"),
    (Plant::OutboxForgetsOrder, "the_outbox_keeps_each_sessions_order"),
    (Plant::ClaimForgetsMark, "a_claim_goes_on_behind_a_mark"),
    (Plant::ClaimForgetsBytes, "a_claim_is_bounded_by_bytes_too"),
    (Plant::SettleDropsUnsettled, "nothing_claimed_is_lost"),
];

fn broken_by(plant: Plant) -> Vec<Broken> {
    let open = move |limits: StoreLimits| async move {
        OpenStore::of(MemoryStore::planted(Arc::new(TokioRuntime::current()), limits, plant))
    };
    let make = || async move { StoreHarness::new(open) };
    [broken(session_store::LAWS, make), broken(outbox::LAWS, make)].concat()
}

#[test]
fn each_planted_bug_breaks_the_law_named_after_it() {
    for plant in Plant::ALL {
        let (_, law) = TABLE.into_iter().find(|(planted, _)| *planted == plant).expect("every bug is in the table");
        let start = Instant::now();
        let broken: Vec<&str> = broken_by(plant).iter().map(|broken| broken.law).collect();
        let took = start.elapsed();
        println!("{plant:?} breaks, found in {took:.1?}: {}", broken.join(", "));
        assert!(broken.contains(&law), "{plant:?} was to break {law}, and broke {broken:?}");
        assert!(took < Duration::from_secs(30), "{plant:?} was found after {took:?}");
    }
}

#[test]
fn without_a_bug_no_law_is_broken() {
    assert_eq!(broken_by(Plant::Nothing), []);
}
