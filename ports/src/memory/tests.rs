//! What the conformance suite cannot see: that memory stays bounded, and how the two ways of the outbox end.

use super::{MemoryAi, MemoryBus, MemoryStore};
use crate::sim::{Sim, SimRuntime};
use chatcore::id::{AttemptId, DeviceId, Key, MessageId, SessionId};
use chatcore::message::{AiReply, Answer, Status};
use chatcore::owner::Owner;
use chatcore::policy::{OutboxFull, StoreLimits};
use chatcore::port::{
    AiGateway, DeadLetterId, DeadLetters, DeadLettersPage, EventBus, Outbox, Prompt, Replay, Runtime, SessionStore,
    Settled,
};
use chatcore::turn::{Began, NewTurn, Refusal, Target, Turn, TurnId};
use futures_util::StreamExt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(60);

/// Runs a test in virtual time.
fn sim<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Arc<SimRuntime>) -> F) {
    let sim = Sim::new(11);
    assert!(sim.run(test(Arc::new(sim.runtime(0)))), "the test waits for itself");
    sim.end();
}

fn limits(events: u64, full: OutboxFull) -> StoreLimits {
    let mut limits = StoreLimits::default();
    (limits.outbox_events, limits.outbox_full) = (events, full);
    limits
}

fn question(runtime: &SimRuntime, owner: &str, target: Target) -> NewTurn {
    NewTurn {
        owner: Owner::Guest(DeviceId::parse(owner).unwrap()),
        target,
        key: Key::parse(runtime.new_id().to_string()).unwrap(),
        body_hash: 1,
        attempt: AttemptId::from(runtime.new_id()),
        message: MessageId::from(runtime.new_id()),
        text: "?".into(),
        request_id: None,
        quota: None,
        window: 10,
        lease: Duration::from_secs(1),
        ttl: TTL,
    }
}

async fn ask(store: &MemoryStore, runtime: &SimRuntime, target: Target) -> Turn {
    match store.begin_turn(&question(runtime, "phone", target)).await.unwrap() {
        Began::Started(started) => started.turn,
        other => panic!("not started: {other:?}"),
    }
}

async fn converse(store: &MemoryStore, runtime: &SimRuntime, target: Target) -> SessionId {
    let turn = ask(store, runtime, target).await;
    let answer = Answer { status: Status::Completed, content: "!".into(), reply: AiReply::default() };
    store.finish_turn(&turn, &answer).await.unwrap();
    turn.id.session
}

const FIRST_LETTERS: DeadLettersPage = DeadLettersPage { after: None, limit: 10 };

#[test]
fn nothing_is_left_of_what_has_expired() {
    sim(|runtime| async move {
        let store = MemoryStore::new(runtime.clone());
        for number in 0..10 {
            let mut new = question(&runtime, &format!("phone {number}"), Target::New);
            new.quota = Some(chatcore::policy::Quota { limit: 5, window: TTL });
            let Began::Started(started) = store.begin_turn(&new).await.unwrap() else { panic!("refused") };
            if number % 2 == 0 {
                store.delete(&new.owner, &started.turn.id.session, None).await.unwrap();
            }
        }
        assert_eq!(store.dump().len(), 10);
        assert!(!store.is_empty());
        runtime.sleep(TTL).await;
        assert_eq!(store.close_orphans(Duration::ZERO, 10).await.unwrap().closed, 0);
        assert!(store.is_empty());
    });
}

#[test]
fn a_log_that_is_full_drops_its_oldest_event_and_counts_it() {
    sim(|runtime| async move {
        let store = MemoryStore::with_limits(runtime.clone(), limits(3, OutboxFull::DropOldest));
        let bus = MemoryBus::over(&store);
        let session = converse(&store, &runtime, Target::New).await;
        converse(&store, &runtime, Target::Existing(session)).await;
        let places: Vec<u64> = bus.events().iter().map(|event| event.seq).collect();
        assert_eq!((places.as_slice(), bus.dropped()), ([2, 3, 4].as_slice(), 1));
        let subscription = bus.subscribe("late").await.unwrap();
        assert_eq!(subscription.lag().await.unwrap(), 3);
        assert_eq!(subscription.next().await.unwrap().unwrap().event.unwrap().seq, 2);
    });
}

#[test]
fn a_queue_that_is_full_refuses_questions_and_keeps_answers() {
    sim(|runtime| async move {
        let store = MemoryStore::with_limits(runtime.clone(), limits(2, OutboxFull::Refuse));
        let session = converse(&store, &runtime, Target::New).await;
        let next = question(&runtime, "phone", Target::Existing(session));
        assert_eq!(store.begin_turn(&next).await.unwrap(), Began::Refused(Refusal::Overloaded));
        let entries = store.claim(10, Duration::ZERO).await.unwrap();
        store.settle(&[(entries[0].id.clone(), Settled::Published)]).await.unwrap();
        assert_eq!(converse(&store, &runtime, Target::Existing(session)).await, session);
        assert_eq!(store.backlog().await.unwrap().events, 3);
    });
}

#[test]
fn an_entry_that_the_bus_refused_goes_back_to_the_relay_when_it_is_replayed() {
    sim(|runtime| async move {
        let store = MemoryStore::new(runtime.clone());
        let letters = MemoryBus::over(&store);
        ask(&store, &runtime, Target::New).await;
        let entry = store.claim(1, Duration::ZERO).await.unwrap().remove(0);
        store.settle(&[(entry.id.clone(), Settled::Refused("too large".into()))]).await.unwrap();
        assert_eq!(store.claim(1, Duration::ZERO).await.unwrap(), []);
        let letter = letters.list(&FIRST_LETTERS).await.unwrap().remove(0);
        assert_eq!((letter.group.as_str(), letter.reason.as_str()), ("relay", "too large"));
        assert_eq!(letters.replay(&letter.id).await.unwrap(), Replay::Queued);
        assert_eq!(letters.replay(&letter.id).await.unwrap(), Replay::NotFound);
        assert_eq!(letters.replay(&DeadLetterId("mine".into())).await.unwrap(), Replay::NotFound);
        assert_eq!(store.claim(1, Duration::ZERO).await.unwrap()[0].event, entry.event);
    });
}

#[test]
fn what_a_dead_member_held_comes_back_in_time_and_not_before() {
    sim(|runtime| async move {
        let store = MemoryStore::new(runtime.clone());
        let bus = MemoryBus::over(&store);
        let (dying, living) = (bus.subscribe("group").await.unwrap(), bus.subscribe("group").await.unwrap());
        ask(&store, &runtime, Target::New).await;
        assert_eq!(dying.next().await.unwrap().unwrap().attempt, 1);
        runtime.sleep(Duration::from_secs(60)).await;
        drop(dying);
        let died = runtime.elapsed();
        assert_eq!(living.next().await.unwrap().unwrap().attempt, 2);
        assert_eq!(runtime.elapsed() - died, Duration::from_secs(5));
    });
}

#[test]
fn a_paced_ai_takes_its_time_before_each_piece_and_the_end() {
    sim(|runtime| async move {
        let ai = MemoryAi::saying(["a", "b"]).paced(runtime.clone(), Duration::from_secs(2));
        let id = runtime.new_id();
        let turn = TurnId { session: id.into(), message: id.into() };
        let owner = Owner::Guest(DeviceId::parse("phone").unwrap());
        let prompt = Prompt { turn, owner, request_id: None, text: "?".into(), history: Vec::new() };
        let answer = ai.answer(prompt).map(|_| runtime.elapsed().as_secs()).collect::<Vec<u64>>();
        assert_eq!(answer.await, [2, 4, 6]);
    });
}
