//! How much a session and an owner may hold.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, SHORT, completed};
use chatcore::turn::{Began, NewTurn, Refusal, Target};
use futures_util::future::join_all;
use std::time::Duration;

/// A question is refused where it and its answer do not fit, and an orphan's answer before them; one that was taken
/// before never is.
pub async fn a_session_holds_only_so_many_messages(harness: &StoreHarness) {
    for (limit, turns) in [(4, 2), (5, 2), (1, 0)] {
        let open = harness.limited(|limits| limits.session_messages = limit).await;
        let chat = Chat::new(&open.store, "ann");
        let mut target = Target::New;
        for number in 0..turns {
            target = Target::Existing(chat.talk(target, &format!("k{number}")).await.0.id.session);
        }
        let refusal = chat.refusal(&chat.question(target, "more")).await;
        assert_eq!(refusal, Refusal::SessionFull, "{turns} turns where {limit} messages fit");
        let sessions = chat.sessions(9).await;
        assert_eq!(sessions.len(), turns.min(1), "a refused first message leaves no session");
        assert!(sessions.iter().all(|session| session.message_count == 4 && session.open.is_none()), "{sessions:?}");
        if turns > 0 {
            chat.replay(&chat.question(target, "k0")).await;
        }
    }
    with_an_orphan(harness, 3).await;
    with_an_orphan(harness, 4).await;
}

/// One question whose lease is over: its answer, the new question and the new answer have to fit.
async fn with_an_orphan(harness: &StoreHarness, limit: u64) {
    let open = harness.limited(|limits| limits.session_messages = limit).await;
    let chat = Chat::new(&open.store, "ann");
    let turn = chat.ask_briefly(Target::New, "k").await.turn;
    harness.pass(SHORT).await;
    let other = chat.question(Target::Existing(turn.id.session), "other");
    if limit == 4 {
        assert_eq!(chat.start(&other).await.seq, 3, "four messages fit");
        return;
    }
    assert_eq!(chat.refusal(&other).await, Refusal::SessionFull, "four messages where three fit");
    assert_eq!(chat.session(turn.id.session).await.open, Some(turn.id.message), "a refusal closes nothing");
    let resumed = chat.ask(Target::New, "k").await;
    assert!(resumed.resumed, "a question that was taken before is not refused: {resumed:?}");
    chat.stored(&resumed.turn, &completed("fits")).await;
}

/// Also by parallel callers; what was opened before goes on, and a deleted or expired session makes room.
pub async fn an_owner_only_so_many_sessions(harness: &StoreHarness) {
    let open = harness.limited(|limits| limits.owner_sessions = 3).await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let questions: Vec<_> = (0..10).map(|number| chat.question(Target::New, &format!("k{number}"))).collect();
    let callers = questions.iter().zip([&chat, &elsewhere].into_iter().cycle());
    let began = join_all(callers.map(|(question, chat)| chat.begin(question))).await;
    let opened = |began: &&Began| matches!(began, Began::Started(_));
    assert_eq!(began.iter().filter(opened).count(), 3, "ten parallel callers where three sessions fit: {began:?}");
    let refused = began.iter().filter(|began| **began == Began::Refused(Refusal::TooManySessions)).count();
    assert_eq!((refused, chat.sessions(9).await.len()), (7, 3), "the others are refused and leave nothing: {began:?}");
    let first = began.iter().position(|began| opened(&began)).expect("one that started");
    assert!(matches!(
        chat.begin(&chat.question(Target::New, questions[first].key.as_str())).await,
        Began::Attached { .. }
    ));
    Chat::new(&open.store, "bob").ask(Target::New, "another-owner").await;
    let Began::Started(started) = &began[first] else { return };
    chat.store.delete(&chat.owner, &started.turn.id.session, None).await.expect("its owner deletes it");
    let brief = NewTurn { ttl: SHORT, ..chat.question(Target::New, "brief") };
    chat.start(&brief).await;
    harness.pass(SHORT + Duration::from_millis(20)).await;
    chat.ask(Target::New, "after-it-expired").await;
    assert_eq!(chat.refusal(&chat.question(Target::New, "more")).await, Refusal::TooManySessions, "three again");
}
