//! What comes late: an adoption that was held up, and calls that were given up and arrive all the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::id::{DeviceId, SessionId, UserId};
use chatcore::policy::{Left, Quota};
use chatcore::port::SessionStore;
use chatcore::session::{Adopted, AdoptionRest};
use chatcore::turn::{Refusal, Target};
use chatcore_redis::{Redis, RedisConfig};
use common::adopted::{adopt, adopted, give_up_waiting, listed, new, refused, talk};
use common::chat::{finish, start};
use common::faults::{self, now};
use common::{Cluster, Monitor, Ran, Server, Wire, config, open};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Owners may have two sessions.
fn two(server: &Server) -> RedisConfig {
    let mut config = config(&[server.url()]);
    config.limits.owner_sessions = 2;
    config
}

/// A store that calls through a wire, and waits for long.
async fn behind(wire: &Wire, config: &RedisConfig) -> Arc<Redis> {
    let mut config = config.clone();
    (config.urls, config.call_timeout) = (vec![wire.url()], Duration::from_secs(60));
    open(&config).await
}

/// An adoption of a guest's two sessions by ann, who may have two, held up when their room is reserved and none has moved.
async fn held_up(server: &Server, config: &RedisConfig) -> (Arc<Redis>, Wire, JoinHandle<Adopted>) {
    let (store, wire) = (open(config).await, Wire::to(server.port).await);
    // The server knows the scripts from here on.
    talk(&store, "guest:tablet", Target::New, "k").await;
    store.adopt(&DeviceId::parse("tablet").unwrap(), &UserId::parse("bob").unwrap()).await.unwrap();
    for key in ["k0", "k1"] {
        talk(&store, "guest:phone", Target::New, key).await;
    }
    let slow = behind(&wire, config).await;
    wire.hold_behind("RESERVE");
    let adoption = tokio::spawn(async move { adopt(&slow, "phone").await });
    wire.holds().await;
    (store, wire, adoption)
}

#[tokio::test]
async fn while_an_adoption_is_on_its_way_nobody_takes_its_room() {
    let server = Server::start();
    let (store, wire, adoption) = held_up(&server, &two(&server)).await;
    let next = new("user:ann", Target::New, "next", None);
    assert_eq!(refused(&store, &next).await, Some(Refusal::TooManySessions));
    wire.let_go();
    assert_eq!(adoption.await.unwrap(), Adopted { moved: 2, rest: AdoptionRest::Nothing });
    assert_eq!(refused(&store, &next).await, Some(Refusal::TooManySessions));
    assert_eq!(listed(&store, "user:ann").await.len(), 2);
}

#[tokio::test]
async fn an_adoption_that_comes_back_too_late_gives_back_no_more_than_it_has() {
    let server = Server::start();
    let (store, wire, adoption) = held_up(&server, &two(&server)).await;
    give_up_waiting(&server, "ann");
    for session in listed(&store, "guest:phone").await {
        store.delete(&"guest:phone".parse().unwrap(), &session, None).await.unwrap();
    }
    let next = |key| new("user:ann", Target::New, key, None);
    assert_eq!(refused(&store, &next("k0")).await, None, "what was reserved is free again");
    wire.let_go();
    assert_eq!(adoption.await.unwrap(), Adopted { moved: 0, rest: AdoptionRest::Nothing });
    assert_eq!(refused(&store, &next("k1")).await, None);
    assert_eq!(refused(&store, &next("k2")).await, Some(Refusal::TooManySessions), "two are two");
}

/// Whoever needs room counts what lies where the adoption is about to move some to, and tells of it when that is over.
#[tokio::test]
async fn what_was_counted_before_an_adoption_ended_is_no_number_of_sessions() {
    let server = Server::start();
    let config = two(&server);
    let (store, wire, adoption) = held_up(&server, &config).await;
    let counting = Wire::to(server.port).await;
    let slow = behind(&counting, &config).await;
    counting.hold_behind(IN_THE_SLOT_OF_PHONE);
    let next = new("user:ann", Target::New, "next", None);
    let asked = tokio::spawn(async move { refused(&slow, &next).await });
    counting.holds().await;
    wire.let_go();
    assert_eq!(adoption.await.unwrap(), Adopted { moved: 2, rest: AdoptionRest::Nothing });
    counting.let_go();
    assert_eq!(asked.await.unwrap(), Some(Refusal::TooManySessions));
    assert_eq!(listed(&store, "user:ann").await.len(), 2);
}

/// The key of ann's sessions there.
const IN_THE_SLOT_OF_PHONE: &str = "{p12}:e:user:ann";

/// Of each call about the quota there is another one that was given up and comes last.
#[tokio::test]
async fn calls_about_a_quota_elsewhere_that_come_late_change_nothing() {
    let server = Server::start();
    let (store, sessions) = adopted(&server, 10, &["phone"]).await;
    let (quota, ann) = (Quota { limit: 9, window: Duration::from_secs(60) }, "user:ann".parse().unwrap());
    let used = async || 9 - store.left(&ann, &quota).await.unwrap().remaining;
    let ask = |key| new("user:ann", Target::Existing(sessions[0]), key, Some(quota.limit));
    let first = start(&*store, &ask("k1")).await;
    // The server knows the scripts from here on.
    refused(&store, &ask("k0")).await;

    let monitor = Monitor::of(&server);
    let next = ask("k2");
    assert!(matches!(refused(&store, &next).await, Some(Refusal::Busy { .. })));
    let is_attempt = |word: &Vec<u8>| word.ends_with(format!("}}:a:{}", next.attempt).as_bytes());
    let sent = monitor.seen(&server).into_iter().filter(|ran| !ran.by_script && ran.words.iter().any(is_attempt));
    let [take, give_back] = <[Ran; 2]>::try_from(sent.collect::<Vec<_>>()).ok().unwrap();
    assert_eq!(used().await, 1);
    server.ask(&take.words);
    assert_eq!(used().await, 1, "it was given back before it was taken once more");

    finish(&*store, &first).await;
    let second = start(&*store, &next).await;
    assert_eq!(second.left.map(|left| left.remaining), Some(7), "the same attempt, for its answer was lost");
    for late in [&give_back, &take, &give_back] {
        server.ask(&late.words);
        assert_eq!(used().await, 2, "a later try of the attempt has it");
    }
}

/// A client tries again and again; each request is an attempt of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_node_did_not_take_uses_up_no_quota() {
    const QUOTA: Quota = Quota { limit: 3, window: Duration::from_secs(60) };
    let cluster = Cluster::start();
    let store = open(&faults::config(cluster.nodes[0].url())).await;
    let node = |session: SessionId| cluster.slot_of(&session.to_string()).1;
    let home = node(talk(&store, "user:ann", Target::New, "own").await);
    let mut number = 0;
    let session = loop {
        number += 1;
        let session = talk(&store, &format!("guest:phone{number}"), Target::New, "k").await;
        adopt(&store, &format!("phone{number}")).await;
        if node(session) != home {
            break session;
        }
    };
    let ann = "user:ann".parse().unwrap();
    for away in [node(session), home] {
        cluster.nodes[away].signal("STOP");
        for number in 0..8 {
            let key = format!("{away}-{number}");
            let again = new("user:ann", Target::Existing(session), &key, Some(QUOTA.limit));
            assert!(store.begin_turn(&again).await.is_err(), "no node answered for it");
        }
        cluster.nodes[away].signal("CONT");
        let began = now();
        while !matches!(store.left(&ann, &QUOTA).await, Ok(Left { remaining: 3, .. })) {
            assert!(began.elapsed() < Duration::from_secs(8), "{:?}", store.left(&ann, &QUOTA).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
