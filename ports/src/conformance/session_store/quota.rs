//! How many questions an owner may start, and what one is told that may not.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, LONG, SHORT, completed, random};
use crate::conformance::law::quick_enough;
use chatcore::id::SessionId;
use chatcore::policy::{Left, OutboxFull, Quota, StoreLimits};
use chatcore::turn::{Began, NewTurn, Refusal, Started, Target};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

/// Fifty parallel callers, everything that costs nothing, and a window that slides.
pub async fn the_quota_counts_started_questions_exactly(harness: &StoreHarness) {
    parallel_callers(harness).await;
    what_costs_nothing(harness).await;
    what_counts(harness).await;
    quick_enough(
        |window| slides(harness, window),
        "of a quota of 2 in 6.4 s a third question started within the window of the second",
    )
    .await;
}

fn quota(limit: u32, window: Duration) -> Option<Quota> {
    Some(Quota { limit, window })
}

fn throttled(began: &Began) -> Option<Duration> {
    match began {
        Began::Refused(Refusal::Throttled { retry_after }) => Some(*retry_after),
        _ => None,
    }
}

async fn parallel_callers(harness: &StoreHarness) {
    let open = harness.open().await;
    let chats = [Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann")];
    let call = |number: usize| {
        let chat = chats[number % 2].clone();
        let question = NewTurn { quota: quota(7, LONG), ..chat.question(Target::New, &format!("k{number}")) };
        tokio::spawn(async move { chat.begin(&question).await })
    };
    let running: Vec<_> = (0..50).map(call).collect();
    let began: Vec<Began> = join_all(running).await.into_iter().map(|began| began.expect("no panic")).collect();
    let left = began.iter().filter_map(|began| match began {
        Began::Started(Started { left, .. }) => left.map(|left| left.remaining),
        _ => None,
    });
    let left: Vec<u32> = left.collect();
    assert_eq!(left.len(), 7, "of 50 parallel callers with a quota of 7 started");
    assert_eq!(left.iter().copied().collect::<BTreeSet<_>>(), (0..7).collect(), "each was told what is left");
    let waits = began.iter().filter_map(throttled).filter(|wait| !wait.is_zero() && *wait <= LONG);
    assert_eq!(waits.count(), 43, "the others are told how long to wait: {began:?}");
    assert_eq!(chats[0].sessions(100).await.len(), 7, "a refused first message leaves no session");
    let bob = Chat::new(&open.store, "bob");
    bob.start(&NewTurn { quota: quota(7, LONG), ..bob.question(Target::New, "k") }).await;
}

/// However much happens around two questions, they are two.
async fn what_costs_nothing(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let counted = |target, key: &str| NewTurn { quota: quota(3, LONG), ..chat.question(target, key) };
    let first = NewTurn { lease: SHORT, ..counted(Target::New, "k1") };
    let turn = chat.start(&first).await.turn;
    let here = Target::Existing(turn.id.session);
    harness.pass(SHORT).await;
    let resumed = chat.start(&counted(Target::New, "k1")).await;
    assert!(resumed.resumed && resumed.left.is_none(), "a resume counted before: {resumed:?}");
    for _ in 0..5 {
        chat.begin(&counted(Target::New, "k1")).await;
        chat.refusal(&counted(here, "busy")).await;
        chat.refusal(&NewTurn { body_hash: 9, ..counted(here, "k1") }).await;
    }
    chat.stored(&resumed.turn, &completed("one")).await;
    let quota = Quota { limit: 3, window: LONG };
    let left = async || chat.store.left(&chat.owner, &quota).await.expect("what is left is told");
    for _ in 0..5 {
        chat.replay(&counted(here, "k1")).await;
        chat.refusal(&counted(Target::Existing(SessionId::from(random())), "k1")).await;
    }
    for _ in 0..5 {
        let left = left().await;
        assert!(left.remaining == 2 && !left.reset.is_zero() && left.reset <= LONG, "one of three is used: {left:?}");
    }
    let nobody = Chat::new(&open.store, "bob").owner;
    let all = chat.store.left(&nobody, &quota).await.expect("what is left is told");
    assert_eq!(all, Left { remaining: 3, reset: Duration::ZERO }, "who has asked nothing has all");
    let none = chat.store.left(&nobody, &Quota { limit: 0, ..quota }).await.expect("what is left is told");
    assert_eq!(none, Left { remaining: 0, reset: Duration::ZERO }, "of a quota of nothing nothing is left");
    let second = chat.start(&counted(here, "k2")).await;
    assert_eq!(second.left.map(|left| left.remaining), Some(1), "the second question of three");
    assert!(second.left.is_some_and(|left| !left.reset.is_zero() && left.reset <= LONG), "{:?}", second.left);
}

/// A question counts although its session is deleted; when all are used up, what was taken before goes on.
async fn what_counts(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let counted = |key: &str| NewTurn { quota: quota(2, LONG), ..chat.question(Target::New, key) };
    let deleted = chat.start(&counted("k1")).await.turn.id.session;
    chat.store.delete(&chat.owner, &deleted, None).await.expect("its owner deletes it");
    let second = chat.start(&counted("k2")).await;
    assert_eq!(second.left.map(|left| left.remaining), Some(0), "a question counts although its session is deleted");
    let third = chat.begin(&counted("k3")).await;
    assert!(throttled(&third).is_some(), "the third question of two: {third:?}");
    let again = chat.begin(&counted("k2")).await;
    assert!(matches!(again, Began::Attached { .. }), "a question that was taken before is not refused: {again:?}");
    let nothing = |key: &str| NewTurn { quota: quota(0, LONG), ..chat.question(Target::New, key) };
    let refused = chat.begin(&nothing("k4")).await;
    assert!(throttled(&refused).is_some_and(|wait| !wait.is_zero()), "a quota of nothing refuses all: {refused:?}");
    let known = chat.begin(&nothing("k2")).await;
    assert!(matches!(known, Began::Attached { .. }), "but what was taken before: {known:?}");
    chat.ask(Target::New, "no-quota").await;
}

/// Two in a window: the third starts when the first no longer counts, and the fourth not before the second does not.
/// Answers whether the machine was quick enough to see that.
async fn slides(harness: &StoreHarness, window: Duration) -> bool {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let counted = |key: &str| NewTurn { quota: quota(2, window), ..chat.question(Target::New, key) };
    let first = chat.start(&counted("k1")).await;
    assert_eq!(first.left.map(|Left { remaining, .. }| remaining), Some(1), "the first of two");
    harness.wait(window / 2).await;
    chat.start(&counted("k2")).await;
    let Some(wait) = throttled(&chat.begin(&counted("k3")).await) else { return false };
    assert!(wait <= window, "a window of {window:?} is over after {wait:?}");
    harness.pass(wait).await;
    chat.start(&counted("k3")).await;
    let Some(wait) = throttled(&chat.begin(&counted("k4")).await) else { return false };
    harness.pass(wait).await;
    chat.start(&counted("k4")).await;
    true
}

/// While a turn runs, a new question is told what would refuse it without that turn, and `Busy` only where nothing would. A
/// question that was taken before is told neither.
pub async fn busy_comes_last(harness: &StoreHarness) {
    let open = harness.limited(|limits| limits.session_messages = 4).await;
    let chat = Chat::new(&open.store, "ann");
    let counted = |target, key: &str, limit| NewTurn { quota: quota(limit, LONG), ..chat.question(target, key) };
    let first = chat.start(&counted(Target::New, "k1", 2)).await.turn;
    let here = Target::Existing(first.id.session);
    let used_up = throttled(&chat.begin(&counted(here, "k2", 1)).await);
    assert!(used_up.is_some_and(|wait| !wait.is_zero() && wait <= LONG), "the quota is used up: {used_up:?}");
    for _ in 0..5 {
        let refused = chat.refusal(&counted(here, "k2", 2)).await;
        assert!(matches!(refused, Refusal::Busy { turn, .. } if turn == first.id), "one of two is left: {refused:?}");
    }
    let known = chat.begin(&counted(here, "k1", 1)).await;
    assert!(matches!(known, Began::Attached { turn, .. } if turn == first), "it was taken before: {known:?}");
    chat.stored(&first, &completed("one")).await;
    let second = chat.start(&counted(here, "k2", 2)).await;
    assert_eq!(second.left.map(|left| left.remaining), Some(0), "who was told `Busy` paid nothing");
    for limit in [2, 9] {
        let refused = chat.refusal(&counted(here, "k3", limit)).await;
        assert_eq!(refused, Refusal::SessionFull, "its answer is the last of four messages");
    }
    let full = |limits: &mut StoreLimits| (limits.outbox_full, limits.outbox_events) = (OutboxFull::Refuse, 1);
    let open = harness.limited(full).await;
    let chat = Chat::new(&open.store, "ann");
    let here = Target::Existing(chat.ask(Target::New, "k1").await.turn.id.session);
    assert_eq!(chat.refusal(&chat.question(here, "k2")).await, Refusal::Overloaded, "an event waits where one may");
}
