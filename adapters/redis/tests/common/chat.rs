//! An owner who asks, and a server that answers.
#![allow(clippy::panic, reason = "a test fails by panicking")]

use chatcore::id::{AttemptId, Key, MessageId, RequestId, UserId};
use chatcore::message::{AiReply, Answer, Status};
use chatcore::owner::Owner;
use chatcore::policy::Quota;
use chatcore::port::{Runtime, SessionStore};
use chatcore::session::SessionsPage;
use chatcore::turn::{Began, Cursor, Finished, NewTurn, Position, Started, Target};
use chatcore_ports::tokio::TokioRuntime;
use std::time::Duration;

pub(crate) fn question(target: Target, key: &str) -> NewTurn {
    let runtime = TokioRuntime::current();
    NewTurn {
        owner: Owner::User(UserId::parse("ann").unwrap()),
        target,
        key: Key::parse(key).unwrap(),
        body_hash: 7,
        attempt: AttemptId::from(runtime.new_id()),
        message: MessageId::from(runtime.new_id()),
        text: "What is in stock?".into(),
        request_id: Some(RequestId::parse("r1").unwrap()),
        quota: Some(Quota { limit: 1000, window: Duration::from_secs(60) }),
        window: 10,
        lease: Duration::from_secs(15),
        ttl: Duration::from_secs(3600),
    }
}

/// Who asks.
pub(crate) fn owner() -> Owner {
    question(Target::New, "k").owner
}

pub(crate) async fn start(store: &dyn SessionStore, new: &NewTurn) -> Started {
    match store.begin_turn(new).await.unwrap() {
        Began::Started(started) => started,
        other => panic!("to be started: {other:?}"),
    }
}

pub(crate) async fn finish(store: &dyn SessionStore, started: &Started) {
    let finished = store.finish_turn(&started.turn, &answer("Much.")).await.unwrap();
    assert!(matches!(finished, Finished::Stored(_)), "{finished:?}");
}

pub(crate) fn answer(content: &str) -> Answer {
    Answer { status: Status::Completed, content: content.to_owned(), reply: AiReply::default() }
}

/// Something of each kind that a program does.
pub(crate) async fn one_of_each(store: &dyn SessionStore) {
    let first = start(store, &question(Target::New, "k0")).await;
    let owner = owner();
    let cursor = Cursor { turn: first.turn.id, from: Position::default() };
    store.follow(&owner, &cursor, Duration::from_millis(50)).await.unwrap();
    store.request_stop(&owner, &first.turn.id).await.unwrap();
    finish(store, &first).await;
    let here = Target::Existing(first.turn.id.session);
    finish(store, &start(store, &question(here, "k1")).await).await;
    assert_eq!(store.sessions(&owner, &SessionsPage { after: None, limit: 9 }).await.unwrap().len(), 1);
    store.close_orphans(Duration::ZERO, 9).await.unwrap();
    store.delete(&owner, &first.turn.id.session, None).await.unwrap();
}
