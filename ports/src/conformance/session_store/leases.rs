//! What becomes of a turn whose lease is over.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, LONG, Reader, SHORT, answer, completed};
use chatcore::message::{AiReply, Message, Role, Status};
use chatcore::session::Session;
use chatcore::turn::{Began, Extended, Finished, NewTurn, Refusal, Target, Turn};
use std::time::Duration;

/// The same key takes the question up: its stored id and place, a new fence, no old text.
pub async fn a_lease_that_is_over_is_resumed_by_its_key(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let first = chat.ask_briefly(Target::New, "k").await;
    chat.held(&first.turn, 0, "some old text", SHORT).await;
    harness.pass(SHORT).await;
    let before = chat.session(first.turn.id.session).await;
    let new = elsewhere.question(Target::New, "k");
    let resumed = elsewhere.start(&new).await;
    assert!(resumed.resumed && resumed.left.is_none(), "resumed, and not counted again: {resumed:?}");
    assert_eq!((resumed.turn.id, resumed.seq), (first.turn.id, first.seq), "another question was started");
    assert!(resumed.turn.fence > first.turn.fence, "the fence did not grow: {:?}", resumed.turn);
    assert_eq!(resumed.window, first.window, "the messages before the question");
    assert_eq!(elsewhere.start(&new).await, resumed, "the attempt that resumed, again");
    let old = chat.begin(&chat.question(Target::New, "k")).await;
    assert!(matches!(old, Began::Attached { turn, .. } if turn == resumed.turn), "a third attempt: {old:?}");
    renewed(&elsewhere.session(first.turn.id.session).await, &before);
    assert_eq!(elsewhere.held(&resumed.turn, 0, "new", LONG).await, 3, "the old text was still there");
    let stored = elsewhere.stored(&resumed.turn, &completed("new text")).await;
    assert_eq!((stored.seq, stored.reply_to), (2, Some(1)), "{stored:?}");
    assert_eq!(chat.history(first.turn.id.session).await.len(), 2, "the question was stored again");
}

fn renewed(session: &Session, before: &Session) {
    assert_eq!((session.message_count, session.open), (1, before.open), "the question is the same: {session:?}");
    assert!(session.last_activity > before.last_activity, "a resume is an activity");
}

/// Another key closes the turn and starts its own in one step.
pub async fn a_lease_that_is_over_is_closed_by_another_key(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let first = chat.ask_briefly(Target::New, "k").await;
    chat.held(&first.turn, 0, "half an ans", SHORT).await;
    harness.pass(SHORT).await;
    let second = elsewhere.ask(Target::Existing(first.turn.id.session), "other").await;
    assert_eq!((second.seq, second.resumed, second.closed), (3, false, true), "the answer lies between: {second:?}");
    assert!(second.turn.fence > first.turn.fence, "the fence did not grow: {second:?}");
    closed_as_failed(&second.window, "half an ans");
    let history = chat.history(first.turn.id.session).await;
    closed_as_failed(&history[..2], "half an ans");
    assert_eq!((history.len(), history[2].turn), (3, second.turn.id.message), "the new question stands behind it");
    assert_eq!(chat.extend(&first.turn, 11, "wer", LONG).await, Extended::Fenced, "the old holder");
    assert_eq!(chat.finish(&first.turn, &completed("half an answer")).await, Finished::Fenced, "the old holder");
    let replayed = chat.replay(&chat.question(Target::New, "k")).await;
    assert_eq!(replayed.answer, history[1], "the closed key is replayed");
}

fn closed_as_failed(messages: &[Message], text: &str) {
    let [question, answer] = messages else { panic!("a question and its answer, not {messages:?}") };
    assert_eq!((question.role, question.seq), (Role::User, 1), "{question:?}");
    assert_eq!((answer.role, answer.seq, answer.reply_to), (Role::Assistant, 2, Some(1)), "{answer:?}");
    assert_eq!((answer.status, answer.content.as_str()), (Status::Failed, text), "the live text becomes the answer");
    assert_eq!((answer.turn, &answer.reply), (question.turn, &AiReply::default()), "{answer:?}");
}

/// `close_orphans` leaves a living turn and one within its grace, and closes the others, so many at a time.
pub async fn an_orphan_is_closed_after_its_grace(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let living = chat.ask(Target::New, "living").await.turn;
    let late = chat.ask_briefly(Target::New, "late").await.turn;
    let orphans = [orphan(&chat, "a").await, orphan(&chat, "b").await, orphan(&chat, "c").await];
    harness.pass(SHORT).await;
    assert_eq!(close(&chat, LONG, 10).await, 0, "all are within their grace");
    late_but_first(&chat, &late).await;
    assert_eq!(close(&chat, Duration::ZERO, 2).await, 2, "three orphans, at most two");
    assert_eq!(close(&chat.at(&open.elsewhere), Duration::ZERO, 2).await, 1, "the third");
    assert_eq!(close(&chat, Duration::ZERO, 2).await, 0, "no more orphans");
    for (turn, key) in orphans.iter().zip(["a", "b", "c"]) {
        closed_as_failed(&chat.history(turn.id.session).await, "kept");
        assert_eq!(chat.session(turn.id.session).await.open, None, "no turn is open");
        assert_eq!(chat.finish(turn, &completed("kept, and late")).await, Finished::Fenced, "the late holder of {key}");
        assert_eq!(chat.replay(&chat.question(Target::New, key)).await.answer.status, Status::Failed, "the key {key}");
    }
    assert_eq!(chat.held(&living, 0, "alive", LONG).await, 5, "the living turn goes on");
    renewed_by_extend(harness, &chat).await;
    closed_once_the_grace_is_over(harness, &chat).await;
}

/// `close_orphans` calls no time quiet in which the lease of an open turn runs out, whatever the grace.
pub async fn no_lease_runs_out_in_quiet(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let living = chat.ask(Target::New, "living").await.turn;
    assert!(quiet(&chat, SHORT).await.is_some_and(|time| time <= LONG), "the living turn's lease runs out");
    let brief = chat.ask_briefly(Target::New, "brief").await.turn;
    chat.ask(Target::New, "later").await;
    let time = quiet(&chat.at(&open.elsewhere), SHORT).await;
    assert!(time.is_some_and(|time| time <= SHORT), "a lease of {SHORT:?}, not {time:?}");
    chat.held(&brief, 0, "renewed", LONG).await;
    chat.held(&living, 0, "shortened", SHORT).await;
    let time = quiet(&chat, Duration::ZERO).await;
    assert!(time.is_some_and(|time| time <= SHORT), "a lease that is {SHORT:?} long now, not {time:?}");
}

/// `close_orphans` tells the clocks by which leases run out.
pub async fn a_look_tells_the_time(harness: &StoreHarness) {
    let open = harness.open().await;
    let clocks = async || open.store.close_orphans(LONG, 10).await.expect("close_orphans answers").clocks;
    let before = clocks().await;
    harness.pass(SHORT).await;
    let after = clocks().await;
    assert!(
        !before.is_empty() && before.keys().eq(after.keys()),
        "each time those of the same parts: {before:?}, {after:?}"
    );
    for (part, before) in before {
        let passed = after[&part].checked_sub(before);
        assert!(passed.is_some_and(|time| (SHORT..LONG).contains(&time)), "of {SHORT:?} part {part} says {passed:?}");
    }
}

async fn quiet(chat: &Chat, grace: Duration) -> Option<Duration> {
    chat.store.close_orphans(grace, 10).await.expect("close_orphans answers").quiet
}

async fn orphan(chat: &Chat, key: &str) -> Turn {
    let turn = chat.ask_briefly(Target::New, key).await.turn;
    chat.held(&turn, 0, "kept", SHORT).await;
    turn
}

async fn close(chat: &Chat, grace: Duration, max: usize) -> usize {
    chat.store.close_orphans(grace, max).await.expect("close_orphans answers").closed
}

/// A lease that is over takes nothing from its holder, as long as nobody else took the turn.
async fn late_but_first(chat: &Chat, turn: &Turn) {
    assert_eq!(chat.held(turn, 0, "late", SHORT).await, 4, "late text that nobody stands against");
    assert_eq!(chat.stored(turn, &completed("late, but first")).await.status, Status::Completed);
}

async fn renewed_by_extend(harness: &StoreHarness, chat: &Chat) {
    let turn = chat.ask_briefly(Target::New, "renewed").await.turn;
    chat.held(&turn, 0, "", LONG).await;
    harness.pass(SHORT).await;
    let other = chat.refusal(&chat.question(Target::Existing(turn.id.session), "other")).await;
    assert!(matches!(other, Refusal::Busy { turn: busy, .. } if busy == turn.id), "the lease was renewed: {other:?}");
    assert_eq!(close(chat, Duration::ZERO, 10).await, 0, "the lease was renewed");
    chat.stored(&turn, &answer(Status::Cancelled, "")).await;
}

/// Within the grace the key takes its question up; after it, the sweeper has closed the turn.
async fn closed_once_the_grace_is_over(harness: &StoreHarness, chat: &Chat) {
    let turn = orphan(chat, "graced").await;
    harness.pass(SHORT).await;
    let again = chat.question(Target::New, "graced");
    let resumed = chat.start(&NewTurn { lease: SHORT, ..again }).await.turn;
    assert_eq!(resumed.id, turn.id, "within the grace the key resumes");
    harness.pass(SHORT + SHORT).await;
    assert_eq!(close(chat, SHORT, 10).await, 1, "the grace is over");
    let (reader, _) = Reader::new(chat, turn.id).read_to_end().await;
    assert!(reader.text.is_empty(), "the resumed attempt wrote nothing");
}
