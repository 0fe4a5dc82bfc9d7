//! Who may write an answer, and how often.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, LONG, SHORT, answer, completed, events};
use chatcore::id::Fence;
use chatcore::message::{Message, Status};
use chatcore::turn::{Extended, Finished, Target, Turn};
use futures_util::future::join_all;
use std::time::Duration;

/// After a resume, after a close by another key and by `close_orphans`, after its own answer, after a later turn; and a
/// fence that was never given out.
pub async fn a_stale_fence_never_writes(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    after_a_resume(harness, &chat).await;
    after_a_close(harness, &chat).await;
    after_another_key(harness, &chat.at(&open.elsewhere)).await;
    after_its_answer(&chat).await;
    of_the_future(&chat).await;
}

/// Neither text nor answer, and the history stays as it was.
async fn fenced(chat: &Chat, turn: &Turn, when: &str) {
    let before = chat.history(turn.id.session).await;
    for (offset, text) in [(0, "stale"), (3, "stale"), (0, ""), (900, "")] {
        assert_eq!(chat.extend(turn, offset, text, LONG).await, Extended::Fenced, "text at {offset} {when}");
    }
    assert_eq!(chat.finish(turn, &completed("stale")).await, Finished::Fenced, "an answer {when}");
    assert_eq!(chat.history(turn.id.session).await, before, "the history changed {when}");
}

async fn after_a_resume(harness: &StoreHarness, chat: &Chat) {
    let stale = chat.ask_briefly(Target::New, "resumed").await.turn;
    chat.held(&stale, 0, "old", SHORT).await;
    harness.pass(SHORT).await;
    let turn = chat.ask(Target::New, "resumed").await.turn;
    fenced(chat, &stale, "after a resume").await;
    assert_eq!(chat.held(&turn, 0, "fresh", LONG).await, 5, "the new attempt begins at 0");
    fenced(chat, &stale, "while the new attempt writes").await;
    assert_eq!(chat.held(&turn, 5, "", LONG).await, 5, "the stale attempt changed the text");
    assert_eq!(chat.stored(&turn, &completed("fresh text")).await.content, "fresh text");
    fenced(chat, &stale, "after the new attempt's answer").await;
}

async fn after_a_close(harness: &StoreHarness, chat: &Chat) {
    let stale = chat.ask_briefly(Target::New, "closed").await.turn;
    harness.pass(SHORT).await;
    assert_eq!(chat.store.close_orphans(Duration::ZERO, 10).await.expect("close_orphans answers").closed, 1);
    fenced(chat, &stale, "after close_orphans").await;
    chat.ask(Target::Existing(stale.id.session), "closed-2").await;
    fenced(chat, &stale, "after close_orphans and a new question").await;
}

async fn after_another_key(harness: &StoreHarness, chat: &Chat) {
    let stale = chat.ask_briefly(Target::New, "taken").await.turn;
    harness.pass(SHORT).await;
    let turn = chat.ask(Target::Existing(stale.id.session), "taken-2").await.turn;
    fenced(chat, &stale, "after another key closed it").await;
    chat.stored(&turn, &completed("the other's")).await;
    fenced(chat, &stale, "after the other key's answer").await;
}

async fn after_its_answer(chat: &Chat) {
    let (stale, _) = chat.talk(Target::New, "ended").await;
    assert_eq!(chat.extend(&stale, 0, "more", LONG).await, Extended::Fenced, "text after its own answer");
    chat.ask(Target::Existing(stale.id.session), "ended-2").await;
    fenced(chat, &stale, "after a later turn began").await;
}

async fn of_the_future(chat: &Chat) {
    let turn = chat.ask(Target::New, "future").await.turn;
    for fence in [Fence(0), Fence(turn.fence.0 + 1), Fence(u64::MAX >> 1)] {
        fenced(chat, &Turn { fence, ..turn }, &format!("under {fence:?}, which nobody has")).await;
    }
    assert_eq!(chat.held(&turn, 0, "mine", LONG).await, 4, "the holder goes on");
}

/// With the fence that has stored it, the same answer or another: the stored one comes back, once in the history and
/// once in the outbox.
pub async fn a_repeated_finish_is_stored_once(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let (turn, first) = chat.talk(Target::New, "k").await;
    assert_eq!((first.seq, first.reply_to, first.status), (2, Some(1), Status::Completed), "{first:?}");
    assert_eq!(chat.stored(&turn, &completed("It is good. Tốt.")).await, first, "the same answer again");
    let other = answer(Status::Failed, "another answer");
    assert_eq!(chat.at(&open.elsewhere).stored(&turn, &other).await, first, "another answer, elsewhere");
    let turn = chat.ask(Target::Existing(turn.id.session), "at-once").await.turn;
    let answers = finish_at_once(&[chat.clone(), chat.at(&open.elsewhere)], &turn).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "six calls at once stored {answers:?}");
    let history = chat.history(turn.id.session).await;
    assert_eq!((history.len(), &history[3]), (4, &answers[0]), "an answer stands in the history once");
    assert_eq!(events(&open.outbox).await.len(), 4, "an answer has one event");
}

async fn finish_at_once(chats: &[Chat; 2], turn: &Turn) -> Vec<Message> {
    let finish = |index: usize| {
        let (chat, turn) = (chats[index % 2].clone(), *turn);
        tokio::spawn(async move { chat.stored(&turn, &completed(&format!("answer {index}"))).await })
    };
    let running: Vec<_> = (0..6).map(finish).collect();
    join_all(running).await.into_iter().map(|stored| stored.expect("finish_turn does not panic")).collect()
}
