//! What the log drops to make room: it holds up nobody, and what was not worked off is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::port::{Acked, DeadLetters, DeadLettersPage, EventBus, Outbox, Settled, Subscription};
use chatcore_redis::RedisConfig;
use common::events::{event, next, publish, session};
use common::warnings::warnings;
use common::{Server, config, open};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A log of ten events in each partition.
fn ten(server: &Server) -> RedisConfig {
    let mut config = config(&[server.url()]);
    config.limits.outbox_events = 10;
    config
}

/// An event each of so many sessions in one partition.
async fn publish_each(store: &chatcore_redis::Redis, numbers: RangeInclusive<u128>) {
    publish(store, &numbers.map(|number| event(session(number << 4), 1)).collect::<Vec<_>>()).await;
}

async fn work_off(member: &Arc<dyn Subscription>, events: u64) {
    for _ in 0..events {
        assert_eq!(member.ack(&next(member).await.id).await.unwrap(), Acked::Done);
    }
}

/// What was told of a group.
fn told(group: &str) -> Vec<String> {
    let group = format!("group={group:?} ");
    warnings().into_iter().filter(|warning| warning.contains(&group)).collect()
}

fn so_many(group: &str, dropped: u64) -> [String; 1] {
    [format!("message=events were dropped before they were read group={group:?} partition=0 dropped={dropped} ")]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_log_drops_unread_is_told_to_the_groups_that_missed_it() {
    warnings();
    let server = Server::start();
    let store = open(&ten(&server)).await;
    let [late, early, quick] = ["late", "early", "quick"].map(|group| store.subscribe(group));
    let (late, early, quick) = (late.await.unwrap(), early.await.unwrap(), quick.await.unwrap());
    publish_each(&store, 1..=8).await;
    work_off(&early, 4).await;
    work_off(&quick, 8).await;
    publish_each(&store, 9..=18).await;
    work_off(&quick, 10).await;
    publish_each(&store, 19..=28).await;
    assert_eq!((late.lag().await.unwrap(), early.lag().await.unwrap()), (10, 10));
    for member in [late, early, quick] {
        for left in (0..10).rev() {
            work_off(&member, 1).await;
            assert_eq!(member.lag().await.unwrap(), left);
        }
        member.close().await.unwrap();
    }
    assert_eq!(told("late"), so_many("late", 18));
    assert_eq!(told("early"), so_many("early", 14));
    assert_eq!(told("quick"), [""; 0], "it has read all that was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_dropped_holds_up_nobody() {
    warnings();
    let server = Server::start();
    let store = open(&ten(&server)).await;
    let slow = store.subscribe("slow").await.unwrap();
    let old = [session(0x10), session(0x20)];
    publish(&store, &[1, 2].map(|seq| old.map(|session| event(session, seq))).concat()).await;
    let held = [next(&slow).await, next(&slow).await];
    // The second events of both are read, and wait behind the first; all four are dropped.
    let looked = timeout(Duration::from_millis(50), slow.next()).await;
    assert!(looked.is_err(), "both sessions are in hand: {looked:?}");
    publish_each(&store, 3..=12).await;
    assert_eq!(slow.ack(&held[0].id).await.unwrap(), Acked::Done);
    assert_eq!(slow.park(&held[1].id, "too late", 1).await.unwrap(), Acked::Done);
    for _ in 0..10 {
        let delivery = next(&slow).await;
        assert!(held.iter().all(|held| held.key != delivery.key), "{delivery:?}");
        slow.ack(&delivery.id).await.unwrap();
    }
    assert_eq!(slow.lag().await.unwrap(), 0);
    let letters = store.list(&DeadLettersPage { after: None, limit: 10 }).await.unwrap();
    assert_eq!(letters, [], "there is nothing left to park");
    // A consumer that lives tells it, too, within a second.
    let soon = async {
        while told("slow").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), soon).await.expect("a warning");
    assert_eq!(told("slow"), so_many("slow", 2), "what was in hand was worked off");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_published_was_not_dropped() {
    warnings();
    let server = Server::start();
    let store = open(&config(&[server.url()])).await;
    publish_each(&store, 1..=3).await;
    let claimed = store.claim(2, Duration::ZERO).await.unwrap();
    let settled: Vec<_> = claimed.into_iter().map(|entry| (entry.id, Settled::Published)).collect();
    store.settle(&settled).await.unwrap();
    let member = store.subscribe("after").await.unwrap();
    work_off(&member, 1).await;
    member.close().await.unwrap();
    assert_eq!((settled.len(), told("after")), (2, vec![]));
}
