//! What a key means: who starts, who waits, who is told the old answer.

use crate::conformance::chat::{Chat, LONG, SHORT, answer, completed, random};
use crate::conformance::{OpenStore, StoreHarness};
use chatcore::id::{AttemptId, MessageId};
use chatcore::message::{Role, Status};
use chatcore::turn::{Began, NewTurn, Refusal, Started, Target, Turn};
use futures_util::future::join_all;

/// Of many writers with a key each, at both processes at once, one starts and all others are `Busy` with its turn.
pub async fn one_live_turn_per_session(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let session = chat.talk(Target::New, "first").await.0.id.session;
    for round in 0..20 {
        let ask = |writer| chat.question(Target::Existing(session), &format!("{round}-{writer}"));
        let started = one_of(&open, &chat, (0..8).map(ask).collect()).await;
        let late = chat.refusal(&ask(9)).await;
        assert!(matches!(late, Refusal::Busy { turn, .. } if turn == started.id), "while {started:?} runs: {late:?}");
        chat.stored(&started, &completed("done")).await;
    }
    assert_eq!(chat.history(session).await.len(), 42, "a refused question was stored");
}

/// Begins all of them at once; exactly one starts.
async fn one_of(open: &OpenStore, chat: &Chat, questions: Vec<NewTurn>) -> Turn {
    let began = begin_all(open, chat, questions).await;
    let started: Vec<Turn> = began.iter().filter_map(started).map(|started| started.turn).collect();
    assert_eq!(started.len(), 1, "of {} writers at once {} started", began.len(), started.len());
    for other in began.iter().filter(|began| self::started(began).is_none()) {
        let Began::Refused(Refusal::Busy { turn, retry_after }) = other else { panic!("{started:?} runs: {other:?}") };
        assert!(*turn == started[0].id && !retry_after.is_zero(), "{started:?} runs: {other:?}");
    }
    started[0]
}

/// Begins all of them at once, at both processes in turn.
async fn begin_all(open: &OpenStore, chat: &Chat, questions: Vec<NewTurn>) -> Vec<Began> {
    let begin = |(index, question): (usize, NewTurn)| {
        let chat = chat.at(if index % 2 == 0 { &open.store } else { &open.elsewhere });
        tokio::spawn(async move { chat.begin(&question).await })
    };
    let running: Vec<_> = questions.into_iter().enumerate().map(begin).collect();
    join_all(running).await.into_iter().map(|began| began.expect("begin_turn does not panic")).collect()
}

fn started(began: &Began) -> Option<&Started> {
    match began {
        Began::Started(started) => Some(started),
        _ => None,
    }
}

/// The repeat of a call whose reply was lost is answered the same, but for the quota, which counted before.
pub async fn the_same_attempt_is_started_again(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let new = chat.question(Target::New, "k");
    let first = chat.start(&new).await;
    assert!(!first.closed, "there was nothing to close: {first:?}");
    assert_eq!(elsewhere.start(&new).await, Started { left: None, ..first.clone() }, "the same attempt elsewhere");
    let again = chat.start(&NewTurn { target: Target::Existing(first.turn.id.session), ..new.clone() }).await;
    assert_eq!(again.turn, first.turn, "the same attempt at the session by name");
    chat.held(&first.turn, 0, "kept", new.lease).await;
    assert_eq!(chat.start(&new).await.turn, first.turn, "the same attempt after text came");
    assert_eq!(chat.held(&first.turn, 4, "", new.lease).await, 4, "a repeated begin lost the text");
    repeated_at_once(&open, &chat).await;
    chat.stored(&first.turn, &completed("kept, and more")).await;
    assert_eq!(chat.replay(&new).await.turn.id, first.turn.id, "the same attempt after its answer");
}

async fn repeated_at_once(open: &OpenStore, chat: &Chat) {
    for round in 0..10 {
        let new = chat.question(Target::New, &format!("at-once-{round}"));
        let began = begin_all(open, chat, vec![new; 6]).await;
        let turns: Vec<Turn> = began.iter().filter_map(started).map(|started| started.turn).collect();
        assert!(
            turns.len() == 6 && turns.iter().all(|turn| *turn == turns[0]),
            "one attempt six times at once: {began:?}"
        );
        assert_eq!(chat.history(turns[0].id.session).await.len(), 1, "one attempt stored several questions");
    }
}

/// The same key by other attempts, one after the other and all at once: one starts, the others attach to its turn.
pub async fn a_running_key_is_attached(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let first = chat.ask(Target::New, "k").await;
    for target in [Target::New, Target::Existing(first.turn.id.session)] {
        let began = elsewhere.begin(&elsewhere.question(target, "k")).await;
        let Began::Attached { turn, seq, retry_after } = began else { panic!("while the key runs: {began:?}") };
        assert_eq!((turn, seq), (first.turn, first.seq), "attached to another turn");
        assert!(!retry_after.is_zero() && retry_after <= LONG, "what is left of the lease: {retry_after:?}");
    }
    for round in 0..10 {
        same_key_at_once(&open, &chat, &format!("at-once-{round}")).await;
    }
    assert_eq!(chat.sessions(100).await.len(), 11, "one key opened several sessions");
}

async fn same_key_at_once(open: &OpenStore, chat: &Chat, key: &str) {
    let questions = (0..6).map(|_| chat.question(Target::New, key)).collect();
    let began = begin_all(open, chat, questions).await;
    let owners: Vec<Turn> = began.iter().filter_map(started).map(|started| started.turn).collect();
    assert_eq!(owners.len(), 1, "one key six times at once: {began:?}");
    let attached = began.iter().filter(|began| matches!(began, Began::Attached { turn, .. } if *turn == owners[0]));
    assert_eq!(attached.count(), 5, "one key six times at once: {began:?}");
    assert_eq!(chat.history(owners[0].id.session).await.len(), 1, "one key stored several questions");
}

/// Every kind of answer is replayed as it was stored, from any process, also while another key runs.
pub async fn a_closed_key_is_replayed(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let mut target = Target::New;
    for status in [Status::Completed, Status::Fallback, Status::Failed, Status::Cancelled] {
        let question = chat.question(target, status.as_str());
        let started = chat.start(&question).await;
        let stored = chat.stored(&started.turn, &answer(status, &format!("{status}: đã xong"))).await;
        let again = NewTurn { attempt: AttemptId::from(random()), message: MessageId::from(random()), ..question };
        let replayed = elsewhere.replay(&again).await;
        assert_eq!(replayed.answer, stored, "the answer that is replayed is not the stored one");
        assert_eq!(replayed.turn.id, started.turn.id, "the turn that is replayed is another");
        let question = (replayed.question.seq, replayed.question.role, replayed.question.content);
        assert_eq!(question, (started.seq, Role::User, again.text), "the question that is replayed is another");
        target = Target::Existing(started.turn.id.session);
    }
    chat.ask(target, "runs").await;
    for target in [target, Target::New] {
        let replayed = chat.replay(&chat.question(target, "completed")).await;
        assert_eq!(replayed.answer.status, Status::Completed, "the first key while another runs");
    }
}

/// While the key runs, after its answer, and by either way to the session.
pub async fn another_body_under_a_key_is_refused(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let turn = chat.ask_briefly(Target::New, "k").await.turn;
    harness.pass(SHORT).await;
    another_body(&chat, &turn, "after the lease").await;
    let turn = chat.ask(Target::New, "k").await.turn;
    another_body(&chat, &turn, "while the key runs").await;
    chat.held(&turn, 0, "still ours", LONG).await;
    chat.stored(&turn, &completed("still ours")).await;
    another_body(&chat, &turn, "after the answer").await;
    assert_eq!(chat.history(turn.id.session).await.len(), 2, "another body was stored");
}

async fn another_body(chat: &Chat, turn: &Turn, when: &str) {
    for target in [Target::New, Target::Existing(turn.id.session)] {
        let other = NewTurn { body_hash: 8, ..chat.question(target, "k") };
        assert_eq!(chat.refusal(&other).await, Refusal::KeyReused, "{when}");
    }
}
