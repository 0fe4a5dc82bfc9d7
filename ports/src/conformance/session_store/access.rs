//! Whose a session is, and how its owner stops a turn.

use crate::conformance::StoreHarness;
use crate::conformance::chat::{Chat, LONG, Reader, SHORT, answer, random};
use chatcore::error::AccessError;
use chatcore::id::{MessageId, SessionId};
use chatcore::message::{MessagesPage, NewerPage, Status};
use chatcore::turn::{Cursor, Extended, Position, Refusal, Stopping, Target, Turn, TurnId};
use std::time::Duration;

/// Every call that takes an owner tells another `NotYours`, a guest of the same name too, and of an unknown session
/// `NotFound`.
pub async fn a_session_is_its_owners(harness: &StoreHarness) {
    let open = harness.open().await;
    let ann = Chat::new(&open.store, "ann");
    let turn = ann.ask(Target::New, "k").await.turn;
    let unknown = TurnId { session: SessionId::from(random()), message: turn.id.message };
    for stranger in [Chat::new(&open.elsewhere, "bob"), Chat::guest(&open.store, "ann"), Chat::new(&open.store, "an")] {
        for (call, error) in calls(&stranger, &turn.id).await {
            assert!(matches!(error, Some(AccessError::NotYours)), "{call} by {}: {error:?}", stranger.owner);
        }
        let refusal = stranger.refusal(&stranger.question(Target::Existing(turn.id.session), "k")).await;
        assert_eq!(refusal, Refusal::NotYours, "a question by {}", stranger.owner);
        assert_eq!(stranger.sessions(10).await, [], "the sessions of {}", stranger.owner);
    }
    for (call, error) in calls(&ann, &unknown).await {
        assert!(matches!(error, Some(AccessError::NotFound)), "{call} of an unknown session: {error:?}");
    }
    let refusal = ann.refusal(&ann.question(Target::Existing(unknown.session), "k")).await;
    assert_eq!(refusal, Refusal::NotFound, "a question in an unknown session");
    assert_eq!(ann.held(&turn, 0, "unharmed", LONG).await, 8, "no stranger did anything to the turn");
    let bob = Chat::new(&open.store, "bob").ask(Target::New, "k").await;
    assert_ne!(bob.turn.id.session, turn.id.session, "a first key is its owner's");
}

async fn calls(chat: &Chat, turn: &TurnId) -> Vec<(&'static str, Option<AccessError>)> {
    let (store, owner, session) = (&chat.store, &chat.owner, &turn.session);
    let page = MessagesPage { before: None, limit: 10 };
    let (cursor, newer) = (Cursor { turn: *turn, from: Position::default() }, NewerPage { after: 0, limit: 10 });
    vec![
        ("session", store.session(owner, session).await.err()),
        ("messages", store.messages(owner, session, &page).await.err()),
        ("request_stop", store.request_stop(owner, turn).await.err()),
        ("follow", store.follow(owner, &cursor, Duration::from_millis(10)).await.err()),
        ("newer", store.newer(owner, session, &newer, Duration::from_millis(10)).await.err()),
        ("delete", store.delete(owner, session, None).await.err()),
    ]
}

/// From another process, also after a resume; the mark is the turn's and no later turn sees it.
pub async fn a_stop_is_seen_by_extend(harness: &StoreHarness) {
    let open = harness.open().await;
    let chat = Chat::new(&open.store, "ann");
    let turn = chat.ask_briefly(Target::New, "k").await.turn;
    chat.held(&turn, 0, "so far", SHORT).await;
    for _ in 0..2 {
        assert_eq!(stop(&chat.at(&open.elsewhere), &turn.id).await, Stopping::Requested);
        assert_eq!(chat.extend(&turn, 6, " and on", SHORT).await, Extended::StopRequested, "text after a stop");
        assert_eq!(chat.extend(&turn, 0, "", SHORT).await, Extended::StopRequested, "a renewal after a stop");
    }
    let mut reader = Reader::new(&chat, turn.id);
    reader.read(Duration::ZERO).await;
    assert_eq!(reader.text, b"so far", "text was written after a stop");
    let turn = resumed(harness, &chat, &turn).await;
    assert_eq!(chat.stored(&turn, &answer(Status::Cancelled, "so far")).await.status, Status::Cancelled);
    assert_eq!(stop(&chat, &turn.id).await, Stopping::Ended, "a turn that has its answer");
    let next = chat.ask(Target::Existing(turn.id.session), "next").await.turn;
    assert_eq!(stop(&chat, &turn.id).await, Stopping::Ended, "an earlier turn while a later one runs");
    assert_eq!(chat.held(&next, 0, "goes on", LONG).await, 7, "the stop of an earlier turn stopped a later one");
    let unknown = TurnId { message: MessageId::from(random()), ..turn.id };
    let unknown = chat.store.request_stop(&chat.owner, &unknown).await;
    assert!(matches!(unknown, Err(AccessError::NotFound)), "an unknown turn: {unknown:?}");
    assert_eq!(chat.held(&next, 7, "!", LONG).await, 8, "the stop of an unknown turn stopped another");
}

async fn stop(chat: &Chat, turn: &TurnId) -> Stopping {
    chat.store.request_stop(&chat.owner, turn).await.expect("request_stop answers")
}

async fn resumed(harness: &StoreHarness, chat: &Chat, stale: &Turn) -> Turn {
    harness.pass(SHORT).await;
    let turn = chat.ask(Target::New, "k").await.turn;
    assert_eq!(chat.extend(stale, 6, "x", LONG).await, Extended::Fenced, "the fence comes before the stop");
    assert_eq!(
        chat.extend(&turn, 0, "x", LONG).await,
        Extended::StopRequested,
        "the stop names the turn, not the attempt"
    );
    turn
}
