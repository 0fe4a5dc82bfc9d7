//! The ends of a session: deleted, or expired.

use crate::conformance::chat::{Chat, LONG, SHORT, completed, events};
use crate::conformance::{OpenStore, StoreHarness};
use chatcore::error::AccessError;
use chatcore::event::EventBody;
use chatcore::id::{RequestId, SessionId};
use chatcore::message::{MessagesPage, NewerPage};
use chatcore::turn::{Began, Cursor, Extended, Finished, NewTurn, Position, Refusal, Started, Target, TurnId};
use std::time::Duration;

/// No call finds it any more, no retried question of it opens one, and neither its text nor its keys are left.
pub async fn a_deleted_session_never_comes_back(harness: &StoreHarness) {
    let open = harness.open().await;
    let (chat, elsewhere) = (Chat::new(&open.store, "ann"), Chat::new(&open.elsewhere, "ann"));
    let first = chat.question(Target::New, "first");
    let turn = chat.start(&first).await.turn;
    let session = turn.id.session;
    chat.stored(&turn, &completed("one")).await;
    chat.talk(Target::Existing(session), "second").await;
    elsewhere.store.delete(&chat.owner, &session, None).await.expect("its owner deletes it");
    for (chat, when) in [(&chat, "a delete elsewhere"), (&elsewhere, "a delete")] {
        gone(chat, &turn.id, when).await;
        for retried in [first.clone(), chat.question(Target::New, "first"), NewTurn { body_hash: 9, ..first.clone() }] {
            assert_eq!(chat.refusal(&retried).await, Refusal::NotFound, "a retried first message after {when}");
        }
        let refusal = chat.refusal(&chat.question(Target::Existing(session), "second")).await;
        assert_eq!(refusal, Refusal::NotFound, "a known key after {when}");
        assert_eq!(chat.finish(&turn, &completed("one")).await, Finished::Gone, "a repeated finish after {when}");
    }
    let stranger = elsewhere.store.delete(&Chat::new(&open.store, "bob").owner, &session, None).await;
    assert!(matches!(stranger, Err(AccessError::NotFound)), "a stranger learns nothing of a tombstone: {stranger:?}");
    let other = chat.ask(Target::New, "another").await;
    assert_ne!(other.turn.id.session, session, "another first key opens another session");
    deleted_with_an_orphan(harness, &chat).await;
}

async fn deleted_with_an_orphan(harness: &StoreHarness, chat: &Chat) {
    let turn = chat.ask_briefly(Target::New, "orphan").await.turn;
    harness.pass(SHORT).await;
    chat.store.delete(&chat.owner, &turn.id.session, None).await.expect("its owner deletes it");
    let closed = chat.store.close_orphans(Duration::ZERO, 10).await.expect("close_orphans answers").closed;
    assert_eq!(closed, 0, "the orphan of a deleted session was closed");
    gone(chat, &turn.id, "the delete of an orphan").await;
}

/// No call of its owner finds the session.
async fn gone(chat: &Chat, turn: &TurnId, when: &str) {
    let (store, owner, id) = (&chat.store, &chat.owner, &turn.session);
    let page = MessagesPage { before: None, limit: 10 };
    let (cursor, newer) = (Cursor { turn: *turn, from: Position::default() }, NewerPage { after: 0, limit: 10 });
    for (call, error) in [
        ("session", store.session(owner, id).await.err()),
        ("messages", store.messages(owner, id, &page).await.err()),
        ("request_stop", store.request_stop(owner, turn).await.err()),
        ("follow", store.follow(owner, &cursor, Duration::from_millis(10)).await.err()),
        ("newer", store.newer(owner, id, &newer, Duration::from_millis(10)).await.err()),
    ] {
        assert!(matches!(error, Some(AccessError::NotFound)), "{call} after {when}: {error:?}");
    }
    let listed = chat.sessions(10).await;
    assert!(listed.iter().all(|session| session.id != *id), "it is listed after {when}");
}

/// The holder is told `Gone` by every call, as often as it asks, and the events tell of the question and the deletion.
pub async fn a_delete_ends_a_running_turn(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let new = chat.question(Target::New, "k");
    let turn = chat.start(&new).await.turn;
    chat.held(&turn, 0, "so f", LONG).await;
    let session = turn.id.session;
    for round in 1..=2 {
        chat.at(&open.elsewhere)
            .store
            .delete(&chat.owner, &session, request(round))
            .await
            .expect("a repeated delete says so again");
        assert_eq!(chat.extend(&turn, 4, "ar", LONG).await, Extended::Gone, "text after delete {round}");
        assert_eq!(chat.extend(&turn, 0, "", LONG).await, Extended::Gone, "a renewal after delete {round}");
        assert_eq!(chat.finish(&turn, &completed("so far")).await, Finished::Gone, "an answer after delete {round}");
        assert_eq!(chat.refusal(&new).await, Refusal::NotFound, "the same attempt after delete {round}");
    }
    told_once(&open, session).await;
    let unknown = chat.store.delete(&chat.owner, &SessionId::from(crate::conformance::chat::random()), None).await;
    assert!(matches!(unknown, Err(AccessError::NotFound)), "the delete of an unknown session: {unknown:?}");
}

fn request(number: u32) -> Option<RequestId> {
    Some(RequestId::parse(format!("delete-{number}")).expect("an id"))
}

async fn told_once(open: &OpenStore, session: SessionId) {
    let told = events(&open.outbox).await;
    let kinds: Vec<_> = told.iter().filter(|event| event.session == session).map(|event| event.kind()).collect();
    assert_eq!(kinds, ["chat.requested", "session.deleted"], "the events of a session deleted twice");
    let last = told.last().map(|event| (event.seq, &event.body, event.request_id.clone()));
    assert_eq!(last, Some((2, &EventBody::SessionDeleted, request(1))), "{told:?}");
}

/// With or without an open turn; and the time to live is that of the newest question.
pub async fn an_expired_session_is_gone(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let ended = brief(&chat, "ended").await;
    chat.finish(&ended.turn, &completed("in time, or not")).await;
    let running = brief(&chat, "running").await;
    let again = chat.talk(Target::New, "again").await.0;
    let last = NewTurn { ttl: SHORT, ..chat.question(Target::Existing(again.id.session), "last") };
    chat.start(&last).await;
    harness.pass(SHORT).await;
    let late = &running.turn;
    assert_eq!(chat.extend(late, 0, "late", LONG).await, Extended::Gone, "text between question and answer");
    assert_eq!(chat.finish(late, &completed("late")).await, Finished::Gone, "an answer that came too late");
    for (turn, when) in [(ended.turn, "its time"), (running.turn, "its time in mid turn"), (again, "its last time")] {
        gone(&chat.at(&open.elsewhere), &turn.id, when).await;
        let refusal = chat.refusal(&chat.question(Target::Existing(turn.id.session), "more")).await;
        assert_eq!(refusal, Refusal::NotFound, "a question after {when}");
    }
    let closed = chat.store.close_orphans(Duration::ZERO, 10).await.expect("close_orphans answers").closed;
    assert_eq!((closed, chat.sessions(10).await), (0, Vec::new()), "an expired turn is nobody's orphan");
    opens_anew(&chat, &running).await;
    each_question_renews(harness, &chat).await;
}

async fn brief(chat: &Chat, key: &str) -> Started {
    chat.start(&NewTurn { ttl: SHORT, ..chat.question(Target::New, key) }).await
}

/// A first key means nothing once its session has expired.
async fn opens_anew(chat: &Chat, old: &Started) {
    let new = chat.ask(Target::New, "running").await;
    assert_ne!(new.turn.id.session, old.turn.id.session, "an expired session came back");
    assert_eq!((new.seq, new.resumed, new.window.len()), (1, false, 0), "something of it came back: {new:?}");
}

/// The second question has to come in time, so on a machine that is too slow for one time a longer one is tried.
async fn each_question_renews(harness: &StoreHarness, chat: &Chat) {
    for ttl in [300, 1000, 4000].map(Duration::from_millis) {
        let first = chat.start(&NewTurn { ttl, ..chat.question(Target::New, "renewed") }).await.turn;
        chat.finish(&first, &completed("in time")).await;
        let second = chat.question(Target::Existing(first.id.session), "renewal");
        if let Began::Started(_) = chat.begin(&second).await {
            harness.pass(ttl).await;
            assert_eq!(chat.history(first.id.session).await.len(), 3, "the second question renews the session's time");
            return;
        }
        harness.pass(ttl).await;
    }
    panic!("a session does not live 4 s for a question and an answer");
}
