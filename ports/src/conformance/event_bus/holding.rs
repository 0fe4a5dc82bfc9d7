//! Who has a delivery, and until when.

use super::member::{Member, events, new_session, next_of, nothing_for, publish};
use super::{BusHarness, OpenBus};
use chatcore::port::{Acked, DeadLettersPage, Delivery};
use std::time::Duration;

/// What a member who is gone held comes to the others: at once where it closed, else a while after it died, also where all
/// that was published behind it is worked off. A living one keeps what it holds for as long as its handler works.
pub async fn an_unacked_delivery_comes_back(harness: &BusHarness) {
    also_if_all_behind_it_is_worked_off(harness).await;
    at_once_after_a_close(harness).await;
    after_its_holder_died(harness).await;
    not_while_its_holder_lives(harness).await;
    a_dropped_call_loses_nothing(harness).await;
}

/// Two members, and the delivery that one of them holds: the holder, the other, the delivery.
async fn held(open: &OpenBus) -> (Member, Member, Delivery) {
    publish(&open.bus, &events(new_session(), 2)).await;
    let members = Member::two(open, "group").await;
    let (index, delivery) = next_of(&members).await;
    let [first, second] = members;
    let (holder, other) = if index == 0 { (first, second) } else { (second, first) };
    (holder, other, delivery)
}

fn same(again: &Delivery, delivery: &Delivery, why: &str) {
    assert_eq!((&again.key, &again.event), (&delivery.key, &delivery.event), "{why}");
    assert_eq!(again.place, delivery.place, "{why}: a record stands where it stood");
    assert!(again.attempt > delivery.attempt, "{why}: a second delivery counts: {again:?}");
}

/// So many sessions that some share whatever a bus counts by; of those others may come again too.
async fn also_if_all_behind_it_is_worked_off(harness: &BusHarness) {
    const SESSIONS: usize = 40;
    let open = harness.open().await;
    let all: Vec<_> = (0..SESSIONS).flat_map(|_| events(new_session(), 1)).collect();
    publish(&open.bus, &all).await;
    let holder = Member::join(&open.bus, "group").await;
    let delivery = holder.next().await;
    for _ in 1..SESSIONS {
        holder.take().await;
    }
    holder.close().await;
    let other = Member::join(&open.elsewhere, "group").await;
    assert!(other.lag().await > 0, "what was in hand counts as worked off");
    let mut again = other.next().await;
    while again.key != delivery.key {
        assert_eq!(other.ack(&again).await, Acked::Done);
        again = other.next().await;
    }
    same(&again, &delivery, "after all behind it was worked off");
    assert_eq!(other.ack(&again).await, Acked::Done);
}

async fn at_once_after_a_close(harness: &BusHarness) {
    let open = harness.open().await;
    let (holder, other, delivery) = held(&open).await;
    holder.close().await;
    let again = other.next().await;
    same(&again, &delivery, "after a close");
    assert_eq!(other.ack(&again).await, Acked::Done);
    assert_eq!(other.take().await.seq, 2, "the session goes on");
}

async fn after_its_holder_died(harness: &BusHarness) {
    let open = harness.open_with(Duration::from_millis(200)).await;
    let (holder, other, delivery) = held(&open).await;
    drop(holder);
    let again = other.next().await;
    same(&again, &delivery, "after its holder died");
    assert_eq!(other.ack(&again).await, Acked::Done);
    assert_eq!(other.take().await.seq, 2, "the session goes on");
}

/// A handler that works three times as long as a dead member's deliveries would stay with it.
async fn not_while_its_holder_lives(harness: &BusHarness) {
    let come_back = Duration::from_millis(600);
    let open = harness.open_with(come_back).await;
    let (holder, other, delivery) = held(&open).await;
    let working = harness.wait(come_back * 3);
    nothing_for(std::slice::from_ref(&other), working, "its holder lives, and another has it").await;
    assert_eq!(holder.ack(&delivery).await, Acked::Done, "a slow handler is done");
    let (_, next) = next_of(&[holder, other]).await;
    assert!(matches!(&next.event, Ok(event) if event.seq == 2), "the session goes on: {next:?}");
}

/// Calls of `next` that are dropped at any moment, while records come.
async fn a_dropped_call_loses_nothing(harness: &BusHarness) {
    let open = harness.open().await;
    let member = Member::join(&open.bus, "group").await;
    let all = events(new_session(), 5);
    for event in &all {
        drop(tokio::time::timeout(Duration::from_millis(5), member.0.next()).await);
        publish(&open.bus, std::slice::from_ref(event)).await;
        assert_eq!(member.take().await, *event, "a dropped call lost a record");
    }
}

/// The old holder changes nothing, neither by `ack` nor by `park`.
pub async fn an_ack_after_a_revocation_says_revoked(harness: &BusHarness) {
    let open = harness.open().await;
    let (holder, other, delivery) = held(&open).await;
    holder.close().await;
    assert_eq!(holder.ack(&delivery).await, Acked::Revoked, "nobody has it");
    let again = other.next().await;
    same(&again, &delivery, "an ack of the old holder took the record out");
    assert_eq!(holder.ack(&delivery).await, Acked::Revoked, "another has it");
    assert_eq!(holder.park(&delivery, "too late").await, Acked::Revoked, "another has it");
    let page = DeadLettersPage { after: None, limit: 10 };
    assert_eq!(open.letters.list(&page).await.expect("list answers"), [], "a revoked park parked");
    let wait = harness.wait(Duration::from_millis(50));
    nothing_for(std::slice::from_ref(&other), wait, "the old holder freed the session").await;
    assert_eq!(other.ack(&again).await, Acked::Done, "the new holder has it still");
    assert_eq!(other.take().await.seq, 2, "the session goes on");
}

/// For calls that wait and for those that come later; a repeated close harms nothing, and others go on.
pub async fn a_closed_subscription_ends(harness: &BusHarness) {
    let open = harness.open().await;
    let [member, other] = Member::two(&open, "group").await;
    let close = async {
        harness.wait(Duration::from_millis(20)).await;
        member.close().await;
    };
    let (waiting, ()) = tokio::join!(member.may_end(), close);
    assert!(waiting.is_none(), "a call that waits ends with the subscription: {waiting:?}");
    publish(&open.bus, &events(new_session(), 1)).await;
    for _ in 0..2 {
        assert!(member.may_end().await.is_none(), "a closed subscription gave a delivery");
        member.close().await;
    }
    assert_eq!(other.take().await.seq, 1, "the others go on");
}
