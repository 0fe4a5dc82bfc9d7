//! A guest's sessions become a user's.

use crate::conformance::chat::{Chat, LONG, completed, device_id, events, user_id};
use crate::conformance::{OpenStore, StoreHarness};
use chatcore::error::AccessError;
use chatcore::event::Event;
use chatcore::id::SessionId;
use chatcore::owner::Owner;
use chatcore::session::{Adopted, AdoptionRest};
use chatcore::turn::{Refusal, Target, Turn};
use futures_util::future::join_all;
use std::collections::BTreeSet;

/// However often it is repeated, and by two at once: each session is in exactly one list at any time, a turn that
/// runs goes on, the guest's keys are the guest's no more, and what has no room stays.
pub async fn an_adoption_moves_every_session_once(harness: &StoreHarness) {
    let open = harness.open().await;
    let (guest, user) = (Chat::guest(&open.store, "phone"), Chat::new(&open.elsewhere, "ann"));
    let own = user.talk(Target::New, "k0").await.0.id.session;
    let mut sessions = BTreeSet::new();
    for number in 0..6 {
        sessions.insert(guest.talk(Target::New, &format!("k{number}")).await.0.id.session);
    }
    let running = guest.ask(Target::New, "running").await.turn;
    sessions.insert(running.id.session);
    guest.held(&running, 0, "half", LONG).await;
    let deleted = guest.talk(Target::New, "deleted").await.0.id.session;
    guest.store.delete(&guest.owner, &deleted, None).await.expect("its owner deletes it");
    let moved = adopt_all(&guest, &user, &sessions).await;
    assert_eq!(moved, sessions.len(), "every living session is moved once");
    assert_eq!(listed(&user).await, sessions.iter().copied().chain([own]).collect(), "the user's list");
    its_turn_goes_on(&open, &user, &guest, &running).await;
    the_guest_has_nothing(&guest, &user, &sessions).await;
    at_once(&open).await;
    without_room(harness).await;
}

async fn adopt(chat: &Chat, guest: &str, user: &str) -> Adopted {
    chat.store.adopt(&device_id(guest), &user_id(user)).await.expect("adopt answers")
}

/// Repeats it to its end; after each step every session stands in exactly one list.
async fn adopt_all(guest: &Chat, user: &Chat, sessions: &BTreeSet<SessionId>) -> usize {
    let mut moved = 0;
    for _ in 0..100 {
        let step = adopt(guest, "phone", "ann").await;
        moved += step.moved;
        let (of_guest, of_user) = (listed(guest).await, listed(user).await);
        assert!(of_guest.is_disjoint(&of_user), "a session stands in two lists after a step");
        assert!(sessions.iter().all(|id| of_guest.contains(id) || of_user.contains(id)), "a session stands in no list");
        if step.rest == AdoptionRest::Nothing {
            let again = adopt(user, "phone", "ann").await;
            assert_eq!(again, Adopted { moved: 0, rest: AdoptionRest::Nothing }, "an adoption that is repeated");
            return moved;
        }
        assert!(step.rest == AdoptionRest::More, "there is room: {step:?}");
    }
    panic!("a hundred steps did not move {} sessions", sessions.len())
}

async fn listed(chat: &Chat) -> BTreeSet<SessionId> {
    chat.sessions(100).await.into_iter().map(|session| session.id).collect()
}

async fn its_turn_goes_on(open: &OpenStore, user: &Chat, guest: &Chat, running: &Turn) {
    assert_eq!(guest.held(running, 4, " done", LONG).await, 9, "the holder goes on");
    let reading = user.follow(running.id, Default::default(), LONG).await;
    assert_eq!(reading.text, "half done", "the user follows the turn");
    let stored = guest.stored(running, &completed("half done")).await;
    let told = events(&open.outbox).await;
    let owner_of = |seq| told.iter().find(|event| event.session == running.id.session && event.seq == seq).map(owner);
    assert_eq!(owner_of(1), Some(&guest.owner), "the event of the question is of whom it was at that moment");
    assert_eq!(owner_of(2), Some(&user.owner), "the event of the answer is the user's");
    assert_eq!(user.history(running.id.session).await[1], stored, "the answer stands in the user's history");
    let next = user.ask(Target::Existing(running.id.session), "next").await;
    assert_eq!((next.seq, next.window.len()), (3, 2), "the conversation goes on");
}

fn owner(event: &Event) -> &Owner {
    &event.owner
}

async fn the_guest_has_nothing(guest: &Chat, user: &Chat, sessions: &BTreeSet<SessionId>) {
    assert_eq!(guest.refusal(&guest.question(Target::New, "k3")).await, Refusal::NotYours, "the guest's first key");
    assert_eq!(guest.refusal(&guest.question(Target::New, "deleted")).await, Refusal::NotFound, "a tombstone's key");
    for id in sessions {
        let seen = guest.store.session(&guest.owner, id).await;
        assert!(matches!(seen, Err(AccessError::NotYours)), "the guest at a session that moved: {seen:?}");
        assert_eq!(user.session(*id).await.owner, user.owner);
        assert!(user.history(*id).await.len() >= 2, "the history moved along");
    }
    let own = user.replay(&user.question(Target::New, "k0")).await;
    assert!(!sessions.contains(&own.turn.id.session), "the user's own first key means the user's own session");
    guest.ask(Target::New, "fresh").await;
    assert_eq!(guest.sessions(10).await.len(), 1, "the guest may begin anew");
}

/// Two processes adopt the same guest while it goes on asking.
async fn at_once(open: &OpenStore) {
    let guest = Chat::guest(&open.store, "tablet");
    for number in 0..10 {
        guest.talk(Target::New, &format!("k{number}")).await;
    }
    let adopt_tablet = |chat: Chat| async move {
        let mut moved = 0;
        loop {
            let step = adopt(&chat, "tablet", "tom").await;
            moved += step.moved;
            if step.rest == AdoptionRest::Nothing {
                return moved;
            }
        }
    };
    let asked: Vec<_> = (0..5).map(|number| guest.question(Target::New, &format!("meanwhile{number}"))).collect();
    let asking = join_all(asked.iter().map(|question| guest.start(question)));
    let (one, two, _) = tokio::join!(adopt_tablet(guest.clone()), adopt_tablet(guest.at(&open.elsewhere)), asking);
    let rest = adopt_tablet(guest.clone()).await;
    assert_eq!(one + two + rest, 15, "two at once and the rest moved each session once");
    assert_eq!(Chat::new(&open.store, "tom").sessions(4).await.len(), 15, "all are the user's");
}

async fn without_room(harness: &StoreHarness) {
    let open = harness.limited(|limits| limits.owner_sessions = 3).await;
    let (guest, user) = (Chat::guest(&open.store, "phone"), Chat::new(&open.store, "ann"));
    for number in 0..2 {
        user.talk(Target::New, &format!("k{number}")).await;
        guest.talk(Target::New, &format!("k{number}")).await;
    }
    assert_eq!(adopt(&user, "phone", "ann").await, Adopted { moved: 1, rest: AdoptionRest::NoRoom }, "room for one");
    assert_eq!(adopt(&user, "phone", "ann").await, Adopted { moved: 0, rest: AdoptionRest::NoRoom }, "room for none");
    assert_eq!((user.sessions(9).await.len(), guest.sessions(9).await.len()), (3, 1), "the others stay the guest's");
}
