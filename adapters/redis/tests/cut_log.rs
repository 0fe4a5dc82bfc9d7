//! What Redis answers is cut after any byte, of each call of the log and its dead letters: a delivery is one, and at once.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chatcore::error::BackendError;
use chatcore::port::{
    Acked, DeadLetter, DeadLetters, DeadLettersPage, Delivery, DeliveryId, EventBus, Replay, Subscription,
};
use chatcore_redis::{Redis, RedisConfig};
use common::events::{event, next, publish, seq, session};
use common::faults::{after_any_byte, patiently, wired_with};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Nobody else talks over the wire than who looks into the one partition.
fn one_partition(config: &mut RedisConfig) {
    config.partitions = 1;
    config.come_back = Duration::from_secs(3600);
}

/// Two sessions with so many events each, in turn.
async fn log(store: &Redis, events: u64) {
    let of = |seq| [1, 2].map(|number| event(session(number << 4), seq));
    let events: Vec<_> = (1..=events).flat_map(of).collect();
    for events in events.chunks(100) {
        publish(store, events).await;
    }
}

/// Whoever takes something without being told would have it for an hour.
#[derive(Default)]
struct Delivered(BTreeMap<String, u64>);

impl Delivered {
    async fn next(&mut self, member: &Arc<dyn Subscription>, cut: i64) -> DeliveryId {
        let delivery = tokio::time::timeout(Duration::from_secs(20), patiently(async || member.next().await)).await;
        let delivery: Delivery = delivery.unwrap_or_else(|_| panic!("cut after {cut}: nothing comes")).unwrap();
        let before = self.0.insert(delivery.key.clone(), seq(&delivery)).unwrap_or_default();
        assert_eq!((seq(&delivery), delivery.attempt), (before + 1, 1), "cut after {cut}: {delivery:?}");
        delivery.id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_worked_off() {
    let (_server, wire, store, sure) = wired_with(one_partition).await;
    log(&sure, 400).await;
    let (member, mut delivered) = (store.subscribe("group").await.unwrap(), Delivered::default());
    after_any_byte(&wire, 200, async |cut| {
        let id = delivered.next(&member, cut).await;
        assert_eq!(patiently(async || member.ack(&id).await).await, Acked::Done, "cut after {cut}");
    })
    .await;
    let (all, worked_off) = (800, delivered.0.values().sum::<u64>());
    assert_eq!(member.lag().await.unwrap(), all - worked_off);
    after_any_byte(&wire, 4, async |cut| {
        assert_eq!(patiently(async || member.lag().await).await, all - worked_off, "cut after {cut}");
    })
    .await;
}

/// The call that took it was given up before.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_told_too_late() {
    let (_server, wire, store, sure) = wired_with(one_partition).await;
    log(&sure, 2).await;
    let (member, mut delivered) = (store.subscribe("group").await.unwrap(), Delivered::default());
    for number in 0..4 {
        wire.hold_behind("EVALSHA");
        let refused = member.next().await;
        assert!(refused.as_ref().is_err_and(BackendError::may_pass), "{refused:?}");
        wire.let_go();
        let id = delivered.next(&member, number).await;
        assert_eq!(patiently(async || member.ack(&id).await).await, Acked::Done, "{number}");
    }
}

async fn letters(store: &Redis) -> Result<Vec<DeadLetter>, BackendError> {
    store.list(&DeadLettersPage { after: None, limit: 1000 }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_parked_and_its_dead_letter() {
    let (_server, wire, store, sure) = wired_with(one_partition).await;
    log(&sure, 400).await;
    let (member, mut delivered, mut parked) = (store.subscribe("group").await.unwrap(), Delivered::default(), 0);
    after_any_byte(&wire, 200, async |cut| {
        let id = delivered.next(&member, cut).await;
        let acked = patiently(async || member.park(&id, "no use", 1).await).await;
        assert_eq!(acked, Acked::Done, "cut after {cut}");
        parked += 1;
        assert_eq!(letters(&sure).await.unwrap().len(), parked, "cut after {cut}");
    })
    .await;
    member.close().await.unwrap();

    // As many as the cuts are that come.
    let mut left = letters(&sure).await.unwrap();
    while let Some(letter) = left.get(2..).and_then(|others| others.last()) {
        assert_eq!(sure.replay(&letter.id).await.unwrap(), Replay::Queued);
        left.pop();
    }
    after_any_byte(&wire, 200, async |cut| {
        assert_eq!(patiently(async || letters(&store).await).await, left, "cut after {cut}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_replayed() {
    let (_server, wire, store, sure) = wired_with(one_partition).await;
    log(&sure, 200).await;
    let member = sure.subscribe("group").await.unwrap();
    for _ in 0..400 {
        member.park(&next(&member).await.id, "no use", 1).await.unwrap();
    }
    let mut left = letters(&sure).await.unwrap();
    after_any_byte(&wire, 100, async |cut| {
        let letter = left.remove(0);
        let replayed = patiently(async || store.replay(&letter.id).await).await;
        assert_eq!(replayed, Replay::Queued, "cut after {cut}");
        assert_eq!(letters(&sure).await.unwrap(), left, "cut after {cut}");
        let delivery = next(&member).await;
        let event = delivery.event.as_ref().unwrap();
        assert_eq!(event.to_json().into_bytes(), letter.raw, "cut after {cut}");
        member.ack(&delivery.id).await.unwrap();
    })
    .await;
    let all_else = member.lag().await.unwrap();
    assert_eq!(all_else, 0, "each came once");
}

/// Of who holds something and who leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_held_and_one_that_is_left() {
    let lease = Duration::from_secs(3);
    let (_server, wire, store, sure) = wired_with(|config| (config.partitions, config.come_back) = (1, lease)).await;
    log(&sure, 1).await;
    let (member, other) = (store.subscribe("group").await.unwrap(), sure.subscribe("group").await.unwrap());
    let held = [next(&member).await, next(&member).await];
    // Renewals and looks go over the wire, some within each of these times.
    for cut in 0..12 {
        wire.cut_after(cut % 6);
        tokio::time::sleep(lease / 6).await;
        wire.was_cut();
    }
    assert_eq!(patiently(async || member.ack(&held[0].id).await).await, Acked::Done, "it is held all the time");
    wire.cut_after(0);
    patiently(async || member.close().await).await;
    let again = next(&other).await;
    assert_eq!((again.key.as_str(), again.attempt), (held[1].key.as_str(), 2), "it is free");
}
